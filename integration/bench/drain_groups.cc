// Backlogs of the source's binlog, drained by a stream, by mysqld's own applier, and by
// mysqlbinlog.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/bench.h"
#include "integration/bench/data.h"
#include "integration/bench/programs.h"
#include "integration/bench/server.h"
#include "integration/bench/stage.h"
#include "integration/bench/sysbench.h"

namespace sluice::bench {
namespace {

constexpr uint32_t kReplicaServerId = 901;
constexpr uint32_t kPipedServerId = 902;

struct DrainCase {
  std::string name;  // of the measure against the replica
  std::vector<TableSpec> tables;
  std::function<absl::Status(Stage& stage)> load;
};

class DrainRace {
 public:
  DrainRace(Bench& bench, DrainCase what) : bench_(bench), what_(std::move(what)) {}

  absl::Status Run();

 private:
  struct Side {
    std::string name;
    std::function<absl::Status()> drain;
    mysql::Connection* server;
    pid_t mysqld;
  };

  // The measure against mysqlbinlog.
  [[nodiscard]] std::string PipedName() const { return what_.name + "-vs-mysqlbinlog"; }
  [[nodiscard]] bool WithPiped() const { return bench_.Wants(PipedName()); }
  absl::Status Prepare();
  absl::Status MakeBacklog();
  absl::Status RunOnce(const std::vector<Side>& sides, bool backwards);
  absl::Status DrainByStream();
  absl::Status DrainByReplica();
  absl::Status DrainByMysqlbinlog();
  absl::Status Verify();

  Bench& bench_;
  const DrainCase what_;
  std::unique_ptr<Stage> stage_;
  std::unique_ptr<Server> replica_;
  std::unique_ptr<Server> piped_;
  std::string executed_;      // what the source has executed with the backlog
  std::string backlog_file_;  // the binlog that the backlog begins in
};

absl::Status DrainRace::Prepare() {
  const std::string& directory = bench_.options().directory;
  SLUICE_ASSIGN_OR_RETURN(stage_, Stage::Start(bench_));
  SLUICE_ASSIGN_OR_RETURN(replica_, Server::Start(directory + "/replica", kReplicaServerId));
  SLUICE_RETURN_IF_ERROR(replica_->Follow(stage_->source_port()));
  if (WithPiped()) {
    SLUICE_ASSIGN_OR_RETURN(piped_, Server::Start(directory + "/piped", kPipedServerId));
    SLUICE_RETURN_IF_ERROR(piped_->Follow(stage_->source_port()));
  }
  Bench::Say("making the tables of " + what_.name);
  SLUICE_RETURN_IF_ERROR(MakeTables(stage_->source(), what_.tables, true));
  SLUICE_ASSIGN_OR_RETURN(executed_, ExecutedOf(stage_->source()));
  SLUICE_RETURN_IF_ERROR(replica_->AwaitExecuted(executed_));
  if (WithPiped()) {
    SLUICE_RETURN_IF_ERROR(piped_->AwaitExecuted(executed_));
    SLUICE_RETURN_IF_ERROR(RunAll(piped_->root(), {"STOP REPLICA", "RESET REPLICA ALL"}));
  }
  return stage_->CopyAll().status();
}

absl::Status DrainRace::MakeBacklog() {
  SLUICE_RETURN_IF_ERROR(RunAll(replica_->root(), {"STOP REPLICA SQL_THREAD"}));
  SLUICE_RETURN_IF_ERROR(stage_->Move("stop"));
  SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage_->source()));
  SLUICE_ASSIGN_OR_RETURN(backlog_file_, stage_->source().QueryScalar("SHOW BINARY LOG STATUS"));
  SLUICE_RETURN_IF_ERROR(what_.load(*stage_));
  SLUICE_RETURN_IF_ERROR(Settle(stage_->source()));
  SLUICE_ASSIGN_OR_RETURN(executed_, ExecutedOf(stage_->source()));
  return replica_->AwaitReceived(executed_);
}

