// Copies of whole tables, side by side with mydumper, mysqldump and LOAD DATA.

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/bench.h"
#include "integration/bench/data.h"
#include "integration/bench/programs.h"
#include "integration/bench/stage.h"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

constexpr char kPeerDatabase[] = "peer";
constexpr char kAgentsCpu[] = "copy-agents-cpu";

// What one group copies.
struct CopyCase {
  std::string prefix;  // of the measures' names
  std::vector<TableSpec> tables;
};

class CopyRace {
 public:
  CopyRace(Bench& bench, CopyCase what) : bench_(bench), what_(std::move(what)) {}

  absl::Status Run();

 private:
  struct Side {
    std::string name;
    std::function<absl::StatusOr<double>()> copy;  // seconds
    std::function<absl::Status()> finish;          // compares the rows, and cleans up
  };

  [[nodiscard]] std::string MeasureOf(const std::string& peer) const {
    return absl::StrCat(what_.prefix, "-vs-", peer);
  }
  absl::Status Prepare();
  absl::Status RunOnce(const std::vector<Side>& sides, bool backwards);
  absl::StatusOr<double> CopyBySluice();
  absl::Status FinishSluice();
  absl::StatusOr<double> CopyByScript(const std::string& script);
  absl::StatusOr<double> CopyByMydumper();
  absl::StatusOr<double> CopyByMysqldump();
  absl::StatusOr<double> CopyByLoadData();
  absl::Status VerifyPeer(const std::string& measure);
  [[nodiscard]] std::string DumpFolder() const { return bench_.options().directory + "/dump"; }

  Bench& bench_;
  const CopyCase what_;
  std::unique_ptr<Stage> stage_;
};

std::string Login(uint16_t port) {
  return absl::StrCat(" -h 127.0.0.1 -P ", port, " -u root ");
}

absl::Status CopyRace::Prepare() {
  SLUICE_ASSIGN_OR_RETURN(stage_, Stage::Start(bench_));
  Bench::Say(absl::StrCat("making the tables of ", what_.prefix));
  SLUICE_RETURN_IF_ERROR(MakeTables(stage_->source(), what_.tables, false));
  SLUICE_RETURN_IF_ERROR(Settle(stage_->source()));
  if (!bench_.Wants(MeasureOf("load-data"))) {
    return absl::OkStatus();
  }
  fs::create_directories(DumpFolder() + "/ready");
  for (const TableSpec& table : what_.tables) {
    SLUICE_RETURN_IF_ERROR(
        RunAll(stage_->source(),
               {absl::StrCat("SELECT * FROM ", mysql::QuoteName(table.name), " INTO OUTFILE ",
                             mysql::QuoteString(DumpFolder() + "/ready/" + table.name),
                             " CHARACTER SET utf8mb4")}));
  }
  return absl::OkStatus();
}

absl::StatusOr<double> CopyRace::CopyBySluice() {
  SLUICE_ASSIGN_OR_RETURN(const double agents, stage_->AgentSeconds());
  SLUICE_ASSIGN_OR_RETURN(const double mysqlds, stage_->MysqldSeconds());
  SLUICE_ASSIGN_OR_RETURN(const double seconds, stage_->CopyAll());
  SLUICE_ASSIGN_OR_RETURN(const double agents_after, stage_->AgentSeconds());
  SLUICE_ASSIGN_OR_RETURN(const double mysqlds_after, stage_->MysqldSeconds());
  if (what_.prefix == "copy-sysbench") {
    bench_.Sample(kAgentsCpu, 100 * (agents_after - agents) / (mysqlds_after - mysqlds));
    bench_.Detail(kAgentsCpu, "agents_s", agents_after - agents);
    bench_.Detail(kAgentsCpu, "mysqlds_s", mysqlds_after - mysqlds);
  }
  return seconds;
}

absl::Status CopyRace::FinishSluice() {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage_->Verify());
  for (const char* peer : {"mydumper", "load-data", "mysqldump"}) {
    bench_.Verified(MeasureOf(peer), rows);
  }
  bench_.Verified(kAgentsCpu, rows);
  return stage_->Cancel();
}

absl::StatusOr<double> CopyRace::CopyByScript(const std::string& script) {
  const absl::Time begin = absl::Now();
  SLUICE_RETURN_IF_ERROR(RunScript(script).status());
  return absl::ToDoubleSeconds(absl::Now() - begin);
}

