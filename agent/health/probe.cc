// Probe: reads a mysqld's facts.

#include "agent/health/probe.h"

#include <algorithm>
#include <map>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::agent {
namespace {

constexpr int kMilliPerSecond = 1000;
constexpr unsigned kNoSuchColumn = 1054;
constexpr unsigned kNoSuchTable = 1146;

using NamedRow = std::map<std::string, std::string>;

std::vector<NamedRow> Named(const mysql::QueryResult& result) {
  std::vector<NamedRow> rows;
  for (const mysql::Row& cells : result.rows) {
    NamedRow& row = rows.emplace_back();
    for (size_t i = 0; i < cells.size(); ++i) {
      row[result.columns[i]] = cells[i].value_or("");
    }
  }
  return rows;
}

template <typename T>
T Number(const std::string& text, T otherwise) {
  T value = otherwise;
  return absl::SimpleAtoi(text, &value) ? value : otherwise;
}

// Precise lag of the applier: how old, by the source's clock, the transaction is that it works on;
// 0 when all that was received is applied.
absl::StatusOr<int64_t> ReadLag(mysql::Connection& connection, const std::string& seconds_behind) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(
          "SELECT (SELECT SUM(NOT GTID_SUBSET(RECEIVED_TRANSACTION_SET, @@GLOBAL.gtid_executed))"
          " FROM performance_schema.replication_connection_status),"
          " (SELECT TIMESTAMPDIFF(MICROSECOND, MIN(APPLYING_TRANSACTION_ORIGINAL_COMMIT_TIMESTAMP),"
          " NOW(6)) FROM performance_schema.replication_applier_status_by_worker"
          " WHERE APPLYING_TRANSACTION <> '')"));
  if (result.rows.empty()) {
    return -1;
  }
  const mysql::Row& row = result.rows[0];
  if (row[0].value_or("0") == "0") {
    return 0;
  }
  if (row[1].has_value()) {
    return std::max<int64_t>(Number<int64_t>(*row[1], 0) / kMilliPerSecond, 0);
  }
  const auto seconds = Number<int64_t>(seconds_behind, -1);
  return seconds < 0 ? seconds : seconds * kMilliPerSecond;
}

absl::Status ReadReplica(mysql::Connection& connection, ReplicaFacts& replica) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection.Query("SHOW REPLICA STATUS"));
  for (NamedRow& row : Named(result)) {
    // Channels of group replication are not a source of their own.
    if (absl::StartsWith(row["Channel_Name"], "group_replication_")) {
      continue;
    }
    replica.configured = true;
    replica.io_running = row["Replica_IO_Running"] == "Yes";
    replica.sql_running = row["Replica_SQL_Running"] == "Yes";
    replica.last_error =
        !row["Last_SQL_Error"].empty() ? row["Last_SQL_Error"] : row["Last_IO_Error"];
    if (!replica.io_running || !replica.sql_running) {
      replica.lag_ms = -1;
      break;
    }
    SLUICE_ASSIGN_OR_RETURN(replica.lag_ms, ReadLag(connection, row["Seconds_Behind_Source"]));
  }
  return absl::OkStatus();
}

// A gate that closes the whole server leaves its agent to write behind it.
absl::StatusOr<bool> IsClosedByGate(mysql::Connection& connection) {
  const auto result = connection.QueryScalar(
      "SELECT COUNT(*) FROM _sluice.gate WHERE kind = 'server' AND state NOT IN ('open',"
      " 'forgotten')");
  if (!result.ok() && (MysqlErrnoOf(result.status()) == kNoSuchTable ||
                       MysqlErrnoOf(result.status()) == kNoSuchColumn ||
                       absl::IsPermissionDenied(result.status()))) {
    return false;  // there is no sidecar, or one of an older version
  }
  SLUICE_RETURN_IF_ERROR(result.status());
  return *result != "0";
}

}  // namespace

absl::StatusOr<MysqldFacts> ReadFacts(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query("SELECT @@GLOBAL.gtid_mode gtid_mode, @@GLOBAL.enforce_gtid_consistency"
                       " enforce_gtid_consistency, @@GLOBAL.log_bin log_bin, @@GLOBAL.binlog_format"
                       " binlog_format, @@GLOBAL.binlog_row_image binlog_row_image,"
                       " @@GLOBAL.server_id server_id, @@GLOBAL.log_replica_updates"
                       " log_replica_updates, @@GLOBAL.lower_case_table_names"
                       " lower_case_table_names, @@GLOBAL.read_only read_only,"
                       " @@GLOBAL.super_read_only super_read_only, @@GLOBAL.port port,"
                       " @@GLOBAL.server_uuid server_uuid, @@GLOBAL.version version,"
                       " @@GLOBAL.gtid_executed gtid_executed"));
  if (result.rows.empty()) {
    return absl::InternalError("mysqld gave no variables");
  }
  NamedRow row = Named(result)[0];
  MysqldFacts facts;
  facts.version = row["version"];
  facts.version_number = VersionNumber(facts.version);
  facts.server_uuid = row["server_uuid"];
  facts.gtid_executed = absl::StrReplaceAll(row["gtid_executed"], {{"\n", ""}});
  facts.gtid_mode = row["gtid_mode"];
  facts.enforce_gtid_consistency = row["enforce_gtid_consistency"] == "ON";
  facts.log_bin = row["log_bin"] == "1";
  facts.binlog_format = row["binlog_format"];
  facts.binlog_row_image = row["binlog_row_image"];
  facts.server_id = Number<uint32_t>(row["server_id"], 0);
  facts.log_replica_updates = row["log_replica_updates"] == "1";
  facts.lower_case_table_names = Number<int>(row["lower_case_table_names"], 0);
  facts.read_only = row["read_only"] == "1";
  facts.super_read_only = row["super_read_only"] == "1";
  facts.port = static_cast<uint16_t>(Number<uint32_t>(row["port"], 0));
  const absl::Status replica = ReadReplica(connection, facts.replica);
  // Without the privilege this is a finding of the checks, not the end of the probe.
  if (!replica.ok() && !absl::IsPermissionDenied(replica)) {
    return replica;
  }
  if (facts.read_only && !facts.super_read_only && !facts.replica.configured) {
    SLUICE_ASSIGN_OR_RETURN(facts.closed_by_gate, IsClosedByGate(connection));
  }
  return facts;
}

absl::Status ReadPrivileges(mysql::Connection& connection, MysqldFacts& facts) {
  SLUICE_ASSIGN_OR_RETURN(const std::string account,
                          connection.QueryScalar("SELECT CURRENT_USER()"));
  facts.account = QuoteAccount(account);
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection.Query("SHOW GRANTS"));
  std::vector<std::string> lines;
  for (const mysql::Row& row : result.rows) {
    lines.push_back(row[0].value_or(""));
  }
  facts.privileges = Privileges::Parse(lines);
  return absl::OkStatus();
}

}  // namespace sluice::agent
