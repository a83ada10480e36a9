// A stream that runs: how far it lags, what it uses when nothing happens, and what an application
// feels of a copy.

#include <algorithm>
#include <chrono>
#include <memory>
#include <thread>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/bench.h"
#include "integration/bench/commit_log.h"
#include "integration/bench/data.h"
#include "integration/bench/programs.h"
#include "integration/bench/server.h"
#include "integration/bench/stage.h"
#include "integration/bench/sysbench.h"

namespace sluice::bench {
namespace {

constexpr int kTables = 4;
constexpr uint64_t kRows = 100'000;
constexpr char kLag[] = "lag-p99";
constexpr char kIdleCpu[] = "idle-cpu";
constexpr char kIdleMemory[] = "idle-memory";
constexpr char kIdleBinlog[] = "idle-binlog";
constexpr char kApplication[] = "application-queries";

// A stage whose move is copied and running.
absl::StatusOr<std::unique_ptr<Stage>> StartRunning(Bench& bench) {
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<Stage> stage, Stage::Start(bench));
  SLUICE_RETURN_IF_ERROR(
      MakeTables(stage->source(), SysbenchTables(kTables, bench.Scaled(kRows, 500)), false));
  SLUICE_RETURN_IF_ERROR(stage->CopyAll().status());
  SLUICE_RETURN_IF_ERROR(Settle(stage->target()));
  SLUICE_RETURN_IF_ERROR(Settle(stage->source()));
  return stage;
}

absl::Status MeasureLag(Bench& bench, Stage& stage) {
  const uint64_t seconds = bench.Scaled(30, 3);
  SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage.source()));
  SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage.target()));
  SLUICE_ASSIGN_OR_RETURN(const std::string source_before, ExecutedOf(stage.source()));
  SLUICE_ASSIGN_OR_RETURN(const std::string target_before, ExecutedOf(stage.target()));
  SLUICE_RETURN_IF_ERROR(
      RunSysbench(stage.source_port(), {.script = "oltp_write_only",
                                        .tables = kTables,
                                        .table_rows = bench.Scaled(kRows, 500),
                                        .threads = 8,
                                        .limits = absl::StrCat("--rate=1000 --time=", seconds)}));
  SLUICE_ASSIGN_OR_RETURN(const std::string source_after, ExecutedOf(stage.source()));
  SLUICE_RETURN_IF_ERROR(stage.AwaitApplied(source_after, absl::Minutes(30)));
  SLUICE_ASSIGN_OR_RETURN(const std::string target_after, ExecutedOf(stage.target()));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<SourceCommit> commits,
                          ReadSourceCommits(stage.source_port(), source_before, source_after));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<PositionCommit> positions,
                          ReadPositionCommits(stage.target_port(), target_before, target_after));
  SLUICE_ASSIGN_OR_RETURN(const std::vector<double> lags, Lags(commits, positions));
  if (commits.size() < 2) {
    return absl::InternalError("the source took no transactions");
  }
  const double took =
      static_cast<double>(commits.back().commit_us - commits.front().commit_us) / 1e6;
  bench.Sample(kLag, Percentile(lags, 99));
  bench.Detail(kLag, "p50_ms", Percentile(lags, 50));
  bench.Detail(kLag, "max_ms", Percentile(lags, 100));
  bench.Detail(kLag, "source_transactions_per_s", static_cast<double>(commits.size()) / took);
  bench.Detail(kLag, "target_commits_per_s", static_cast<double>(positions.size()) / took);
  Bench::Say(absl::StrCat(kLag, ": ", Percentile(lags, 99), " ms of ", commits.size()));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage.Verify());
  bench.Verified(kLag, rows);
  return absl::OkStatus();
}

absl::Status RunLag(Bench& bench) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, StartRunning(bench));
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(MeasureLag(bench, *stage));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> BinlogBytes(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult logs, connection.Query("SHOW BINARY LOGS"));
  double sum = 0;
  for (const mysql::Row& row : logs.rows) {
    double bytes = 0;
    if (!absl::SimpleAtod(row[1].value_or(""), &bytes)) {
      return absl::InternalError("a binlog without a size");
    }
    sum += bytes;
  }
  return sum;
}

