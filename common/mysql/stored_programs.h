// StoredProgram: an event or routine of a schema, and the names in its text.

#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {

struct StoredProgram {
  std::string title;            // "event e", "procedure p", "function f"
  std::set<std::string> names;  // words and quoted names of its body
};

// Events, then routines, each by name. Those that the account may not look into are missing: it
// takes EVENT on the schema and SHOW_ROUTINE.
absl::StatusOr<std::vector<StoredProgram>> ReadStoredPrograms(Connection& connection,
                                                              absl::string_view quoted_database);

}  // namespace sluice::mysql