absl::Status DrainRace::DrainByStream() {
  SLUICE_RETURN_IF_ERROR(stage_->Move("start"));
  return stage_->AwaitApplied(executed_, absl::Hours(1));
}

absl::Status DrainRace::DrainByReplica() {
  SLUICE_RETURN_IF_ERROR(RunAll(replica_->root(), {"START REPLICA SQL_THREAD"}));
  return replica_->AwaitExecuted(executed_);
}

absl::Status DrainRace::DrainByMysqlbinlog() {
  SLUICE_ASSIGN_OR_RETURN(const std::string mysqlbinlog, FindProgram("mysqlbinlog"));
  SLUICE_ASSIGN_OR_RETURN(const std::string mysql, FindProgram("mysql"));
  SLUICE_ASSIGN_OR_RETURN(const std::string has, ExecutedOf(piped_->root()));
  return RunScript(absl::StrCat(mysqlbinlog, " --read-from-remote-server -h 127.0.0.1 -u root -P ",
                                stage_->source_port(), " --exclude-gtids=", ShellQuote(has),
                                " --to-last-log ", backlog_file_, " | ", mysql,
                                " --binary-mode -h 127.0.0.1 -u root -P ", piped_->port()))
      .status();
}

absl::Status DrainRace::Verify() {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage_->Verify());
  bench_.Verified(what_.name, rows);
  bench_.Verified(PipedName(), rows);
  std::vector<TablePair> pairs;
  pairs.reserve(what_.tables.size());
  for (const TableSpec& table : what_.tables) {
    pairs.push_back({table.name, table.name});
  }
  for (Server* server : {replica_.get(), piped_.get()}) {
    if (server != nullptr) {
      SLUICE_ASSIGN_OR_RETURN(
          const uint64_t peer_rows,
          VerifySame(stage_->source(), kSourceDatabase, server->root(), kSourceDatabase, pairs));
      bench_.Verified(server == replica_.get() ? what_.name : PipedName(), peer_rows);
    }
  }
  return absl::OkStatus();
}

absl::Status DrainRace::RunOnce(const std::vector<Side>& sides, bool backwards) {
  SLUICE_RETURN_IF_ERROR(MakeBacklog());
  std::map<std::string, double> seconds;
  std::map<std::string, double> mysqlds;  // processor seconds of the one that is written to
  for (size_t i = 0; i < sides.size(); ++i) {
    const Side& side = sides[backwards ? sides.size() - 1 - i : i];
    SLUICE_RETURN_IF_ERROR(PurgeBinlogs(*side.server));
    SLUICE_RETURN_IF_ERROR(Settle(*side.server));
    SLUICE_ASSIGN_OR_RETURN(const double used, ProcessorSeconds(side.mysqld));
    const absl::Time begin = absl::Now();
    SLUICE_RETURN_IF_ERROR(Annotate(side.drain(), side.name));
    seconds[side.name] = absl::ToDoubleSeconds(absl::Now() - begin);
    SLUICE_ASSIGN_OR_RETURN(const double used_after, ProcessorSeconds(side.mysqld));
    mysqlds[side.name] = used_after - used;
    Bench::Say(absl::StrCat(what_.name, ": ", side.name, " ", seconds[side.name], " s"));
  }
  SLUICE_RETURN_IF_ERROR(Verify());
  for (const auto& [peer, measure] :
       {std::pair<std::string, std::string>{"replica", what_.name}, {"mysqlbinlog", PipedName()}}) {
    if (seconds.contains(peer)) {
      bench_.Sample(measure, seconds[peer] / seconds["sluice"]);
      for (const std::string& side : {std::string("sluice"), peer}) {
        bench_.Detail(measure, side + "_s", seconds[side]);
        bench_.Detail(measure, side + "_mysqld_cpu_s", mysqlds[side]);
      }
    }
  }
  return absl::OkStatus();
}

