// The simulator: that a seed is one story, that its mysqlds have the ugly parts of real ones, and
// that it notices what it must. `sluice-simulate` runs many worlds.

#include "integration/simulate/simulate.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "integration/simulate/stream_task.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {
namespace {

Setup Small() {
  Setup setup = SetupOf(1);
  setup.shards = 2;
  setup.clients = 2;
  setup.semi_sync = false;
  return setup;
}

TEST(SimulateTest, TheSameSeedIsTheSameStory) {
  for (const uint64_t seed : {3U, 4U}) {
    const Outcome first = Simulate(seed, SetupOf(seed));
    const Outcome second = Simulate(seed, SetupOf(seed));
    EXPECT_EQ(first.trace_hash, second.trace_hash);
    EXPECT_EQ(first.events, second.events);
    EXPECT_EQ(first.violation, "") << seed;
  }
}

TEST(SimulateTest, OtherSeedsAreOtherStories) {
  EXPECT_NE(Simulate(5, SetupOf(5)).trace_hash, Simulate(6, SetupOf(5)).trace_hash);
}

TEST(SimulateTest, WhoReadsTheTraceDoesNotChangeIt) {
  std::vector<std::string> lines;
  const Outcome told =
      Simulate(7, SetupOf(7), [&](const std::string& line) { lines.push_back(line); });
  EXPECT_EQ(told.trace_hash, Simulate(7, SetupOf(7)).trace_hash);
  EXPECT_GT(lines.size(), 100U);
}

TEST(SimulateTest, WithoutFaultsEveryCutoverIsDone) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    simulate::Setup setup = SetupOf(seed);
    setup.fault_every = 1'000'000 * kSecond;
    setup.network = {};
    setup.store_refuses = 0;
    setup.purges = false;
    const Outcome outcome = Simulate(seed, setup);
    EXPECT_EQ(outcome.violation, "") << ReplayCommand(seed);
    EXPECT_EQ(outcome.streams_parted, 0U);
    EXPECT_GE(outcome.counts.cutovers.count("writes switched: done"), 1U);
  }
}

// A world in which nothing happens but what a test does.
class WorldTest : public ::testing::Test {
 protected:
  WorldTest() : world_(1, Small(), nullptr) {}

  void RunFor(Micros time) {
    const Micros until = world_.scheduler.now() + time;
    while (world_.scheduler.RunNext(until)) {
    }
  }
  // A client's write of account 0, straight to the server.
  void Write(Mysqld& mysqld, uint64_t token, absl::Status& told) {
    Serve(
        mysqld, world_.random, {.operation = {.kind = OperationKind::kUpdate, .token = token}},
        [this] { return world_.oracle.term(); },
        [&told](const Answer& answer) { told = answer.status; });
  }
  // Until the server has `transactions` in its binlog.
  void RunUntilBinlogged(const Mysqld& mysqld, size_t transactions) {
    while (mysqld.binlog().size() < transactions && world_.scheduler.RunNext(kSecond)) {
    }
  }
  static uint64_t TokenOn(const Mysqld& mysqld) {
    return mysqld.data().rows.at(kAccounts).at(0).token;
  }

  World world_;
  absl::Status told_ = absl::UnknownError("not answered");
};

TEST_F(WorldTest, ACommitIsInTheBinlogBeforeItIsSeen) {
  Mysqld& mysqld = world_.Primary(0, 0);
  Write(mysqld, 7, told_);
  RunUntilBinlogged(mysqld, 1);
  EXPECT_EQ(mysqld.binlog().size(), 1U);
  EXPECT_NE(TokenOn(mysqld), 7U);
  EXPECT_TRUE(absl::IsUnknown(told_));
  RunFor(kSecond);
  EXPECT_EQ(TokenOn(mysqld), 7U);
  EXPECT_TRUE(told_.ok());
}

TEST_F(WorldTest, ACrashKeepsWhatIsInTheBinlogAndRollsBackTheRest) {
  Mysqld& mysqld = world_.Primary(0, 0);
  Write(mysqld, 7, told_);
  RunUntilBinlogged(mysqld, 1);
  absl::Status other = absl::UnknownError("not answered");
  Write(mysqld, 8, other);  // waits for the row
  world_.CrashMysqld(world_.place(0, 0), 0);
  RunFor(kSecond);
  world_.RestartMysqld(world_.place(0, 0), 0);
  EXPECT_EQ(TokenOn(mysqld), 7U);
  EXPECT_EQ(mysqld.binlog().size(), 1U);
  EXPECT_TRUE(absl::IsUnknown(told_));  // nobody was told
  EXPECT_TRUE(absl::IsUnknown(other));
}