absl::StatusOr<double> CopyRace::CopyByMydumper() {
  SLUICE_ASSIGN_OR_RETURN(const std::string mydumper, FindProgram("mydumper"));
  SLUICE_ASSIGN_OR_RETURN(const std::string myloader, FindProgram("myloader"));
  const std::string folder = ShellQuote(DumpFolder() + "/mydumper");
  // A single table is read by both of its threads only where it is cut.
  const std::string cut =
      what_.tables.size() == 1 ? absl::StrCat(" -r ", what_.tables[0].rows / 8 + 1) : "";
  SLUICE_RETURN_IF_ERROR(RunScript("rm -rf " + folder).status());
  SLUICE_ASSIGN_OR_RETURN(
      const double seconds,
      CopyByScript(absl::StrCat(mydumper, Login(stage_->source_port()),
                                "-t 2 --trx-consistency-only -B ", kSourceDatabase, cut, " -o ",
                                folder, "\n", myloader, Login(stage_->target_port()), "-t 2 -e -B ",
                                kPeerDatabase, " -d ", folder)));
  SLUICE_RETURN_IF_ERROR(RunScript("rm -rf " + folder).status());
  return seconds;
}

absl::StatusOr<double> CopyRace::CopyByMysqldump() {
  SLUICE_ASSIGN_OR_RETURN(const std::string mysqldump, FindProgram("mysqldump"));
  SLUICE_ASSIGN_OR_RETURN(const std::string mysql, FindProgram("mysql"));
  return CopyByScript(absl::StrCat(mysqldump, Login(stage_->source_port()),
                                   "--single-transaction --set-gtid-purged=OFF --no-tablespaces "
                                   "--max-allowed-packet=1G ",
                                   kSourceDatabase, " | ", mysql, Login(stage_->target_port()),
                                   "--max-allowed-packet=1G ", kPeerDatabase));
}

// The limit: tables stand ready without secondary keys, each is loaded by a session of its own from
// a file on the server's disk, then its keys are added.
absl::StatusOr<double> CopyRace::CopyByLoadData() {
  std::vector<std::unique_ptr<mysql::Connection>> sessions;
  sessions.reserve(what_.tables.size());
  for (const TableSpec& table : what_.tables) {
    SLUICE_ASSIGN_OR_RETURN(auto session, ConnectRoot(stage_->target_port(), kPeerDatabase));
    SLUICE_RETURN_IF_ERROR(RunAll(*session, {CreateStatement(table, false)}));
    sessions.push_back(std::move(session));
  }
  std::vector<absl::Status> loaded(what_.tables.size());
  const absl::Time begin = absl::Now();
  {
    std::vector<std::jthread> threads;
    for (size_t i = 0; i < what_.tables.size(); ++i) {
      threads.emplace_back([&, i] {
        const TableSpec& table = what_.tables[i];
        loaded[i] = RunAll(
            *sessions[i],
            {absl::StrCat("LOAD DATA INFILE ",
                          mysql::QuoteString(DumpFolder() + "/ready/" + table.name), " INTO TABLE ",
                          mysql::QuoteName(table.name), " CHARACTER SET utf8mb4"),
             AddKeysStatement(table)});
      });
    }
  }
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  for (const absl::Status& status : loaded) {
    SLUICE_RETURN_IF_ERROR(status);
  }
  return seconds;
}

absl::Status CopyRace::VerifyPeer(const std::string& measure) {
  std::vector<TablePair> pairs;
  pairs.reserve(what_.tables.size());
  for (const TableSpec& table : what_.tables) {
    pairs.push_back({table.name, table.name});
  }
  SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, VerifySame(stage_->source(), kSourceDatabase,
                                                          stage_->target(), kPeerDatabase, pairs));
  bench_.Verified(measure, rows);
  return absl::OkStatus();
}

absl::Status CopyRace::RunOnce(const std::vector<Side>& sides, bool backwards) {
  std::map<std::string, double> seconds;
  std::map<std::string, double> mysqlds;  // their processor seconds
  for (size_t i = 0; i < sides.size(); ++i) {
    const Side& side = sides[backwards ? sides.size() - 1 - i : i];
    SLUICE_RETURN_IF_ERROR(
        RunAll(stage_->target(), {absl::StrCat("DROP DATABASE IF EXISTS ", kPeerDatabase),
                                  absl::StrCat("CREATE DATABASE ", kPeerDatabase)}));
    SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage_->target()));
    SLUICE_RETURN_IF_ERROR(Settle(stage_->target()));
    SLUICE_ASSIGN_OR_RETURN(const double used, stage_->MysqldSeconds());
    absl::StatusOr<double> took = side.copy();
    if (!took.ok()) {
      return Annotate(took.status(), side.name);
    }
    SLUICE_ASSIGN_OR_RETURN(const double used_after, stage_->MysqldSeconds());
    seconds[side.name] = *took;
    mysqlds[side.name] = used_after - used;
    Bench::Say(absl::StrCat(what_.prefix, ": ", side.name, " ", *took, " s"));
    SLUICE_RETURN_IF_ERROR(Annotate(side.finish(), side.name));
  }
  for (const auto& [name, took] : seconds) {
    if (name == "sluice") {
      continue;
    }
    const std::string measure = MeasureOf(name);
    bench_.Sample(measure, took / seconds["sluice"]);
    for (const std::string& side : {std::string("sluice"), name}) {
      bench_.Detail(measure, side + "_s", seconds[side]);
      bench_.Detail(measure, side + "_mysqlds_cpu_s", mysqlds[side]);
    }
  }
  return absl::OkStatus();
}

