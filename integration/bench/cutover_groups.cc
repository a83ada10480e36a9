// Cutovers under load: what clients feel of them, by the number of shards and tables, and beside a
// long transaction.

#include <algorithm>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/bench/bench.h"
#include "integration/bench/commit_log.h"
#include "integration/bench/cutover_stage.h"
#include "integration/bench/data.h"
#include "integration/bench/sysbench.h"

namespace sluice::bench {
namespace {

constexpr char kOneShard[] = "cutover-one-shard";
constexpr char kOneShardP99[] = "cutover-one-shard-p99";
constexpr char kOneShardErrors[] = "cutover-one-shard-errors";
constexpr char k16Shards[] = "cutover-16-shards";
constexpr char k256Shards[] = "cutover-256-shards";
constexpr char k256Coordinator[] = "cutover-256-shards-coordinator";
constexpr char k100Tables[] = "cutover-100-tables";
constexpr char kLongTransaction[] = "cutover-long-transaction";
// While clients wait, locks are waited for so long.
constexpr double kLockWaitMs = 1000;

// Of several switches, there and back in turn.
struct Series {
  std::vector<double> pauses_ms;
  std::vector<double> gates_ms;
  std::vector<double> fences_ms;
  std::vector<double> commands_ms;
  std::vector<double> coordinator_ms;
  std::vector<double> shares_ms;
  double errors = 0;
  std::string gate_kinds;  // of the last one
};

absl::StatusOr<Series> SwitchToAndFro(CutoverStage& stage, uint64_t pairs) {
  Series series;
  const uint64_t errors_before = stage.load().errors();
  for (uint64_t i = 0; i < 2 * pairs; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const CutoverTimes times, stage.Switch(i % 2 == 1));
    series.pauses_ms.push_back(times.pause_ms);
    series.gates_ms.push_back(times.gates_ms);
    series.fences_ms.push_back(times.fence_ms);
    series.commands_ms.push_back(times.command_ms);
    series.coordinator_ms.push_back(times.coordinator_ms);
    series.shares_ms.push_back(times.share_ms);
    series.gate_kinds = times.gate_kinds;
  }
  series.errors = static_cast<double>(stage.load().errors() - errors_before);
  if (series.errors > 0) {
    Bench::Say("statements that failed: " + stage.load().FirstErrors());
  }
  return series;
}

void NoteDetails(Bench& bench, const std::string& measure, const Series& series, double rate) {
  bench.Detail(measure, "switches", static_cast<double>(series.pauses_ms.size()));
  bench.Detail(measure, "pause_p50_ms", Percentile(series.pauses_ms, 50));
  bench.Detail(measure, "pause_max_ms", Percentile(series.pauses_ms, 100));
  bench.Detail(measure, "fence_p50_ms", Percentile(series.fences_ms, 50));
  bench.Detail(measure, "fence_max_ms", Percentile(series.fences_ms, 100));
  bench.Detail(measure, "gates_p50_ms", Percentile(series.gates_ms, 50));
  bench.Detail(measure, "command_p50_ms", Percentile(series.commands_ms, 50));
  bench.Detail(measure, "client_errors", series.errors);
  bench.Detail(measure, "statements_per_s", rate);
  Bench::Say(absl::StrCat(measure, ": pauses of p50 ", Percentile(series.pauses_ms, 50),
                          " ms, p99 ", Percentile(series.pauses_ms, 99), " ms; ",
                          series.gate_kinds));
}

struct Course {
  CutoverStageOptions stage;
  uint64_t pairs = 1;
  std::vector<std::string> measures;  // whose rows are verified; details go to the first
};

// Every run: so many switches there and back, then both sides compared. `note` gets each series.
template <typename Note>
absl::Status RunCourse(Bench& bench, const Course& course, const Note& note) {
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<CutoverStage> stage,
                          CutoverStage::Start(bench, course.stage));
  SLUICE_RETURN_IF_ERROR(stage->StartLoad(absl::Seconds(bench.Scaled(10, 1))));
  SLUICE_ASSIGN_OR_RETURN(const Series first, SwitchToAndFro(*stage, 1));
  // It opens tables that are still behind the names under which they were copied.
  bench.Detail(course.measures.front(), "first_pause_ms", first.pauses_ms.front());
  bench.Detail(course.measures.front(), "first_gates_ms", first.gates_ms.front());
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_ASSIGN_OR_RETURN(const Series series, SwitchToAndFro(*stage, course.pairs));
    note(series);
    NoteDetails(bench, course.measures.front(), series, stage->rate());
    SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage->Verify());
    for (const std::string& measure : course.measures) {
      bench.Verified(measure, rows);
    }
  }
  return absl::OkStatus();
}

