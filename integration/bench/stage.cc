// Stage: the cluster, its move, and what its processes have used.

#include "integration/bench/stage.h"

#include <unistd.h>

#include <chrono>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "agent/gate/closed_name.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/programs.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kSourceUid = 100;
constexpr uint32_t kTargetUid = 200;
constexpr char kMove[] = "target.bench";

std::string KeyCount(const std::string& database) {
  return absl::StrCat("SELECT COUNT(*) FROM information_schema.statistics WHERE table_schema = ",
                      mysql::QuoteString(database));
}

}  // namespace

std::vector<std::string> ServerSettings() {
  return {"sync_binlog=1",
          "innodb_flush_log_at_trx_commit=1",
          "innodb_buffer_pool_size=768M",
          "innodb_redo_log_capacity=1G",
          "innodb_log_buffer_size=16M",
          "max_allowed_packet=1G",
          "max_binlog_size=1G",
          "local_infile=ON",
          "table_open_cache=4000",
          "table_definition_cache=4000",
          "performance_schema_max_table_instances=-1"};
}

absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectRoot(uint16_t port,
                                                               const std::string& database) {
  mysql::ConnectionOptions options = cluster::RootOptions(port);
  options.program = "sluice-bench";
  options.database = database;
  options.read_timeout = absl::Hours(1);
  options.write_timeout = absl::Hours(1);
  return mysql::Connection::Connect(options);
}

absl::Status Settle(mysql::Connection& connection) {
  SLUICE_RETURN_IF_ERROR(RunAll(connection, {"SET GLOBAL innodb_max_dirty_pages_pct_lwm = 0",
                                             "SET GLOBAL innodb_max_dirty_pages_pct = 0"}));
  const absl::Time deadline = absl::Now() + absl::Seconds(30);
  int64_t dirty = 1;
  while (dirty > 100 && absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(
        const std::string pages,
        connection.QueryScalar("SELECT variable_value FROM performance_schema.global_status WHERE "
                               "variable_name = 'Innodb_buffer_pool_pages_dirty'"));
    if (!absl::SimpleAtoi(pages, &dirty)) {
      return absl::InternalError("a server that does not count its dirty pages");
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // Delay: between two looks
  }
  sync();
  return RunAll(connection, {"SET GLOBAL innodb_max_dirty_pages_pct = 90",
                             "SET GLOBAL innodb_max_dirty_pages_pct_lwm = 10"});
}

absl::Status PurgeBinlogs(mysql::Connection& connection) {
  SLUICE_RETURN_IF_ERROR(RunAll(connection, {"FLUSH BINARY LOGS"}));
  SLUICE_ASSIGN_OR_RETURN(const std::string file, connection.QueryScalar("SHOW BINARY LOG STATUS"));
  return RunAll(connection, {"PURGE BINARY LOGS TO " + mysql::QuoteString(file)});
}

absl::StatusOr<std::unique_ptr<Stage>> Stage::Start(const Bench& bench) {
  cluster::Topology topology;
  topology.proxies = 0;
  topology.tablets = {{.uid = kSourceUid, .keyspace = "source"},
                      {.uid = kTargetUid, .keyspace = "target"}};
  cluster::ClusterOptions options;
  options.directory = absl::StrCat(bench.options().directory, "/cluster");
  options.bin_directory = bench.options().bin_directory;
  options.dies_with_parent = true;
  options.mysqld_settings = ServerSettings();
  std::unique_ptr<Stage> stage(new Stage());
  SLUICE_ASSIGN_OR_RETURN(stage->cluster_, cluster::Cluster::Up(topology, options));
  SLUICE_ASSIGN_OR_RETURN(stage->source_, ConnectRoot(stage->source_port(), kSourceDatabase));
  SLUICE_ASSIGN_OR_RETURN(stage->target_, ConnectRoot(stage->target_port(), kTargetDatabase));
  return stage;
}

uint16_t Stage::source_port() const {
  return cluster_->FindTablet(kSourceUid)->mysql_port;
}

uint16_t Stage::target_port() const {
  return cluster_->FindTablet(kTargetUid)->mysql_port;
}

absl::Status Stage::Move(const std::string& action, const std::vector<std::string>& flags) {
  std::vector<std::string> arguments = {"movetables", action, kMove};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  SLUICE_ASSIGN_OR_RETURN(cluster::CommandResult result,
                          cluster_->Sluice(arguments, absl::Minutes(10)));
  if (result.exit_code != 0) {
    return absl::InternalError(
        absl::StrCat("sluice ", absl::StrJoin(arguments, " "), ": ", result.errors));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> Stage::CopyAll(const std::vector<std::string>& flags) {
  std::vector<std::string> all = {"--source-keyspace", "source", "--all-tables"};
  all.insert(all.end(), flags.begin(), flags.end());
  const absl::Time begin = absl::Now();
  SLUICE_RETURN_IF_ERROR(Move("create", all));
  SLUICE_RETURN_IF_ERROR(AwaitCopied(absl::Hours(1)));
  absl::Time end = absl::Now();
  SLUICE_ASSIGN_OR_RETURN(bool in_place, KeysInPlace());
  while (!in_place) {
    SLUICE_ASSIGN_OR_RETURN(in_place, KeysInPlace());
    end = absl::Now();
  }
  return absl::ToDoubleSeconds(end - begin);
}

absl::StatusOr<bool> Stage::KeysInPlace() {
  SLUICE_ASSIGN_OR_RETURN(const std::string wanted,
                          source_->QueryScalar(KeyCount(kSourceDatabase)));
  SLUICE_ASSIGN_OR_RETURN(const std::string found, target_->QueryScalar(KeyCount(kTargetDatabase)));
  return wanted == found;
}

absl::Status Stage::AwaitCopied(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult streams,
                            target_->Query("SELECT state, message FROM _sluice.stream"));
    if (streams.rows.size() != 1) {
      return absl::InternalError(
          absl::StrCat("the move has ", streams.rows.size(), " streams instead of one"));
    }
    const std::string state = streams.rows[0][0].value_or("");
    if (state == "running") {
      return absl::OkStatus();
    }
    if (state == "error" || state == "stopped") {
      return absl::InternalError(
          absl::StrCat("the stream is ", state, ": ", streams.rows[0][1].value_or("")));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(10));  // Delay: between two looks
  }
  return absl::DeadlineExceededError("the copy does not end");
}

absl::Status Stage::Cancel() {
  return Move("cancel");
}

absl::StatusOr<uint64_t> Stage::Verify() {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> tables,
                          TablesOf(*source_, kSourceDatabase));
  std::vector<TablePair> pairs;
  pairs.reserve(tables.size());
  for (const std::string& table : tables) {
    pairs.push_back({table, gate::ClosedName(table)});
  }
  return VerifySame(*source_, kSourceDatabase, *target_, kTargetDatabase, pairs);
}

