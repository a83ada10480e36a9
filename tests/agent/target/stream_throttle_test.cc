// Throttled streams between real mysqlds.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kRows = 20'000;
// A second, and as much again for a machine that is busy with something else.
constexpr absl::Duration kSoon = absl::Seconds(2);

bool CopyWaits(const SeenStatus& status) {
  return status.throttled_component == "copy";
}

class StreamThrottleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    world_ = StreamWorld::Start({});
    ASSERT_NE(world_, nullptr);
    for (Mysqld* server : {&world_->source_mysqld(), &world_->target_mysqld()}) {
      const auto connection = ConnectTo(*server, "");
      ASSERT_NE(connection, nullptr);
      for (const char* sql : {"CREATE DATABASE control", "CREATE TABLE control.knob (v INT)",
                              "INSERT INTO control.knob VALUES (0)"}) {
        ASSERT_TRUE(connection->Execute(sql).ok()) << sql;
      }
    }
    world_->CreateTable("t (id INT PRIMARY KEY, v VARCHAR(200) NOT NULL)");
    world_->OnSource(
        {"SET SESSION cte_max_recursion_depth = 1000000",
         absl::StrCat("INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 "
                      "FROM n WHERE i < ",
                      kRows, ") SELECT i, REPEAT('v', 150) FROM n")});
    spec_ = StreamWorld::Spec(1, {"t"});
    // Many small commits, so that a copy takes a while and stops soon.
    spec_.options.tuning = {
        {"copy-workers", "1"}, {"copy-rows-max", "20"}, {"copy-bytes-max", "16KiB"}};
  }

  void Tune(const std::string& name, const std::string& value) {
    spec_.options.tuning.push_back({name, value});
  }
  static void Turn(const Mysqld& server, int value) {
    const auto connection = ConnectTo(server, "control");
    ASSERT_NE(connection, nullptr);
    ASSERT_TRUE(connection->Execute(absl::StrCat("UPDATE knob SET v = ", value)).ok());
  }
  void AwaitSomeRows() {
    world_->AwaitStatus(
        1, [this](const SeenStatus& status) { return status.rows_copied > some_rows_; });
  }
  // Statements that the target has run, of any number of rows.
  uint64_t InsertsInto(const std::string& table) {
    const auto root = ConnectTo(world_->target_mysqld(), "");
    const auto count = root->QueryScalar(absl::StrCat(
        "SELECT SUM(COUNT_STAR) FROM performance_schema.events_statements_summary_by_digest "
        "WHERE DIGEST_TEXT LIKE 'INSERT INTO%`",
        table, "` (%'"));
    uint64_t number = 0;
    EXPECT_TRUE(count.ok() && absl::SimpleAtoi(*count, &number)) << count.status();
    return number;
  }
  // What `stop` does is soon seen, and no more rows come then.
  void ExpectStopped(const std::function<void()>& stop) {
    AwaitSomeRows();
    const absl::Time begun = absl::Now();
    stop();
    world_->AwaitStatus(1, CopyWaits);
    const absl::Duration took = absl::Now() - begun;
    RecordProperty("stopped_ms", static_cast<int>(absl::ToInt64Milliseconds(took)));
    EXPECT_LT(took, kSoon);
    absl::SleepFor(kSoon);  // Delay: for a commit that is under way.
    const auto before = world_->Status(1);
    ASSERT_TRUE(before.ok());
    EXPECT_LT(before->rows_copied, rows_) << "the copy was over before it could be throttled";
    absl::SleepFor(absl::Seconds(1));  // Delay: in which rows would come that must not.
    const auto after = world_->Status(1);
    ASSERT_TRUE(after.ok());
    EXPECT_EQ(after->rows_copied, before->rows_copied);
    EXPECT_EQ(after->throttled_component, "copy");
    EXPECT_GT(after->time_throttled, 0);
  }
  std::string Reason() { return world_->Status(1)->throttled_reason; }
  void ExpectWhole() {
    const SeenStatus status = world_->AwaitState(1, StreamState::RUNNING);
    EXPECT_THAT(status.throttled_component, IsEmpty());
    world_->Drain(1);
    for (const std::string& table : spec_.tables) {
      world_->ExpectSame(table);
    }
  }

  std::unique_ptr<StreamWorld> world_;
  target::StreamSpec spec_;
  uint64_t rows_ = kRows;  // of all tables
  uint64_t some_rows_ = 100;
};

