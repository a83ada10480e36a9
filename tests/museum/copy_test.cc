// Museum, the copy: resumes, several sources for one target, dead sessions, snapshots under load.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/museum/museum.h"

namespace sluice::testing {
namespace {

using schemas::StreamAction;
using schemas::StreamState;

constexpr char kRows[] = "t (id INT NOT NULL PRIMARY KEY, v VARCHAR(40), u INT NULL UNIQUE)";
constexpr int kCount = 1500;

class MuseumCopyTest : public MuseumTest {
 protected:
  void StartRows(const target::StreamTuning& tuning = SmallSteps()) {
    ASSERT_NO_FATAL_FAILURE(StartWorld(tuning));
    world_->CreateTable(kRows);
    world_->OnSource({InsertRange("t", "CONCAT('row ', i), i", 1, kCount)});
  }

  // Rows of the target's table as they stand in the middle of a copy.
  int CopiedNow() { return std::stoi(OnTarget("SELECT COUNT(*) FROM t")); }

  // The key behind which rows are missing on the target.
  int LastKey() {
    return std::stoi(
        OnTarget("SELECT COALESCE(MIN(here.id), 0) FROM t AS here LEFT JOIN t AS next ON next.id = "
                 "here.id + 1 "
                 "WHERE next.id IS NULL"));
  }

  // Ends the target in the middle of the copy, its mysqld by kill -9, so that what was not
  // committed is gone. Returns the last key of what was copied in one piece.
  int DieWithinCopy() {
    AwaitCopied(300);
    world_->target_mysqld().Kill();
    world_->StopTarget();
    EXPECT_TRUE(world_->target_mysqld().Restart().ok());
    EXPECT_LT(CopiedNow(), kCount) << "the copy was over before it could be interrupted";
    return LastKey();
  }
};

// One chunk a commit, and a short pause of the copy after each epoch, so that a test can interrupt.
target::StreamTuning Slow() {
  target::StreamTuning tuning = SmallSteps();
  tuning.copier.rows_max = 20;
  tuning.copy_epoch = absl::Milliseconds(20);
  return tuning;
}

// 3: a resume deleted from the chunk's upper bound while the copy restarted from its lower bound.
TEST_F(MuseumCopyTest, M03ARowDeletedAtTheBoundOfACrashedChunkStaysDeleted) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  const int last = DieWithinCopy();
  // The rows around the last key: in the last chunk, at its bound, in the chunk that was lost.
  world_->OnSource({absl::StrCat("DELETE FROM t WHERE id BETWEEN ", last - 2, " AND ", last + 2),
                    absl::StrCat("DELETE FROM t WHERE id IN (1, ", last - 19, ", ", last + 20, ", ",
                                 last + 21, ", ", kCount, ")")});
  world_->StartTarget();
  AwaitRunning();
  DrainAndCompare({"t"});
  EXPECT_EQ(OnTarget(absl::StrCat("SELECT COUNT(*) FROM t WHERE id BETWEEN ", last - 2, " AND ",
                                  last + 2)),
            "0");
}

// 4: with several sources, the resume of one removed the rows of the other from the shared table.
TEST_F(MuseumCopyTest, M04TwoSourcesOfOneTableResumeWithUnequalProgress) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  world_->OnSource({"CREATE DATABASE vt_other", "CREATE TABLE vt_other.t LIKE t",
                    InsertRange("vt_other.t", "'other', i", kCount + 1, kCount + 300)});
  target::StreamSpec other = StreamWorld::Spec(kStream + 1, {"t"});
  other.source_database = "vt_other";
  other.source_shard = "80-";
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  ASSERT_TRUE(world_->Create(other).ok());
  world_->AwaitState(kStream + 1, StreamState::RUNNING);
  const SeenStatus first = *world_->Status(kStream);
  world_->StopTarget();
  world_->OnSource({"DELETE FROM t WHERE id % 10 = 0", "UPDATE vt_other.t SET v = 'changed'"});
  world_->StartTarget();
  AwaitRunning();
  EXPECT_LT(first.rows_copied, static_cast<uint64_t>(kCount)) << "the progress was not unequal";
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream + 1));
  world_->OnSource({"INSERT INTO t SELECT * FROM vt_other.t"});
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  ASSERT_NO_FATAL_FAILURE(world_->ExpectSame("t"));
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM t WHERE v = 'changed'"), "300");
}