absl::Status Stage::AwaitApplied(const std::string& executed, absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  const std::string sql =
      absl::StrCat("SELECT s.state, s.message, GTID_SUBSET(", mysql::QuoteString(executed),
                   ", p.position) FROM _sluice.stream s JOIN _sluice.stream_position p ON "
                   "p.stream_id = s.id");
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult result, target_->Query(sql));
    if (result.rows.size() != 1 || result.rows[0][0] == "error") {
      return absl::InternalError(
          absl::StrCat("the stream does not run: ",
                       result.rows.empty() ? "there is none" : result.rows[0][1].value_or("")));
    }
    if (result.rows[0][2] == "1") {
      return absl::OkStatus();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(20));  // Delay: between two looks
  }
  return absl::DeadlineExceededError("the stream does not reach the source's position");
}

pid_t Stage::PidOf(const std::string& name) const {
  const auto found = cluster_->layout().processes.find(name);
  return found == cluster_->layout().processes.end() ? 0 : found->second.id.pid;
}

std::vector<pid_t> Stage::AgentPids() const {
  return {PidOf(cluster_->FindTablet(kSourceUid)->agent_name()),
          PidOf(cluster_->FindTablet(kTargetUid)->agent_name())};
}

pid_t Stage::TargetMysqldPid() const {
  return PidOf(cluster_->FindTablet(kTargetUid)->mysqld_name());
}

absl::StatusOr<double> Stage::AgentSeconds() const {
  double sum = 0;
  for (const pid_t pid : AgentPids()) {
    SLUICE_ASSIGN_OR_RETURN(const double seconds, ProcessorSeconds(pid));
    sum += seconds;
  }
  return sum;
}

absl::StatusOr<double> Stage::MysqldSeconds() const {
  double sum = 0;
  for (const uint32_t uid : {kSourceUid, kTargetUid}) {
    SLUICE_ASSIGN_OR_RETURN(const double seconds,
                            ProcessorSeconds(PidOf(cluster_->FindTablet(uid)->mysqld_name())));
    sum += seconds;
  }
  return sum;
}

absl::Status Stage::Clear() {
  for (const auto& [connection, database] :
       {std::pair<mysql::Connection*, std::string>{source_.get(), kSourceDatabase},
        {target_.get(), kTargetDatabase}}) {
    SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> tables, TablesOf(*connection, database));
    for (const std::string& table : tables) {
      SLUICE_RETURN_IF_ERROR(
          RunAll(*connection, {"DROP TABLE " + mysql::QuoteTable(database, table)}));
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice::bench
