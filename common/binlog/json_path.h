// JsonPath: the path of a JSON diff, as mysqld writes it into the binlog. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// One step: to a member of an object, or to a cell of an array.
struct JsonPathLeg {
  bool is_cell = false;
  bool from_last = false;  // [last-index]
  uint64_t index = 0;
  std::string key;
};

// Reads `$`, then `.name`, `."quoted name"`, `[7]`, `[last]` and `[last-7]`, any number of them.
// INVALID_ARGUMENT for anything else.
absl::StatusOr<std::vector<JsonPathLeg>> ParseJsonPath(absl::string_view path);

}  // namespace sluice::binlog