TEST_F(StreamThrottleTest, ABusyTargetStopsTheCopyWithinASecondAndIsNamed) {
  Tune("target-query", "SELECT v FROM control.knob");
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] { Turn(world_->target_mysqld(), 7); });
  EXPECT_EQ(Reason(), "target: the throttle query's value 7 is above 0");
  Turn(world_->target_mysqld(), 0);
  ExpectWhole();
}

TEST_F(StreamThrottleTest, ABusySourceStopsTheCopyWithinASecondAndIsNamed) {
  Tune("source-query", "SELECT v FROM control.knob");
  Tune("source-query-max", "5");
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] { Turn(world_->source_mysqld(), 6); });
  EXPECT_EQ(Reason(), "source zone1-100: the throttle query's value 6 is above 5");
  Turn(world_->source_mysqld(), 5);
  ExpectWhole();
}

TEST_F(StreamThrottleTest, ASourceThatIsBusyFromTheStartIsNotReadFrom) {
  Turn(world_->source_mysqld(), 1);
  Tune("source-query", "SELECT v FROM control.knob");
  ASSERT_TRUE(world_->Create(spec_).ok());
  const SeenStatus status = world_->AwaitStatus(1, CopyWaits);
  EXPECT_EQ(status.rows_copied, 0U);
  EXPECT_THAT(status.position, IsEmpty()) << "no snapshot was opened";
  Turn(world_->source_mysqld(), 0);
  ExpectWhole();
}

TEST_F(StreamThrottleTest, WhatCannotBeMeasuredStopsTheCopy) {
  Tune("target-query", "SELECT v FROM control.knob");
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] { world_->OnTarget({"RENAME TABLE control.knob TO control.gone"}); });
  EXPECT_THAT(Reason(), AllOf(HasSubstr("could not be measured"), HasSubstr("control.knob")));
  world_->OnTarget({"RENAME TABLE control.gone TO control.knob"});
  ExpectWhole();
}

TEST_F(StreamThrottleTest, TheSwitchStopsTheCopyAndSurvivesTheAgent) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] {
    spec_.throttled = "backup";
    const auto updated = world_->Update(spec_, 1);
    ASSERT_TRUE(updated.ok()) << updated.status();
  });
  EXPECT_EQ(Reason(), "throttled by hand: backup");
  const uint64_t copied = world_->Status(1)->rows_copied;
  world_->StopTarget();
  world_->StartTarget();
  const SeenStatus again = world_->AwaitStatus(1, CopyWaits);
  EXPECT_EQ(again.throttled_reason, "throttled by hand: backup");
  EXPECT_EQ(again.rows_copied, copied);
  spec_.throttled.clear();
  ASSERT_TRUE(world_->Update(spec_, 2).ok());
  ExpectWhole();
}

TEST_F(StreamThrottleTest, TheSwitchForAllStopsTheCopy) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] { world_->TellSwitch("peak hours"); });
  EXPECT_EQ(Reason(), "all workflows are throttled by hand: peak hours");
  world_->TellSwitch("");
  ExpectWhole();
}