absl::Status RunOneShard(Bench& bench) {
  const Course course = {.stage = {.tables = SysbenchTables(2, bench.Scaled(100'000, 500))},
                         .pairs = bench.Scaled(50, 2),
                         .measures = {kOneShard, kOneShardP99, kOneShardErrors}};
  return RunCourse(bench, course, [&bench](const Series& series) {
    bench.Sample(kOneShard, Percentile(series.pauses_ms, 50));
    bench.Sample(kOneShardP99, Percentile(series.pauses_ms, 99));
    bench.Sample(kOneShardErrors, series.errors);
  });
}

absl::Status Run16Shards(Bench& bench) {
  const Course course = {
      .stage = {.shards = 16, .mysqlds = 2, .tables = SysbenchTables(2, bench.Scaled(10'000, 200))},
      .pairs = bench.Scaled(25, 1),
      .measures = {k16Shards}};
  return RunCourse(bench, course, [&bench](const Series& series) {
    bench.Sample(k16Shards, Percentile(series.pauses_ms, 99));
  });
}

absl::Status Run256Shards(Bench& bench) {
  constexpr int kShards = 256;
  const Course course = {.stage = {.shards = kShards,
                                   .mysqlds = 4,
                                   .tables = SysbenchTables(2, bench.Scaled(1'000, 200))},
                         .pairs = 1,
                         .measures = {k256Shards, k256Coordinator}};
  return RunCourse(bench, course, [&bench](const Series& series) {
    bench.Sample(k256Shards, Percentile(series.gates_ms, 100));
    bench.Sample(k256Coordinator, Percentile(series.shares_ms, 100) / kShards);
    bench.Detail(k256Coordinator, "whole_command_ms",
                 Percentile(series.coordinator_ms, 100) / kShards);
  });
}

absl::Status Run100Tables(Bench& bench) {
  const Course course = {.stage = {.tables = SysbenchTables(100, bench.Scaled(5'000, 200))},
                         .pairs = bench.Scaled(10, 1),
                         .measures = {k100Tables}};
  return RunCourse(bench, course, [&bench](const Series& series) {
    bench.Sample(k100Tables, Percentile(series.pauses_ms, 99));
  });
}

// An application whose transaction has written to a table and does not commit for a while.
class LongTransaction {
 public:
  static absl::StatusOr<std::unique_ptr<LongTransaction>> Begin(CutoverStage& stage, uint64_t id,
                                                                absl::Duration length) {
    SLUICE_ASSIGN_OR_RETURN(auto session, stage.ConnectClient());
    SLUICE_RETURN_IF_ERROR(
        RunAll(*session, {"BEGIN", absl::StrCat("INSERT INTO sbtest1 (id, k, c, pad) VALUES (", id,
                                                ", 1, 'long', 'transaction')")}));
    return std::unique_ptr<LongTransaction>(new LongTransaction(std::move(session), length));
  }
  ~LongTransaction() {
    if (!end_now_.HasBeenNotified()) {
      end_now_.Notify();
    }
  }
  LongTransaction(const LongTransaction&) = delete;
  LongTransaction& operator=(const LongTransaction&) = delete;

  // Waits for its COMMIT, at once where `now`; a transaction must not fail.
  absl::Status End(bool now) {
    if (now) {
      end_now_.Notify();
    }
    thread_.join();
    return Annotate(committed_, now ? "the transaction in the way" : "the long transaction");
  }

 private:
  LongTransaction(std::unique_ptr<mysql::Connection> session, absl::Duration length)
      : session_(std::move(session)), thread_([this, length] {
          end_now_.WaitForNotificationWithTimeout(length);
          committed_ = session_->Execute("COMMIT").status();
        }) {}

  std::unique_ptr<mysql::Connection> session_;
  absl::Notification end_now_;
  absl::Status committed_;
  std::jthread thread_;
};

absl::Status ExpectRow(CutoverStage& stage, uint64_t id) {
  SLUICE_ASSIGN_OR_RETURN(const auto session, stage.ConnectClient());
  SLUICE_ASSIGN_OR_RETURN(
      const std::string rows,
      session->QueryScalar(absl::StrCat("SELECT COUNT(*) FROM sbtest1 WHERE id = ", id)));
  return rows == "1" ? absl::OkStatus()
                     : absl::DataLossError(absl::StrCat("row ", id, " is there ", rows, " times"));
}

// A switch that outlasts the transaction, and one that gives up before it; the clients' pauses.
absl::Status MeasureLongTransaction(Bench& bench, CutoverStage& stage, uint64_t first_id) {
  const absl::Duration length = absl::Seconds(bench.Scaled(10, 4));
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<LongTransaction> waited_for,
                          LongTransaction::Begin(stage, first_id, length));
  SLUICE_ASSIGN_OR_RETURN(const CutoverTimes switched, stage.Switch(false, {"--timeout", "60s"}));
  SLUICE_RETURN_IF_ERROR(waited_for->End(false));
  SLUICE_RETURN_IF_ERROR(ExpectRow(stage, first_id));
  SLUICE_RETURN_IF_ERROR(stage.Switch(true).status());
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<LongTransaction> in_the_way,
                          LongTransaction::Begin(stage, first_id + 1, absl::Minutes(2)));
  SLUICE_ASSIGN_OR_RETURN(const CutoverStage::Refusal refusal,
                          stage.FailToSwitch({"--timeout", "3s"}));
  SLUICE_RETURN_IF_ERROR(in_the_way->End(true));
  // By the probe before the fence, or by the gate if the transaction was still too young for that.
  if (!absl::StrContains(refusal.reason, "sluice_proxy") ||
      !absl::StrContains(refusal.reason, "INSERT INTO sbtest1")) {
    return absl::InternalError("the blocker is not named: " + refusal.reason);
  }
  SLUICE_RETURN_IF_ERROR(ExpectRow(stage, first_id + 1));
  SLUICE_RETURN_IF_ERROR(stage.Switch(false).status());
  SLUICE_RETURN_IF_ERROR(stage.Switch(true).status());
  bench.Sample(kLongTransaction, std::max(switched.pause_ms, refusal.pause_ms));
  bench.Detail(kLongTransaction, "pause_of_the_switch_ms", switched.pause_ms);
  bench.Detail(kLongTransaction, "pause_of_giving_up_ms", refusal.pause_ms);
  bench.Detail(kLongTransaction, "switch_ms", switched.command_ms);
  bench.Detail(kLongTransaction, "transaction_ms", absl::ToDoubleMilliseconds(length));
  return absl::OkStatus();
}

absl::Status RunLongTransaction(Bench& bench) {
  constexpr uint64_t kFirstId = 1'000'000'000;
  SLUICE_ASSIGN_OR_RETURN(
      const std::unique_ptr<CutoverStage> stage,
      CutoverStage::Start(bench, {.tables = SysbenchTables(2, bench.Scaled(100'000, 500))}));
  SLUICE_RETURN_IF_ERROR(stage->StartLoad(absl::Seconds(bench.Scaled(10, 1))));
  SLUICE_RETURN_IF_ERROR(SwitchToAndFro(*stage, 1).status());
  for (size_t run = 0; run < bench.options().runs; ++run) {
    SLUICE_RETURN_IF_ERROR(MeasureLongTransaction(bench, *stage, kFirstId + 2 * run));
    SLUICE_ASSIGN_OR_RETURN(const uint64_t rows, stage->Verify());
    bench.Verified(kLongTransaction, rows);
  }
  bench.Detail(kLongTransaction, "client_errors", static_cast<double>(stage->load().errors()));
  return absl::OkStatus();
}

}  // namespace

std::vector<Group> CutoverGroups() {
  std::vector<Group> groups;
  groups.push_back(
      {.measures = {AtMost(kOneShard, "ms", 50,
                           "longest pause of any client statement, median of 50 switches and "
                           "reversals of two tables"),
                    AtMost(kOneShardP99, "ms", 150, "the same, 99 of 100"),
                    AtMost(kOneShardErrors, "errors", 0,
                           "statements outside transactions that failed meanwhile")},
       .run = RunOneShard});
  groups.push_back({.measures = {AtMost(k16Shards, "ms", 300,
                                        "longest pause of any client statement, 99 of 100 "
                                        "cutovers of 16 shards on two mysqlds a side")},
                    .run = Run16Shards});
  groups.push_back(
      {.measures = {AtMost(k256Shards, "ms", 2000,
                           "from the first gate closed to the last opened, 256 shards on four "
                           "mysqlds a side"),
                    AtMost(k256Coordinator, "ms", 2,
                           "processor time of the coordinator for a shard of these in that time")},
       .run = Run256Shards});
  groups.push_back({.measures = {AtMost(k100Tables, "ms", 500,
                                        "longest pause of any client statement, 99 of 100 "
                                        "cutovers of 100 tables in one shard")},
                    .run = Run100Tables});
  groups.push_back({.measures = {AtMost(kLongTransaction, "ms", kLockWaitMs,
                                        "longest pause of other clients while a transaction of "
                                        "10 s is waited for, or named and not waited for")},
                    .run = RunLongTransaction});
  return groups;
}

}  // namespace sluice::bench