// The agent that uses most counts.
absl::Status MeasureIdle(Bench& bench, Stage& stage) {
  SLUICE_ASSIGN_OR_RETURN(const double binlog_before, BinlogBytes(stage.target()));
  std::vector<double> cpu_before;
  for (const pid_t pid : stage.AgentPids()) {
    SLUICE_ASSIGN_OR_RETURN(const double seconds, ProcessorSeconds(pid));
    cpu_before.push_back(seconds);
  }
  const absl::Time begin = absl::Now();
  // Delay: what is measured is a time in which nothing happens.
  std::this_thread::sleep_for(std::chrono::seconds(bench.Scaled(30, 3)));
  double cpu = 0;
  double memory = 0;
  const std::vector<pid_t> pids = stage.AgentPids();
  for (size_t i = 0; i < pids.size(); ++i) {
    SLUICE_ASSIGN_OR_RETURN(const double seconds, ProcessorSeconds(pids[i]));
    SLUICE_ASSIGN_OR_RETURN(const double mib, ResidentMib(pids[i]));
    cpu = std::max(cpu, seconds - cpu_before[i]);
    memory = std::max(memory, mib);
    const char* role = i == 0 ? "source_agent" : "target_agent";
    bench.Detail(kIdleCpu, absl::StrCat(role, "_s"), seconds - cpu_before[i]);
    bench.Detail(kIdleMemory, absl::StrCat(role, "_mib"), mib);
  }
  const double took = absl::ToDoubleSeconds(absl::Now() - begin);
  SLUICE_ASSIGN_OR_RETURN(const double binlog_after, BinlogBytes(stage.target()));
  bench.Sample(kIdleCpu, 100 * cpu / took);
  bench.Sample(kIdleMemory, memory);
  bench.Sample(kIdleBinlog, (binlog_after - binlog_before) / 1024 / took);
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage.Verify());
  for (const char* name : {kIdleCpu, kIdleMemory, kIdleBinlog}) {
    bench.Verified(name, rows);
  }
  return absl::OkStatus();
}

absl::Status RunIdle(Bench& bench) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, StartRunning(bench));
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(MeasureIdle(bench, *stage));
  }
  return absl::OkStatus();
}

// Transactions a second that the source has committed, in a time.
class CommitMeter {
 public:
  static absl::StatusOr<CommitMeter> Start(mysql::Connection& connection) {
    CommitMeter meter;
    SLUICE_ASSIGN_OR_RETURN(meter.commits_, Commits(connection));
    return meter;
  }
  absl::StatusOr<double> PerSecond(mysql::Connection& connection) const {
    SLUICE_ASSIGN_OR_RETURN(const double commits, Commits(connection));
    return (commits - commits_) / absl::ToDoubleSeconds(absl::Now() - begin_);
  }

 private:
  // Every transaction of sysbench has the same number of statements and one COMMIT; beside it only
  // agents commit on the source, once a second or so.
  static absl::StatusOr<double> Commits(mysql::Connection& connection) {
    SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult counter,
                            connection.Query("SHOW GLOBAL STATUS LIKE 'Com_commit'"));
    double commits = 0;
    if (counter.rows.empty() || !absl::SimpleAtod(counter.rows[0][1].value_or(""), &commits)) {
      return absl::InternalError("a server that does not count its commits");
    }
    return commits;
  }

  absl::Time begin_ = absl::Now();
  double commits_ = 0;
};

absl::StatusOr<double> RateWithout(Bench& bench, Stage& stage) {
  SLUICE_ASSIGN_OR_RETURN(const CommitMeter meter, CommitMeter::Start(stage.source()));
  // Delay: what is measured is how much is done in this time.
  std::this_thread::sleep_for(std::chrono::seconds(bench.Scaled(20, 2)));
  return meter.PerSecond(stage.source());
}

// While rows are copied, for as long as RateWithout at most.
absl::StatusOr<double> RateDuringCopy(Bench& bench, Stage& stage) {
  std::vector<std::string> flags = {"--source-keyspace", "source", "--all-tables", "--tablet-types",
                                    "PRIMARY"};
  const std::vector<std::string>& more = bench.options().application_flags;
  flags.insert(flags.end(), more.begin(), more.end());
  SLUICE_RETURN_IF_ERROR(stage.Move("create", flags));
  SLUICE_ASSIGN_OR_RETURN(const CommitMeter meter, CommitMeter::Start(stage.source()));
  const absl::Status copied = stage.AwaitCopied(absl::Seconds(bench.Scaled(20, 2)));
  if (!copied.ok() && !absl::IsDeadlineExceeded(copied)) {
    return copied;
  }
  return meter.PerSecond(stage.source());
}

