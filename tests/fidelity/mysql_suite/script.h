// Script: the SQL statements of a mysqltest script, as a store of odd schemas and values.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace sluice::testing {

// The statements of a script in the order of its text, included files in their places. mysqltest's
// own commands are passed over: a loop's body is taken once, both branches of a condition are
// taken. `root` is the folder with t/ and suite/. NOT_FOUND when the script can't be read.
absl::StatusOr<std::vector<std::string>> ReadScript(const std::string& root,
                                                    const std::string& script);

}  // namespace sluice::testing