// The snapshot is given up, the binlog is not.
TEST_F(StreamThrottleTest, WhileTheCopyWaitsChangesAreApplied) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] {
    spec_.throttled = "backup";
    ASSERT_TRUE(world_->Update(spec_, 1).ok());
  });
  world_->OnSource({"UPDATE t SET v = 'changed' WHERE id = 1",
                    absl::StrCat("INSERT INTO t VALUES (", kRows + 1, ", 'new')")});
  const SeenStatus status = world_->AwaitStatus(
      1, [](const SeenStatus& seen) { return seen.rows_applied >= 2; }, absl::Seconds(40));
  EXPECT_EQ(status.throttled_component, "copy");
  const auto target = ConnectTo(world_->target_mysqld(), kTargetDatabase);
  EXPECT_EQ(*target->QueryScalar("SELECT v FROM t WHERE id = 1"), "changed");
  spec_.throttled.clear();
  ASSERT_TRUE(world_->Update(spec_, 2).ok());
  ExpectWhole();
}

TEST_F(StreamThrottleTest, ApplyingWaitsOnlyIfWantedAndNotForEver) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  world_->AwaitState(1, StreamState::RUNNING);
  spec_.throttled = "backup";
  ASSERT_TRUE(world_->Update(spec_, 1).ok());
  world_->OnSource({"UPDATE t SET v = 'one' WHERE id = 1"});
  world_->Drain(1);  // not throttled: nobody wanted it

  Tune("throttle-apply", "on");
  Tune("throttle-apply-lag-max", "3s");
  ASSERT_TRUE(world_->Update(spec_, 2).ok());
  world_->AwaitState(1, StreamState::RUNNING);
  const uint64_t applied = world_->Status(1)->rows_applied;
  world_->OnSource({"UPDATE t SET v = 'two' WHERE id = 1"});
  const SeenStatus waits = world_->AwaitStatus(
      1, [](const SeenStatus& seen) { return seen.throttled_component == "apply"; });
  EXPECT_EQ(waits.throttled_reason, "throttled by hand: backup");
  EXPECT_EQ(waits.rows_applied, applied);
  world_->AwaitStatus(1, [&](const SeenStatus& seen) { return seen.rows_applied > applied; });
  // A cutover waits for its marker, and not for the throttle.
  world_->OnSource({"UPDATE t SET v = 'three' WHERE id = 1"});
  world_->Drain(1);
  world_->ExpectSame("t");
}

TEST_F(StreamThrottleTest, AnUpdateTakesEffectWhileItRunsAndKeepsThePosition) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  AwaitSomeRows();
  // Larger chunks: the rest comes in a few commits, and nothing is copied twice.
  const uint64_t slow = world_->Status(1)->copy_times.writes;
  spec_.options.tuning = {{"copy-workers", "2"}};
  const auto updated = world_->Update(spec_, 1);
  ASSERT_TRUE(updated.ok()) << updated.status();
  const SeenStatus running = world_->AwaitState(1, StreamState::RUNNING);
  EXPECT_EQ(running.rows_copied, kRows);
  EXPECT_GT(running.copy_times.writes, 0U);
  EXPECT_LT(running.copy_times.writes - slow, kRows / 20 / 4);

  world_->OnSource({"UPDATE t SET v = 'x' WHERE id <= 100"});
  world_->Drain(1);
  const auto applied = world_->Status(1);
  ASSERT_TRUE(applied.ok());
  spec_.options.tuning = {{"apply-changes-max", "10"}};
  ASSERT_TRUE(world_->Update(spec_, 2).ok());
  EXPECT_EQ(world_->AwaitState(1, StreamState::RUNNING).rows_applied, applied->rows_applied);
  world_->OnSource({"UPDATE t SET v = 'y' WHERE id <= 100"});
  world_->Drain(1);
  world_->ExpectSame("t");
}

TEST_F(StreamThrottleTest, AWrongValueOrAnOldCommandChangesNothing) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  ASSERT_TRUE(world_->Update(spec_, 5).ok());
  target::StreamSpec wrong = spec_;
  wrong.options.tuning = {{"copy-workers", "99"}};
  EXPECT_EQ(world_->Update(wrong, 6).status().code(), absl::StatusCode::kInvalidArgument);
  wrong.options.tuning.clear();
  EXPECT_EQ(world_->Update(wrong, 4).status().code(), absl::StatusCode::kFailedPrecondition);
  wrong.id = 99;
  EXPECT_EQ(world_->Update(wrong, 6).status().code(), absl::StatusCode::kNotFound);
  ExpectWhole();
}