// 5: after a resume "not copied yet" was judged by the new watermark, so a DELETE above it was
// dropped though the row was there.
TEST_F(MuseumCopyTest, M05RowsDeletedAboveTheWatermarkLeaveNoPhantom) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitCopied(300);
  world_->StopTarget();
  const int last = LastKey();
  // A row above the watermark gets to the target by the binlog before its chunk is copied.
  world_->OnSource({absl::StrCat("UPDATE t SET v = 'early' WHERE id > ", kCount - 50)});
  world_->StartTarget();
  ASSERT_TRUE(
      Eventually([this] { return OnTarget("SELECT COUNT(*) FROM t WHERE v = 'early'") == "50"; }));
  world_->target_mysqld().Kill();
  world_->StopTarget();
  ASSERT_TRUE(world_->target_mysqld().Restart().ok());
  world_->OnSource({absl::StrCat("DELETE FROM t WHERE id > ", kCount - 50),
                    absl::StrCat("DELETE FROM t WHERE id = ", last)});
  world_->StartTarget();
  AwaitRunning();
  DrainAndCompare({"t"});
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM t WHERE v = 'early'"), "0");
}

// 13: a key that is updated while the table moves left a copy behind.
TEST_F(MuseumCopyTest, M13AKeyThatWandersDuringTheCopyLeavesNoCopy) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  {
    // Every row goes from the end that is copied last to the one copied first, or back.
    Churn churn(world_->source_mysqld(), [](int n) -> std::vector<std::string> {
      const int id = n * 37 % kCount + 1;
      return {absl::StrCat("UPDATE t SET id = -id WHERE id = ", id),
              absl::StrCat("UPDATE t SET id = 100000 - id WHERE id = ", -(id % 977))};
    });
    ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
    AwaitRunning();
    EXPECT_TRUE(Eventually([&] { return churn.commits() > 200; }));
  }
  DrainAndCompare({"t"});
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM t"), absl::StrCat(kCount));
}

// 16: an index build ran for hours with the applier stopped: the reader stood still, the source
// purged its binlogs, and the move was lost. Here the build cannot even begin.
TEST_F(MuseumCopyTest, M16AnIndexBuildThatHasToWaitDoesNotKeepTheBinlog) {
  target::StreamTuning tuning = Slow();
  tuning.key_lock_wait = absl::Seconds(1);
  tuning.key_retry = absl::Milliseconds(200);
  ASSERT_NO_FATAL_FAILURE(StartWorld(tuning));
  world_->CreateTable("t (id INT NOT NULL PRIMARY KEY, v VARCHAR(40), KEY by_v (v))");
  world_->OnSource({InsertRange("t", "CONCAT('row ', i)", 1, kCount)});
  target::StreamSpec spec = StreamWorld::Spec(kStream, {"t"});
  spec.options.defer_secondary_keys = stream::DeferKeys::kAlways;
  ASSERT_TRUE(world_->Create(spec).ok());
  AwaitCopied(200);
  const auto reader = ConnectTo(world_->target_mysqld(), kTargetDatabase);
  ASSERT_TRUE(reader->Execute("BEGIN").ok());
  ASSERT_TRUE(reader->Execute("SELECT * FROM t LIMIT 1").ok());
  world_->AwaitStatus(kStream, [](const SeenStatus& status) {
    return absl::StrContains(status.message, "keys of t can't be added yet");
  });
  for (int i = 1; i <= 4; ++i) {
    world_->OnSource({absl::StrCat("UPDATE t SET v = 'changed ", i, "' WHERE id % 9 = ", i),
                      absl::StrCat("DELETE FROM t WHERE id = ", 10 * i), "FLUSH BINARY LOGS"});
    const gtid::GtidSet written = Executed();
    EXPECT_TRUE(Eventually([&] { return DurablePosition().Contains(written); }));
  }
  const std::string last = OnSource("SHOW BINARY LOG STATUS");
  world_->OnSource({absl::StrCat("PURGE BINARY LOGS TO '", last, "'")});
  EXPECT_EQ(world_->Status(kStream)->state, StreamState::COPYING);
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM _sluice.deferred_key"), "1");
  ASSERT_TRUE(reader->Execute("COMMIT").ok());
  AwaitRunning();
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = "
                     "DATABASE() AND INDEX_NAME = 'by_v'"),
            "1");
  DrainAndCompare({"t"});
}

// 21: a dead connection was read as the end of the table.
TEST_F(MuseumCopyTest, M21ADeadCopySessionIsNotTheEndOfTheTable) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  const auto killer = ConnectTo(world_->source_mysqld(), "");
  int killed = 0;
  for (bool copying = true; copying;) {
    const auto sessions = killer->Query(
        "SELECT ID FROM performance_schema.processlist WHERE ID <> CONNECTION_ID() AND "
        "COMMAND IN ('Sleep', 'Query') AND USER = 'root'");
    ASSERT_TRUE(sessions.ok()) << sessions.status();
    for (const mysql::Row& row : sessions->rows) {
      killed += killer->Execute(absl::StrCat("KILL ", *row[0])).ok() ? 1 : 0;
    }
    const auto status = world_->Status(kStream);
    ASSERT_TRUE(status.ok()) << status.status();
    if (status->state == StreamState::RUNNING || killed >= 25) {
      copying = false;
    }
    if (status->state == StreamState::RUNNING) {
      EXPECT_EQ(CopiedNow(), kCount);
    }
    const uint64_t before = status->rows_copied;
    Eventually([&] {
      const auto now = world_->Status(kStream);
      return now.ok() && (now->rows_copied > before || now->state == StreamState::RUNNING);
    });
  }
  EXPECT_GT(killed, 3);
  AwaitRunning();
  EXPECT_EQ(CopiedNow(), kCount);
  DrainAndCompare({"t"});
}