TEST_F(WorldTest, RenameWaitsForATransactionAndAllOthersWaitForIt) {
  Mysqld& mysqld = world_.Primary(0, 0);
  const SessionId open = mysqld.Connect();
  const SessionId rename = mysqld.Connect();
  absl::Status renamed = absl::UnknownError("waits");
  mysqld.LockTables(open, false, kSecond, [](const absl::Status& /*status*/) {});
  mysqld.LockTables(rename, true, 100 * kMilli,
                    [&](const absl::Status& status) { renamed = status; });
  Write(mysqld, 7, told_);
  RunFor(90 * kMilli);
  EXPECT_TRUE(absl::IsUnknown(renamed));
  EXPECT_TRUE(absl::IsUnknown(told_));
  RunFor(kSecond);
  EXPECT_TRUE(absl::IsAborted(renamed));  // lock_wait_timeout
  EXPECT_TRUE(told_.ok());
}

TEST_F(WorldTest, AFailoverWithoutSemiSynchronousReplicaLosesTheTail) {
  Mysqld& mysqld = world_.Primary(0, 0);
  world_.network.Cut(mysqld.number(), world_.Server(0, 0, 1).number());
  Write(mysqld, 7, told_);
  RunFor(100 * kMilli);
  EXPECT_TRUE(told_.ok());
  world_.oracle.Acknowledged(0, 7);
  world_.FailOver(world_.place(0, 0), false);
  EXPECT_NE(TokenOn(world_.Primary(0, 0)), 7U);
  EXPECT_EQ(world_.oracle.lost_by_failover(), 1U);
  EXPECT_TRUE(world_.oracle.excused(0));
  EXPECT_FALSE(world_.oracle.excused(1));
}

TEST(SemiSynchronousTest, NobodyIsToldBeforeTheReplicaHasIt) {
  simulate::Setup setup = Small();
  setup.semi_sync = true;
  World world(1, setup, nullptr);
  Mysqld& mysqld = world.Primary(0, 0);
  world.network.Cut(mysqld.number(), world.Server(0, 0, 1).number());
  bool told = false;
  Serve(
      mysqld, world.random, {.operation = {.kind = OperationKind::kUpdate, .token = 7}},
      [] { return 0U; }, [&](const Answer& answer) { told = answer.status.ok(); });
  while (world.scheduler.RunNext(kSecond)) {
  }
  EXPECT_FALSE(told);
  EXPECT_EQ(mysqld.binlog().size(), 1U);
  world.network.Heal(mysqld.number(), world.Server(0, 0, 1).number());
  while (world.scheduler.RunNext(2 * kSecond)) {
  }
  EXPECT_TRUE(told);
}

TEST_F(WorldTest, APurgedBinlogIsAnErrorAndNoGap) {
  Mysqld& mysqld = world_.Primary(0, 0);
  Write(mysqld, 7, told_);
  RunFor(100 * kMilli);
  mysqld.Purge(0);
  absl::Status status;
  world_.AgentOf(0, 0).ReadBinlog({}, kSecond,
                                  [&](const Answer& answer) { status = answer.status; });
  EXPECT_TRUE(absl::IsDataLoss(status));
}

TEST_F(WorldTest, AWriteOnTheSideThatDoesNotServeIsNoticed) {
  Mysqld& target = world_.Primary(1, 0);
  Tx tx;
  tx.author = Author::kClient;
  world_.oracle.Binlogged(target, tx);
  EXPECT_NE(world_.oracle.violation(), "");
}

TEST_F(WorldTest, AWriteUponAnOldRowIsNoticed) {
  Mysqld& mysqld = world_.Primary(0, 0);
  Write(mysqld, 7, told_);
  RunFor(100 * kMilli);
  Tx tx;
  tx.author = Author::kClient;
  tx.token = 8;
  tx.rows.push_back({.key = 0, .row = {.version = 2, .token = 8}, .before = {.version = 1}});
  world_.oracle.Binlogged(mysqld, tx);
  EXPECT_NE(world_.oracle.violation(), "");
}

TEST_F(WorldTest, AStaleReadAndALostWriteAreNoticed) {
  Mysqld& mysqld = world_.Primary(0, 0);
  const Row before = mysqld.data().rows.at(kAccounts).at(0);
  Write(mysqld, 7, told_);
  RunFor(100 * kMilli);
  world_.oracle.Acknowledged(0, 7);
  world_.oracle.Read(mysqld, 0, world_.oracle.Floor(0, 0), mysqld.data().rows.at(kAccounts).at(0));
  world_.oracle.JudgeOwner(mysqld);
  EXPECT_EQ(world_.oracle.violation(), "");
  World lossy(1, Small(), nullptr);
  lossy.oracle.Read(mysqld, 0, world_.oracle.Floor(0, 0), before);
  EXPECT_NE(lossy.oracle.violation(), "");
  world_.oracle.JudgeOwner(world_.Primary(1, 0));
  EXPECT_NE(world_.oracle.violation(), "");
}

}  // namespace
}  // namespace sluice::simulate