absl::Status CopyRace::Run() {
  SLUICE_RETURN_IF_ERROR(Prepare());
  std::vector<Side> sides = {
      {"sluice", [this] { return CopyBySluice(); }, [this] { return FinishSluice(); }}};
  const auto add = [&](const std::string& name, absl::StatusOr<double> (CopyRace::*copy)()) {
    if (bench_.Wants(MeasureOf(name))) {
      sides.push_back({name, [this, copy] { return (this->*copy)(); },
                       [this, name] { return VerifyPeer(MeasureOf(name)); }});
    }
  };
  add("mydumper", &CopyRace::CopyByMydumper);
  add("load-data", &CopyRace::CopyByLoadData);
  add("mysqldump", &CopyRace::CopyByMysqldump);
  for (size_t run = 0; run < bench_.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(RunOnce(sides, run % 2 == 1));
  }
  stage_.reset();
  fs::remove_all(DumpFolder());
  return absl::OkStatus();
}

absl::Status RunManyTables(Bench& bench) {
  const std::string name = "copy-many-tables";
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<Stage> stage, Stage::Start(bench));
  Bench::Say("making the tables of " + name);
  SLUICE_RETURN_IF_ERROR(
      MakeManyTables(stage->source(), SysbenchTable("t", 200), bench.Scaled(1000, 10)));
  SLUICE_RETURN_IF_ERROR(Settle(stage->source()));
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(PurgeBinlogs(stage->target()));
    SLUICE_RETURN_IF_ERROR(Settle(stage->target()));
    SLUICE_ASSIGN_OR_RETURN(const double seconds, stage->CopyAll());
    Bench::Say(absl::StrCat(name, ": ", seconds, " s"));
    SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage->Verify());
    bench.Sample(name, seconds);
    bench.Verified(name, rows);
    SLUICE_RETURN_IF_ERROR(stage->Cancel());
  }
  return absl::OkStatus();
}

Group RaceGroup(const std::string& prefix, const std::string& what,
                std::function<std::vector<TableSpec>(const Bench&)> tables) {
  Group group;
  for (const auto& [peer, target, words] :
       {std::tuple<const char*, double, const char*>{"mydumper", 1.0, "mydumper and myloader"},
        {"load-data", 0.8, "LOAD DATA from ready files, the practical limit"},
        {"mysqldump", 1.0, "mysqldump | mysql"}}) {
    group.measures.push_back({.name = absl::StrCat(prefix, "-vs-", peer),
                              .unit = "ratio",
                              .target = target,
                              .better = Better::kHigher,
                              .what = absl::StrCat("copy of ", what, ", against ", words)});
  }
  group.run = [prefix, tables = std::move(tables)](Bench& bench) {
    return CopyRace(bench, {.prefix = prefix, .tables = tables(bench)}).Run();
  };
  return group;
}

}  // namespace

std::vector<Group> CopyGroups() {
  std::vector<Group> groups;
  groups.push_back(RaceGroup("copy-sysbench", "2 tables of 1 M rows", [](const Bench& bench) {
    const uint64_t rows = bench.Scaled(1'000'000, 1000);
    return std::vector<TableSpec>{SysbenchTable("sbtest1", rows), SysbenchTable("sbtest2", rows)};
  }));
  groups.back().measures.push_back(
      {.name = kAgentsCpu,
       .unit = "%",
       .target = 20,
       .better = Better::kLower,
       .what = "processor time of both agents in that copy, of that of both mysqlds"});
  groups.push_back(
      RaceGroup("copy-wide", "2 tables of 150 000 rows of 1 KB", [](const Bench& bench) {
        const uint64_t rows = bench.Scaled(150'000, 500);
        return std::vector<TableSpec>{WideTable("wide1", rows), WideTable("wide2", rows)};
      }));
  groups.push_back(RaceGroup("copy-single", "one table of 2 M rows", [](const Bench& bench) {
    return std::vector<TableSpec>{SysbenchTable("sbtest1", bench.Scaled(2'000'000, 2000))};
  }));
  groups.push_back({.measures = {{.name = "copy-many-tables",
                                  .unit = "s",
                                  .target = 10,
                                  .better = Better::kLower,
                                  .what = "copy of 1000 tables of 200 rows"}},
                    .run = RunManyTables});
  return groups;
}

}  // namespace sluice::bench
