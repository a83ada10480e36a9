// Failovers: the source's and the target's replicas are promoted, and the stream goes on by itself;
// where it can't, it says so and leaves no gap.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integration/crashloop/move.h"

namespace sluice::crashloop {
namespace {

using testing::HasSubstr;

constexpr char kWorkflow[] = "target.move";
constexpr char kExecuted[] = "SELECT @@GLOBAL.gtid_executed";
constexpr char kState[] = "SELECT CONCAT(state, ' ', message) FROM _sluice.stream";
constexpr char kPickedSource[] = "SELECT source_alias FROM _sluice.stream";

class FailoverTest : public MoveTest {
 protected:
  void MakeTable(int rows) {
    On(kSource, {"SET SESSION cte_max_recursion_depth = 100000",
                 "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(400), u INT UNIQUE)",
                 absl::StrCat("INSERT INTO t WITH RECURSIVE n AS (SELECT 1 AS i UNION ALL SELECT "
                              "i + 1 FROM n WHERE i < ",
                              rows, ") SELECT i, REPEAT('v', 350), i FROM n")});
  }

  void Create() {
    Done({"movetables", "create", kWorkflow, "--source", "source", "--tables", "t",
          "--tablet-types", "PRIMARY"});
  }

  void Write(uint32_t uid, int number) {
    On(uid, {absl::StrCat("UPDATE t SET v = 'write ", number, "' WHERE id % 7 = ", number % 7),
             "BEGIN", "UPDATE t SET u = -1 WHERE id = 1", "UPDATE t SET u = 1 WHERE id = 2",
             "UPDATE t SET u = 2 WHERE id = 1", "COMMIT",
             absl::StrCat("DELETE FROM t WHERE id = ", 10 + number),
             absl::StrCat("INSERT INTO t VALUES (", 1'000'000 + number, ", 'new', NULL)")});
  }

  void AwaitReplica(uint32_t primary, uint32_t replica) {
    const std::string executed = Ask(primary, kExecuted);
    EXPECT_TRUE(Eventually([&] {
      return Ask(replica, absl::StrCat("SELECT GTID_SUBSET('", executed,
                                       "', @@GLOBAL.gtid_executed)")) == "1";
    })) << Ask(replica, kExecuted);
  }

  void Promote(uint32_t replica) {
    On(replica, {"STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL super_read_only = OFF",
                 "SET GLOBAL read_only = OFF"});
  }

  void Kill(const std::string& process) {
    const absl::Status killed = cluster().Kill(process);
    ASSERT_TRUE(killed.ok()) << killed;
  }

  void AwaitError(uint32_t uid, const std::string& reason) {
    EXPECT_TRUE(Eventually([&] { return absl::StartsWith(Ask(uid, kState), "error"); }))
        << Ask(uid, kState);
    EXPECT_THAT(Ask(uid, kState), HasSubstr(reason));
    EXPECT_THAT(Ask(uid, kState), HasSubstr("create it anew"));
  }