// Parts of one table and whole ones are under way in four sessions at once.
TEST_F(StreamThrottleTest, EveryWorkerWaits) {
  for (const char* table : {"a", "b"}) {
    world_->CreateTable(absl::StrCat(table, " LIKE t"));
    world_->OnSource({absl::StrCat("INSERT INTO ", table, " SELECT * FROM t")});
  }
  spec_.tables = {"t", "a", "b"};
  rows_ = 3 * kRows;
  spec_.options.tuning[0].value = "4";
  Tune("copy-part-bytes", "1MiB");
  Tune("source-query", "SELECT v FROM control.knob");
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] { world_->TellSwitch("peak hours"); });
  world_->TellSwitch("");
  const uint64_t copied = world_->Status(1)->rows_copied;
  world_->AwaitStatus(1, [&](const SeenStatus& seen) { return seen.rows_copied > copied; });
  ExpectStopped([&] { Turn(world_->source_mysqld(), 1); });
  Turn(world_->source_mysqld(), 0);
  ExpectWhole();
}

// Such rows are fetched, written and committed by one worker at a time, on a way of their own.
TEST_F(StreamThrottleTest, ACopyOfLargeRowsWaitsToo) {
  world_->CreateTable("blobs (id INT PRIMARY KEY, b LONGBLOB NOT NULL)");
  rows_ = 12;
  for (uint64_t i = 0; i < rows_; ++i) {
    world_->OnSource(
        {absl::StrCat("INSERT INTO blobs VALUES (", i, ", REPEAT(CHAR(", i, "), 5 << 20))")});
  }
  spec_.tables = {"blobs"};
  spec_.options.tuning = {{"copy-workers", "2"}, {"source-query", "SELECT v FROM control.knob"}};
  some_rows_ = 0;
  ASSERT_TRUE(world_->Create(spec_).ok());
  ExpectStopped([&] { world_->TellSwitch("peak hours"); });
  Turn(world_->source_mysqld(), 1);
  world_->TellSwitch("");
  world_->AwaitStatus(1, [](const SeenStatus& seen) {
    return absl::StrContains(seen.throttled_reason, "source zone1-100");
  });
  Turn(world_->source_mysqld(), 0);
  world_->AwaitState(1, StreamState::RUNNING);
  const std::string sums = "SELECT GROUP_CONCAT(id, ' ', SHA2(b, 256) ORDER BY id) FROM blobs";
  const auto source = ConnectTo(world_->source_mysqld(), kSourceDatabase)->QueryScalar(sums);
  const auto target = ConnectTo(world_->target_mysqld(), kTargetDatabase)->QueryScalar(sums);
  ASSERT_TRUE(source.ok() && target.ok()) << source.status() << target.status();
  EXPECT_EQ(*source, *target);
}

TEST_F(StreamThrottleTest, WaitingForTheThrottleIsNoTimeOfAWrite) {
  Tune("target-query", "SELECT v FROM control.knob");
  Tune("source-query", "SELECT v FROM control.knob");
  ASSERT_TRUE(world_->Create(spec_).ok());
  for (const Mysqld* side : {&world_->target_mysqld(), &world_->source_mysqld()}) {
    ExpectStopped([&] { Turn(*side, 1); });  // for three seconds
    const SeenStatus before = *world_->Status(1);
    Turn(*side, 0);
    const SeenStatus after = world_->AwaitStatus(1, [&](const SeenStatus& seen) {
      return seen.copy_times.writes > before.copy_times.writes;
    });
    EXPECT_LT(after.copy_times.waiting - before.copy_times.waiting, absl::Seconds(2));
    EXPECT_LT(after.copy_times.hand_off - before.copy_times.hand_off, absl::Seconds(2));
  }
  ExpectWhole();
}

