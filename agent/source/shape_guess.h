// ShapeGuess: of what shape the next documents of a JSON column will be, by those that have come.
// Pure.

#pragma once

#include <cstdint>
#include <optional>

#include "absl/strings/string_view.h"
#include "common/binlog/json_shape.h"

namespace sluice::source {

// A wrong guess costs time and nothing else. Owned by one thread at a time.
class ShapeGuess {
 public:
  // A document of a chunk, as it was selected.
  void Learn(absl::string_view selected);
  // Nothing where documents are not alike, or have no shape.
  [[nodiscard]] const std::optional<binlog::JsonShape>& shape() const;

 private:
  std::optional<binlog::JsonShape> last_;
  uint32_t learned_ = 0;
  uint32_t changed_ = 0;
};

}  // namespace sluice::source