absl::Status DrainRace::Run() {
  SLUICE_RETURN_IF_ERROR(Prepare());
  std::vector<Side> sides = {
      {"sluice", [this] { return DrainByStream(); }, &stage_->target(), stage_->TargetMysqldPid()},
      {"replica", [this] { return DrainByReplica(); }, &replica_->root(), replica_->pid()}};
  if (WithPiped()) {
    sides.push_back(
        {"mysqlbinlog", [this] { return DrainByMysqlbinlog(); }, &piped_->root(), piped_->pid()});
  }
  for (size_t run = 0; run < bench_.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(RunOnce(sides, run % 2 == 1));
  }
  return absl::OkStatus();
}

using Load = std::function<absl::Status(Bench& bench, Stage& stage, uint64_t rows)>;

// A load of sysbench of so many transactions.
Load Sysbench(const std::string& script, const std::string& limits, uint64_t rows_at_most) {
  return [=](Bench& bench, Stage& stage, uint64_t rows) {
    return RunSysbench(
        stage.source_port(),
        {.script = script,
         .tables = 4,
         .table_rows = std::min(rows, rows_at_most),
         .threads = 4,
         .limits = absl::StrCat(limits, " --time=0 --events=", bench.Scaled(60'000, 200))});
  };
}

Group DrainGroup(MeasureSpec measure, int tables, uint64_t rows, const Load& load) {
  Group group;
  const std::string name = measure.name;
  group.measures = {std::move(measure)};
  group.run = [=](Bench& bench) {
    const uint64_t scaled = bench.Scaled(rows, 500);
    return DrainRace(bench, {.name = name,
                             .tables = SysbenchTables(tables, scaled),
                             .load = [&bench, load,
                                      scaled](Stage& stage) { return load(bench, stage, scaled); }})
        .Run();
  };
  return group;
}

MeasureSpec AgainstReplica(const std::string& name, double target, const std::string& what) {
  return {.name = name,
          .unit = "ratio",
          .target = target,
          .better = Better::kHigher,
          .what = absl::StrCat("draining ", what, ", against mysqld's applier with 4 workers")};
}

}  // namespace

std::vector<Group> DrainGroups() {
  constexpr uint64_t kRows = 100'000;
  std::vector<Group> groups;
  groups.push_back(
      DrainGroup(AgainstReplica("drain-write-only", 4, "60 000 transactions of oltp_write_only"), 4,
                 kRows, Sysbench("oltp_write_only", "", kRows)));
  groups.back().measures.push_back({.name = "drain-write-only-vs-mysqlbinlog",
                                    .unit = "ratio",
                                    .target = 1,
                                    .better = Better::kHigher,
                                    .what = "draining the same, against mysqlbinlog | mysql"});
  groups.push_back(
      DrainGroup(AgainstReplica("drain-multi-row-update", 1.5, "one UPDATE of 1 M rows"), 1,
                 1'000'000, [](Bench& /*bench*/, Stage& stage, uint64_t /*rows*/) {
                   return RunAll(stage.source(), {"UPDATE sbtest1 SET k = k + 1, c = REVERSE(c)"});
                 }));
  groups.push_back(
      DrainGroup(AgainstReplica("drain-random-updates", 1.5, "60 000 updates of random rows"), 4,
                 kRows, Sysbench("oltp_update_non_index", "--rand-type=uniform", kRows)));
  groups.push_back(DrainGroup(AgainstReplica("drain-hot-rows", 1.5, "60 000 updates of 40 rows"), 4,
                              kRows, Sysbench("oltp_update_non_index", "--rand-type=uniform", 10)));
  groups.push_back(DrainGroup(AgainstReplica("drain-inserts", 1.5, "60 000 inserts"), 4, kRows,
                              Sysbench("oltp_insert", "", kRows)));
  return groups;
}

}  // namespace sluice::bench
