// JsonShape: where the scalars of a JSON document stand, and of which types they look. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace sluice::binlog {

// Documents of a column are often alike: the same members, in which only the values differ.
struct JsonShape {
  struct Scalar {
    std::string path;        // $."a"[2]
    absl::string_view type;  // of JSON_TYPE; a literal
    friend bool operator==(const Scalar&, const Scalar&) = default;
  };
  struct Container {
    std::string path;
    uint32_t length = 0;
    friend bool operator==(const Container&, const Container&) = default;
  };
  std::vector<Scalar> scalars;
  std::vector<Container> containers;
  friend bool operator==(const JsonShape&, const JsonShape&) = default;
};

// The shape of a document by its text, as mysqld prints it. Nothing of a document that is large,
// deep, has odd member names, or a number that text does not carry: looking at every scalar of such
// a one costs less than asking for its shape.
std::optional<JsonShape> ShapeOf(absl::string_view text);

// A condition over a JSON column (a quoted name) that holds only for documents all of whose scalars
// are of plain types, so that their text says all of them: those of this shape. It is sound by
// itself: every container has just as many members as are named, so no scalar is left out.
std::string ShapeCondition(const JsonShape& shape, absl::string_view quoted_name);

}  // namespace sluice::binlog
