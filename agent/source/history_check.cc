// CheckHistory: the sets of both sides, subtracted by the server.

#include "agent/source/history_check.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::source {

absl::Status CheckHistory(mysql::Connection& connection, const std::string& position,
                          absl::Duration wait) {
  const std::string wanted = mysql::QuoteString(position);
  const double seconds = std::max(0.001, absl::ToDoubleSeconds(wait));
  SLUICE_ASSIGN_OR_RETURN(const std::string timed_out,
                          connection.QueryScalar(absl::StrCat("SELECT WAIT_FOR_EXECUTED_GTID_SET(",
                                                              wanted, ", ", seconds, ")")));
  if (timed_out == "0") {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string missing,
                          connection.QueryScalar(absl::StrCat("SELECT GTID_SUBTRACT(", wanted,
                                                              ", @@GLOBAL.gtid_executed)")));
  if (missing.empty()) {
    return absl::OkStatus();
  }
  // Its own transactions are in the binlog a moment before they are executed. mysqld itself refuses
  // a reader that has more of them than it.
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult fate,
      connection.Query(absl::StrCat(
          "SELECT GTID_SUBTRACT(", mysql::QuoteString(missing),
          ", CONCAT(@@GLOBAL.server_uuid, ':1-9223372036854775806')) = '', @@GLOBAL.read_only, "
          "(SELECT COUNT(*) FROM performance_schema.replication_connection_configuration)")));
  const mysql::Row& row = fate.rows.front();
  if (row[0] == "1" || row[1] != "0" || row[2] != "0") {
    return absl::UnavailableError(
        absl::StrCat("the source has not executed what the stream has applied: ", missing));
  }
  return absl::DataLossError(absl::StrCat(
      "the source lacks transactions that this stream has applied, and is no replica that would "
      "still get them: ",
      missing,
      "; a failover has lost them, so both sides have parted. Cancel the workflow and create it "
      "anew"));
}

}  // namespace sluice::source