TEST_F(StreamThrottleTest, TheFourTimesOfCopyAndApplyAreTold) {
  ASSERT_TRUE(world_->Create(spec_).ok());
  const target::WriteTimes copy = world_->AwaitState(1, StreamState::RUNNING).copy_times;
  world_->OnSource({"UPDATE t SET v = 'x' WHERE id <= 5000"});
  world_->Drain(1);
  const target::WriteTimes apply = world_->Status(1)->apply_times;
  for (const target::WriteTimes& times : {copy, apply}) {
    EXPECT_GT(times.writes, 0U);
    EXPECT_GT(times.waiting, absl::ZeroDuration());
    EXPECT_GT(times.building, absl::ZeroDuration());
    EXPECT_GT(times.server, times.building) << "mysqld has more to do for a row than an agent";
  }
  EXPECT_GT(copy.hand_off, absl::ZeroDuration()) << "rows are fetched while others are written";
}

// The second stream calls 5 ms of a statement slow, so every server is.
TEST_F(StreamThrottleTest, StatementsBecomeSmallerWhereMysqldIsSlow) {
  world_->CreateTable("u LIKE t");
  world_->OnSource({"INSERT INTO u SELECT * FROM t"});
  std::vector<uint64_t> inserts;
  for (const std::string table : {"t", "u"}) {
    const uint64_t id = table == "t" ? 1 : 2;
    target::StreamSpec spec = StreamWorld::Spec(id, {table});
    spec.options.tuning = {{"copy-workers", "1"},
                           {"copy-commit-time", table == "t" ? "60s" : "10ms"}};
    ASSERT_TRUE(world_->Create(spec).ok());
    world_->AwaitState(id, StreamState::RUNNING);
    inserts.push_back(InsertsInto(table));
    world_->ExpectSame(table);
  }
  EXPECT_GE(inserts[0], 3U);
  EXPECT_GT(inserts[1], 2 * inserts[0]);
}

// The second stream calls 10 ms of a group slow, and mysqld takes longer for a commit.
TEST_F(StreamThrottleTest, GroupsBecomeSmallerWhereMysqldIsSlow) {
  std::vector<uint64_t> groups;
  for (uint64_t id = 1; id <= 2; ++id) {
    const std::string table = id == 1 ? "t" : "u";
    if (id == 2) {
      world_->CreateTable("u LIKE t");
      world_->OnSource({"INSERT INTO u SELECT * FROM t"});
      world_->OnTarget({"SET GLOBAL binlog_group_commit_sync_delay = 20000"});
    }
    target::StreamSpec spec = StreamWorld::Spec(id, {table});
    spec.options.tuning = {{"apply-batch-time", id == 1 ? "60s" : "10ms"},
                           {"apply-changes-max", "2000"}};
    ASSERT_TRUE(world_->Create(spec).ok());
    world_->AwaitState(id, StreamState::RUNNING);
    ASSERT_TRUE(world_->Control(id, schemas::StreamAction::STOP, 1).ok());
    const uint64_t before = world_->Status(id)->apply_times.writes;
    std::vector<std::string> updates;
    for (uint64_t row = 0; row < kRows; row += 50) {
      updates.push_back(absl::StrCat("UPDATE ", table, " SET v = ", id, " WHERE id BETWEEN ",
                                     row + 1, " AND ", row + 50));
    }
    world_->OnSource(updates);
    ASSERT_TRUE(world_->Control(id, schemas::StreamAction::START, 2).ok());
    world_->Drain(id);
    groups.push_back(world_->Status(id)->apply_times.writes - before);
    world_->ExpectSame(table);
  }
  world_->OnTarget({"SET GLOBAL binlog_group_commit_sync_delay = DEFAULT"});
  EXPECT_GE(groups[0], 5U) << "a backlog is no single transaction";
  EXPECT_GT(groups[1], 2 * groups[0]);
}

}  // namespace
}  // namespace sluice::testing