  std::string LogOf(uint32_t uid) {
    return cluster::TailOf(cluster().layout().LogOf(absl::StrCat("agent-", uid)), 1U << 20U);
  }
};

TEST_F(FailoverTest, TheSourceFailsOverToAServerWithOtherBinlogFiles) {
  StartCluster({kSourceReplica});
  MakeTable(2000);
  On(kSourceReplica, {"FLUSH BINARY LOGS", "FLUSH BINARY LOGS", "FLUSH BINARY LOGS"});
  Create();
  AwaitRunning(kTarget);
  Write(kSource, 1);
  EXPECT_EQ(Ask(kTarget, kPickedSource), "zone1-100");
  AwaitReplica(kSource, kSourceReplica);
  EXPECT_NE(Ask(kSource, "SHOW BINARY LOG STATUS"), Ask(kSourceReplica, "SHOW BINARY LOG STATUS"));
  Kill("mysqld-100");
  Promote(kSourceReplica);
  Write(kSourceReplica, 2);
  AwaitApplied(kSourceReplica, kTarget);
  ExpectSame(kSourceReplica, kTarget, "t", "id");
  EXPECT_EQ(Ask(kTarget, kPickedSource), "zone1-101");
}

TEST_F(FailoverTest, TheSourceFailsOverDuringTheCopy) {
  StartCluster({kSourceReplica});
  MakeTable(60'000);
  Rearm(kTarget, "copy.after_commit:2", "SLUICE_STOP_AT");
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(30)).ok());
  Create();
  ASSERT_TRUE(cluster().AwaitStopped("agent-200", absl::Seconds(60)).ok());
  Write(kSource, 1);
  AwaitReplica(kSource, kSourceReplica);
  Kill("mysqld-100");
  Promote(kSourceReplica);
  Write(kSourceReplica, 2);
  ASSERT_TRUE(cluster().Resume("agent-200").ok());
  AwaitRunning(kTarget);
  Write(kSourceReplica, 3);
  AwaitApplied(kSourceReplica, kTarget);
  ExpectSame(kSourceReplica, kTarget, "t", "id");
}

TEST_F(FailoverTest, TransactionsThatAFailoverHasLostAreAnErrorThatNamesThem) {
  StartCluster({kSourceReplica});
  MakeTable(100);
  Create();
  AwaitRunning(kTarget);
  AwaitReplica(kSource, kSourceReplica);
  On(kSourceReplica, {"STOP REPLICA IO_THREAD"});
  Write(kSource, 1);
  AwaitApplied(kSource, kTarget);
  const std::string lost = Ask(kSource, "SELECT @@GLOBAL.server_uuid");
  Kill("mysqld-100");
  Promote(kSourceReplica);
  Write(kSourceReplica, 2);
  AwaitError(kTarget, absl::StrCat("lacks transactions that this stream has applied, and is no "
                                   "replica that would still get them: ",
                                   lost));
}

TEST_F(FailoverTest, APromotedSourceThatHasPurgedWhatIsNeededIsAnErrorAndNoGap) {
  StartCluster({kSourceReplica});
  MakeTable(100);
  Create();
  AwaitRunning(kTarget);
  Done({"movetables", "stop", kWorkflow});
  Write(kSource, 1);
  AwaitReplica(kSource, kSourceReplica);
  On(kSourceReplica, {"FLUSH BINARY LOGS"});
  On(kSourceReplica,
     {absl::StrCat("PURGE BINARY LOGS TO '", Ask(kSourceReplica, "SHOW BINARY LOG STATUS"), "'")});
  const std::string before = Ask(kTarget, "SELECT COUNT(*) FROM _sluice_closed_t");
  Kill("mysqld-100");
  Promote(kSourceReplica);
  Write(kSourceReplica, 2);
  ASSERT_TRUE(cluster().AwaitEnd("mysqld-100", absl::Seconds(5)).ok());
  ASSERT_TRUE(Eventually([&] {
    const auto started = cluster().Sluice({"workflow", kWorkflow, "start"});
    return started.ok() && started->exit_code == 0;
  }));
  AwaitError(kTarget, "purged");
  EXPECT_EQ(Ask(kTarget, "SELECT COUNT(*) FROM _sluice_closed_t"), before);
}

// The agent of the old PRIMARY stands still with a transaction that lacks only its COMMIT.
class TargetFailoverTest : public FailoverTest, public testing::WithParamInterface<const char*> {};

TEST_P(TargetFailoverTest, TheReplicasAgentTakesTheStreamUpAndTheOldOneWritesNothing) {
  StartCluster({kTargetReplica});
  MakeTable(30'000);
  const bool copying = absl::StartsWith(GetParam(), "copy.");
  if (!copying) {
    Create();
    AwaitRunning(kTarget);
  }
  Rearm(kTarget, GetParam(), "SLUICE_STOP_AT");
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(30)).ok());
  if (copying) {
    Create();
  } else {
    Write(kSource, 1);
  }
  ASSERT_TRUE(cluster().AwaitStopped("agent-200", absl::Seconds(60)).ok());
  Write(kSource, 2);
  On(kTarget, {"SET GLOBAL super_read_only = ON"});
  AwaitReplica(kTarget, kTargetReplica);
  Promote(kTargetReplica);
  Write(kSource, 3);
  AwaitApplied(kSource, kTargetReplica);
  ExpectSame(kSource, kTargetReplica, "t", "id");
  ASSERT_TRUE(cluster().Resume("agent-200").ok());
  const cluster::Layout& layout = cluster().layout();
  const absl::Status follows =
      cluster::StartReplication(cluster().FindTablet(kTarget)->mysql_port,
                                cluster().FindTablet(kTargetReplica)->mysql_port, layout.accounts);
  ASSERT_TRUE(follows.ok()) << follows;
  AwaitReplica(kTargetReplica, kTarget);
  EXPECT_EQ(Ask(kTargetReplica, absl::StrCat("SELECT GTID_SUBTRACT('", Ask(kTarget, kExecuted),
                                             "', @@GLOBAL.gtid_executed)")),
            "");
  ExpectSame(kSource, kTarget, "t", "id");
}

INSTANTIATE_TEST_SUITE_P(BeforeACommit, TargetFailoverTest,
                         testing::Values("copy.before_commit:2", "apply.before_commit"),
                         [](const auto& param) {
                           return std::string(param.param).substr(0, 4) == "copy" ? "OfTheCopy"
                                                                                  : "OfTheApplier";
                         });

TEST_F(FailoverTest, AnOldPrimaryThatComesBackWritableDoesNotGoOnWithTheStream) {
  StartCluster({kTargetReplica});
  MakeTable(2000);
  Create();
  AwaitRunning(kTarget);
  AwaitReplica(kTarget, kTargetReplica);
  Kill("agent-200");
  Kill("mysqld-200");
  Promote(kTargetReplica);
  Write(kSource, 1);
  AwaitApplied(kSource, kTargetReplica);
  RestartMysqld(kTarget);
  const std::string executed = Ask(kTarget, kExecuted);
  ASSERT_TRUE(cluster().Start("agent-200").ok());
  EXPECT_TRUE(Eventually([&] {
    return absl::StrContains(LogOf(kTarget), "zone1-201 is the PRIMARY of target/0 now");
  })) << LogOf(kTarget);
  Write(kSource, 2);
  AwaitApplied(kSource, kTargetReplica);
  ExpectSame(kSource, kTargetReplica, "t", "id");
  EXPECT_EQ(Ask(kTarget, kExecuted), executed);
  // Once it is what it should be, everything is well again.
  On(kTarget, {"SET GLOBAL super_read_only = ON"});
  const absl::Status follows = cluster::StartReplication(
      cluster().FindTablet(kTarget)->mysql_port, cluster().FindTablet(kTargetReplica)->mysql_port,
      cluster().layout().accounts);
  ASSERT_TRUE(follows.ok()) << follows;
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
  AwaitReplica(kTargetReplica, kTarget);
}

}  // namespace
}  // namespace sluice::crashloop
