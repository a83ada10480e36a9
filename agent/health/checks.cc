// Checks: what follows from a mysqld's facts: its type, and why it cannot serve.

#include "agent/health/checks.h"

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

namespace sluice::agent {
namespace {

constexpr int kOldestVersion = 80026;  // log_replica_updates, SHOW REPLICA STATUS

void CheckBinlog(const MysqldFacts& facts, std::vector<std::string>& problems) {
  if (!facts.log_bin) {
    problems.emplace_back("the binlog is off; start mysqld without skip-log-bin");
  }
  if (!absl::EqualsIgnoreCase(facts.binlog_format, "ROW")) {
    problems.push_back(absl::StrCat("binlog_format is ", facts.binlog_format,
                                    "; SET PERSIST binlog_format = ROW"));
  }
  if (!absl::EqualsIgnoreCase(facts.binlog_row_image, "FULL")) {
    problems.push_back(absl::StrCat("binlog_row_image is ", facts.binlog_row_image,
                                    "; SET PERSIST binlog_row_image = FULL"));
  }
}

void CheckGtids(const MysqldFacts& facts, std::vector<std::string>& problems) {
  if (!absl::EqualsIgnoreCase(facts.gtid_mode, "ON")) {
    problems.push_back(absl::StrCat("gtid_mode is ", facts.gtid_mode,
                                    "; set gtid_mode = ON (step by step on a running server)"));
  }
  if (!facts.enforce_gtid_consistency) {
    problems.emplace_back(
        "enforce_gtid_consistency is not ON; SET PERSIST enforce_gtid_consistency = ON");
  }
  if (facts.server_id == 0) {
    problems.emplace_back("server_id is 0; give each mysqld its own with SET PERSIST server_id");
  }
}

void CheckReplica(const ReplicaFacts& replica, bool log_replica_updates,
                  std::vector<std::string>& problems) {
  if (!replica.configured) {
    return;
  }
  if (!log_replica_updates) {
    problems.emplace_back(
        "a replica without log_replica_updates; start mysqld with log_replica_updates = ON");
  }
  if (!replica.io_running || !replica.sql_running) {
    problems.push_back(absl::StrCat(
        "replication is not running (receiver ", replica.io_running ? "on" : "off", ", applier ",
        replica.sql_running ? "on" : "off", replica.last_error.empty() ? "" : ": ",
        replica.last_error, "); repair it and START REPLICA"));
  }
}

}  // namespace

int VersionNumber(const std::string& version) {
  const std::vector<std::string> parts =
      absl::StrSplit(version.substr(0, version.find_first_not_of("0123456789.")), '.');
  int number = 0;
  for (size_t i = 0; i < 3; ++i) {
    int part = 0;
    if (i >= parts.size() || !absl::SimpleAtoi(parts[i], &part) || part < 0 || part > 99) {
      return 0;
    }
    number = number * 100 + part;
  }
  return number;
}

routing::TabletType EffectiveType(const MysqldFacts& facts, routing::TabletType configured) {
  const bool writable = !facts.super_read_only && (!facts.read_only || facts.closed_by_gate);
  if (writable && !facts.replica.configured) {
    return routing::TabletType::kPrimary;
  }
  return configured == routing::TabletType::kPrimary ? routing::TabletType::kReplica : configured;
}

std::vector<std::string> FindProblems(const MysqldFacts& facts, const std::string& database,
                                      routing::TabletType configured) {
  std::vector<std::string> problems;
  if (facts.version_number < kOldestVersion) {
    problems.push_back(
        absl::StrCat("mysqld ", facts.version, " is too old; 8.0.26 is the oldest that serves"));
  }
  CheckGtids(facts, problems);
  CheckBinlog(facts, problems);
  CheckReplica(facts.replica, facts.log_replica_updates, problems);
  if (facts.lower_case_table_names != 0) {
    problems.push_back(absl::StrCat("lower_case_table_names is ", facts.lower_case_table_names,
                                    "; only 0 serves, which is chosen when the data directory is"
                                    " initialised"));
  }
  if (configured == routing::TabletType::kPrimary && !facts.replica.configured &&
      ((facts.read_only && !facts.closed_by_gate) || facts.super_read_only)) {
    problems.emplace_back(
        "configured as PRIMARY, but read_only is on and it is no replica; SET GLOBAL read_only ="
        " OFF");
  }
  const MissingPrivileges missing =
      FindMissingPrivileges(facts.privileges, database, facts.account, facts.version_number);
  if (!missing.text.empty()) {
    problems.push_back(absl::StrCat("account ", facts.account, " lacks ", missing.text, "; ",
                                    absl::StrJoin(missing.remedies, "; ")));
  }
  return problems;
}

}  // namespace sluice::agent
