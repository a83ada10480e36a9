// Measures: their statements.

#include "agent/throttle/measure.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::throttle {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(1);
constexpr double kPicosPerMicro = 1e6;

// Commands of sessions that wait, and of those that replicate.
constexpr absl::string_view kThreads =
    "SELECT COUNT(*) FROM performance_schema.threads t WHERE t.TYPE = 'FOREGROUND'"
    " AND t.PROCESSLIST_COMMAND NOT IN ('Sleep', 'Daemon', 'Connect', 'Binlog Dump',"
    " 'Binlog Dump GTID', 'Group Replication Data Stream subscription')"
    " AND COALESCE(t.PROCESSLIST_USER, '') NOT IN ('system user', 'event_scheduler')"
    " AND NOT EXISTS (SELECT 1 FROM performance_schema.session_connect_attrs a"
    " WHERE a.PROCESSLIST_ID = t.PROCESSLIST_ID AND a.ATTR_NAME = 'program_name'"
    " AND a.ATTR_VALUE LIKE 'sluice-agent%')"
    " AND t.PROCESSLIST_ID <> CONNECTION_ID()";

constexpr absl::string_view kDisk =
    "SELECT SUM(IF(f.EVENT_NAME LIKE '%data_file', f.COUNT_READ, 0)),"
    " SUM(IF(f.EVENT_NAME LIKE '%data_file', f.SUM_TIMER_READ, 0)),"
    " SUM(IF(f.EVENT_NAME LIKE '%log_file', f.COUNT_MISC, 0)),"
    " SUM(IF(f.EVENT_NAME LIKE '%log_file', f.SUM_TIMER_MISC, 0)),"
    " SUM(IF(f.EVENT_NAME LIKE '%log_file', f.COUNT_WRITE, 0)),"
    " SUM(IF(f.EVENT_NAME LIKE '%log_file', f.SUM_TIMER_WRITE, 0)),"
    " (SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE NAME IN"
    " ('wait/io/file/innodb/innodb_log_file', 'wait/io/file/innodb/innodb_data_file')"
    " AND ENABLED = 'YES' AND TIMED = 'YES')"
    " FROM performance_schema.file_summary_by_event_name f WHERE f.EVENT_NAME IN"
    " ('wait/io/file/innodb/innodb_log_file', 'wait/io/file/innodb/innodb_data_file')";

double Mean(uint64_t sum_ps, uint64_t count) {
  return count == 0 ? 0 : static_cast<double>(sum_ps) / static_cast<double>(count) / kPicosPerMicro;
}

}  // namespace

absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectToMeasure(
    mysql::ConnectionOptions options) {
  options.connect_timeout = kTimeout;
  options.read_timeout = 2 * kTimeout;
  options.write_timeout = kTimeout;
  SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(options));
  for (const char* statement :
       {"SET NAMES utf8mb4", "SET SESSION TRANSACTION READ ONLY",
        "SET SESSION max_execution_time = 1000, transaction_isolation = 'READ-COMMITTED'"}) {
    SLUICE_RETURN_IF_ERROR(connection->Execute(statement).status());
  }
  return connection;
}

absl::StatusOr<double> ReadThreadsRunning(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(const std::string enabled,
                          connection.QueryScalar("SELECT @@GLOBAL.performance_schema"));
  if (enabled != "1") {
    return absl::FailedPreconditionError("performance_schema is off");
  }
  return ReadQuery(connection, std::string(kThreads));
}

absl::StatusOr<double> ReadQuery(mysql::Connection& connection, const std::string& sql) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection.Query(sql));
  if (result.rows.size() != 1 || result.rows.front().size() != 1) {
    return absl::FailedPreconditionError("it does not give one row of one value");
  }
  const std::optional<std::string>& cell = result.rows.front().front();
  double value = 0;
  if (!cell.has_value() || !absl::SimpleAtod(*cell, &value) || std::isnan(value)) {
    return absl::FailedPreconditionError(
        absl::StrCat("it gives ", cell.has_value() ? *cell : "NULL", ", which is no number"));
  }
  return value;
}

absl::StatusOr<DiskMeter::Counters> DiskMeter::ReadCounters(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection.Query(kDisk));
  constexpr size_t kCells = 7;
  std::array<uint64_t, kCells> cells{};
  for (size_t i = 0; i < kCells; ++i) {
    if (result.rows.size() != 1 || result.rows.front().size() != kCells ||
        !absl::SimpleAtoi(result.rows.front()[i].value_or(""), &cells[i])) {
      return absl::FailedPreconditionError("performance_schema does not count InnoDB's files");
    }
  }
  if (cells[6] != 2) {
    return absl::FailedPreconditionError(
        "the instruments wait/io/file/innodb/% of performance_schema are off");
  }
  return Counters{.reads = cells[0],
                  .read_ps = cells[1],
                  .syncs = cells[2],
                  .sync_ps = cells[3],
                  .writes = cells[4],
                  .write_ps = cells[5]};
}

absl::StatusOr<double> DiskMeter::Read(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(const Counters now, ReadCounters(connection));
  const std::optional<Counters> before = std::exchange(last_, now);
  const bool goes_on = before.has_value() && now.reads >= before->reads &&
                       now.syncs >= before->syncs && now.writes >= before->writes;
  if (!goes_on) {
    return absl::FailedPreconditionError("it takes two looks");
  }
  const double read = Mean(now.read_ps - before->read_ps, now.reads - before->reads);
  // With O_DSYNC a write is the sync.
  const double sync = now.syncs > before->syncs
                          ? Mean(now.sync_ps - before->sync_ps, now.syncs - before->syncs)
                          : Mean(now.write_ps - before->write_ps, now.writes - before->writes);
  return std::max(read, sync);
}

}  // namespace sluice::throttle