absl::Status MeasureApplication(Bench& bench, Stage& stage, const std::string& command,
                                bool backwards) {
  double without = 0;
  double with = 0;
  {
    SLUICE_ASSIGN_OR_RETURN(const cluster::ProcessId sysbench,
                            cluster::Spawn({.argv = {"/bin/bash", "-c", "exec " + command},
                                            .environment = {},
                                            .directory = "",
                                            .log = bench.options().directory + "/sysbench.log",
                                            .dies_with_parent = true}));
    const auto stop =
        absl::MakeCleanup([&] { cluster::StopProcess(sysbench, absl::Seconds(5)).IgnoreError(); });
    SLUICE_RETURN_IF_ERROR(RateWithout(bench, stage).status());  // until caches are warm
    if (!backwards) {
      SLUICE_ASSIGN_OR_RETURN(without, RateWithout(bench, stage));
    }
    SLUICE_ASSIGN_OR_RETURN(with, RateDuringCopy(bench, stage));
    if (backwards) {
      SLUICE_RETURN_IF_ERROR(stage.Move("stop"));
      SLUICE_ASSIGN_OR_RETURN(without, RateWithout(bench, stage));
      SLUICE_RETURN_IF_ERROR(stage.Move("start"));
    }
    if (!cluster::IsAlive(sysbench)) {
      return absl::InternalError("sysbench ended: " +
                                 cluster::TailOf(bench.options().directory + "/sysbench.log"));
    }
  }
  if (without < 1) {
    return absl::InternalError("the application does nothing");
  }
  SLUICE_RETURN_IF_ERROR(stage.AwaitCopied(absl::Hours(1)));
  SLUICE_ASSIGN_OR_RETURN(const std::string executed, ExecutedOf(stage.source()));
  SLUICE_RETURN_IF_ERROR(stage.AwaitApplied(executed, absl::Hours(1)));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage.Verify());
  SLUICE_RETURN_IF_ERROR(stage.Cancel());
  Bench::Say(absl::StrCat(kApplication, ": ", with, " and ", without, " transactions/s"));
  bench.Verified(kApplication, rows);
  bench.Sample(kApplication, with / without);
  bench.Detail(kApplication, "transactions_per_s_during_copy", with);
  bench.Detail(kApplication, "transactions_per_s_without", without);
  return absl::OkStatus();
}

absl::Status RunApplication(Bench& bench) {
  const uint64_t rows = bench.Scaled(500'000, 1000);
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Start(bench));
  SLUICE_RETURN_IF_ERROR(MakeTables(stage->source(), SysbenchTables(kTables, rows), false));
  SLUICE_ASSIGN_OR_RETURN(const std::string command,
                          SysbenchCommand(stage->source_port(), {.script = "oltp_read_write",
                                                                 .tables = kTables,
                                                                 .table_rows = rows,
                                                                 .threads = 4,
                                                                 .limits = "--time=0 --events=0"}));
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage->target()));
    SLUICE_RETURN_IF_ERROR(MeasureApplication(bench, *stage, command, run % 2 == 1));
    SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage->source()));
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<Group> RunningGroups() {
  std::vector<Group> groups;
  groups.push_back({.measures = {AtMost(kLag, "ms", 100,
                                        "from a commit on the source to that on the target, 99 of "
                                        "100, at 1000 transactions/s of oltp_write_only")},
                    .run = RunLag});
  groups.push_back(
      {.measures = {AtMost(kIdleCpu, "%", 0.5, "of a core, by an agent of an idle stream"),
                    AtMost(kIdleMemory, "MiB", 40, "resident memory of an agent of an idle stream"),
                    AtMost(kIdleBinlog, "KiB/s", 1, "binlog of the target of an idle stream")},
       .run = RunIdle});
  groups.push_back(
      {.measures = {{.name = kApplication,
                     .unit = "ratio",
                     .target = 0.9,
                     .better = Better::kHigher,
                     .what = "rate of oltp_read_write on the source during a copy from "
                             "it, of the rate without"}},
       .run = RunApplication});
  return groups;
}

}  // namespace sluice::bench
