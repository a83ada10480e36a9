// The journal of cutovers in the sidecar database.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "common/mysql/connection.h"

namespace sluice::sidecar {

// Commits the record. OK when the same record stands there already; ALREADY_EXISTS when another one
// stands under the same id.
absl::Status WriteJournal(mysql::Connection& connection, const std::string& cutover_id,
                          const std::string& workflow, const std::string& record);

}  // namespace sluice::sidecar