// 24: copied, interrupted, changed, copied again by an INSERT IGNORE that did nothing: the verifier
// then saw a difference for ever.
TEST_F(MuseumCopyTest, M24ARowChangedBetweenTwoCopiesOfItEndsAsTheSourceHasIt) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  const int last = DieWithinCopy();
  // The chunks stand on the target, but as if the commits of their progress had been lost.
  const std::string progress = OnTarget(
      "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = '_sluice' AND "
      "TABLE_NAME IN ('copy_state', 'copy_range')");
  world_->OnTarget({absl::StrCat("UPDATE _sluice.", progress,
                                 " SET started = 0, done = 0, last_key = '', rows_copied = 0")});
  world_->OnSource({absl::StrCat("UPDATE t SET v = 'changed' WHERE id <= ", last),
                    absl::StrCat("DELETE FROM t WHERE id % 7 = 0 AND id <= ", last),
                    absl::StrCat("UPDATE t SET u = -u WHERE id % 5 = 0 AND id <= ", last)});
  world_->StartTarget();
  AwaitRunning();
  DrainAndCompare({"t"});
}

// 25: a feature that was off still had a say in the resume. Here: every order of stop after copy,
// stop, freeze and restart resumes to the same end.
TEST_F(MuseumCopyTest, M25FeaturesSwitchedOnAndOffDoNotLimitAResume) {
  ASSERT_NO_FATAL_FAILURE(StartRows(Slow()));
  target::StreamSpec spec = StreamWorld::Spec(kStream, {"t"});
  spec.stop_after_copy = true;
  ASSERT_TRUE(world_->Create(spec).ok());
  AwaitCopied(200);
  ASSERT_TRUE(world_->Control(kStream, StreamAction::STOP, 1).ok());
  world_->OnSource({"UPDATE t SET v = 'stopped' WHERE id % 3 = 0"});
  ASSERT_TRUE(world_->Control(kStream, StreamAction::FREEZE, 2).ok());
  world_->StopTarget();
  world_->StartTarget();
  ASSERT_TRUE(world_->Control(kStream, StreamAction::UNFREEZE, 3).ok());
  ASSERT_TRUE(world_->Control(kStream, StreamAction::START, 4).ok());
  world_->AwaitState(kStream, StreamState::STOPPED);
  EXPECT_EQ(CopiedNow(), kCount);
  world_->OnSource({"DELETE FROM t WHERE id % 11 = 0"});
  world_->StopTarget();
  world_->StartTarget();
  ASSERT_TRUE(world_->Control(kStream, StreamAction::START, 5).ok());
  DrainAndCompare({"t"});
}

// 32: a snapshot opened after the lock was released held rows that the binlog brought again.
TEST_F(MuseumCopyTest, M32WritersDuringTheOpeningOfSnapshotsMakeNoDuplicates) {
  target::StreamTuning tuning = Slow();
  tuning.copy_epoch = absl::Milliseconds(1);  // a snapshot after nearly every chunk
  tuning.copier.rows_max = 100;
  ASSERT_NO_FATAL_FAILURE(StartRows(tuning));
  world_->CreateTable("log (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, n INT, s VARCHAR(20))");
  int inserted = 0;
  {
    Churn churn(world_->source_mysqld(), [](int n) -> std::vector<std::string> {
      return {absl::StrCat("INSERT INTO log (n, s) VALUES (", n, ", 'one'), (", n, ", 'two')"),
              absl::StrCat("DELETE FROM log WHERE n = ", n - 3, " AND s = 'two'")};
    });
    ASSERT_TRUE(Eventually([&] { return churn.commits() > 300; }));
    ASSERT_NO_FATAL_FAILURE(StartStream({"log", "t"}));
    AwaitRunning();
    const int running_at = churn.commits();
    ASSERT_TRUE(Eventually([&] { return churn.commits() > running_at + 50; }));
    inserted = churn.commits();
  }
  DrainAndCompare({"log", "t"});
  EXPECT_EQ(OnTarget("SELECT COUNT(*) - COUNT(DISTINCT id) FROM log"), "0");
  EXPECT_GE(std::stoi(OnTarget("SELECT COUNT(*) FROM log WHERE s = 'one'")), inserted);
}

}  // namespace
}  // namespace sluice::testing
