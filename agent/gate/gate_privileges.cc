// FindMissingForGate: what SHOW GRANTS says, held against what a gate's change needs.

#include "agent/gate/gate_privileges.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/health/checks.h"
#include "common/base/status_macros.h"

namespace sluice::gate {

absl::StatusOr<agent::MissingPrivileges> FindMissingForGate(mysql::Connection& connection,
                                                            absl::string_view database,
                                                            const agent::GateNeeds& needs) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult self,
                          connection.Query("SELECT CURRENT_USER(), VERSION()"));
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult granted, connection.Query("SHOW GRANTS"));
  std::vector<std::string> lines;
  for (const mysql::Row& row : granted.rows) {
    lines.push_back(row[0].value_or(""));
  }
  if (self.rows.empty()) {
    return absl::InternalError("mysqld did not say whose session this is");
  }
  return agent::FindMissingPrivileges(agent::Privileges::Parse(lines), database,
                                      agent::QuoteAccount(self.rows[0][0].value_or("")),
                                      agent::VersionNumber(self.rows[0][1].value_or("")), needs);
}

absl::Status CheckPrivileges(mysql::Connection& connection, absl::string_view database,
                             const agent::GateNeeds& needs) {
  SLUICE_ASSIGN_OR_RETURN(const agent::MissingPrivileges missing,
                          FindMissingForGate(connection, database, needs));
  return missing.text.empty() ? absl::OkStatus()
                              : absl::PermissionDeniedError(absl::StrCat(
                                    "the agent's account lacks ", DescribeMissing(missing)));
}

std::string DescribeMissing(const agent::MissingPrivileges& missing) {
  return absl::StrCat(missing.text, "; ", absl::StrJoin(missing.remedies, "; "));
}

}  // namespace sluice::gate
