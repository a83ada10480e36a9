// FindMissingForGate: what the agent's account lacks for changing a gate.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/health/privileges.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// As mysqld has it recorded now. A session that began before a GRANT may have less.
absl::StatusOr<agent::MissingPrivileges> FindMissingForGate(mysql::Connection& connection,
                                                            absl::string_view database,
                                                            const agent::GateNeeds& needs);

// PERMISSION_DENIED names what is missing, and what gives it.
absl::Status CheckPrivileges(mysql::Connection& connection, absl::string_view database,
                             const agent::GateNeeds& needs);

// "SELECT on `mysql`.*; GRANT SELECT ON `mysql`.* TO …": what is missing, then what gives it.
std::string DescribeMissing(const agent::MissingPrivileges& missing);

}  // namespace sluice::gate
