// Moves of sharded keyspaces whose mysqlds are closed as a whole: several shards in a mysqld, all
// of them of the cutover.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/scenarios/scenario.h"
#include "integration/scenarios/shard_clients.h"
#include "integration/workload/compare.h"

namespace sluice::scenario {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr char kWorkflow[] = "customer.move";
constexpr char kSwitched[] = "All Reads Switched. Writes Switched";
constexpr char kNotSwitched[] = "Reads Not Switched. Writes Not Switched";
constexpr char kWhole[] = "as a whole mysqld (read_only)";
constexpr uint32_t kShards = 4;
constexpr uint32_t kServers = 2;
constexpr unsigned kReadOnly = 1290;

enum Side : uint32_t { kSource = 100, kTarget = 200 };

Side Other(Side side) {
  return side == kSource ? kTarget : kSource;
}

// Two mysqlds a side with two shards each, and clients without an administrator's privileges.
class SharedServersTest : public testing::Test {
 protected:
  void SetUp() override {
    scenario_ =
        Scenario::Start({.proxies = 0, .shards = kShards, .mysqlds = static_cast<int>(kServers)});
    ASSERT_NE(scenario_, nullptr);
    const absl::Status allowed = scenario_->cluster().AllowServerGates();
    ASSERT_TRUE(allowed.ok()) << allowed;
    for (const Side side : {kSource, kTarget}) {
      for (uint32_t i = 0; i < kServers; ++i) {
        scenario_->Ask(side + i, "CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'shop'");
        scenario_->Ask(side + i, "GRANT SELECT, INSERT, UPDATE, DELETE ON *.* TO shop@'127.0.0.1'");
      }
    }
    std::vector<ShardSides> sides;
    for (uint32_t i = 0; i < kShards; ++i) {
      scenario_->Ask(kSource + i,
                     "CREATE TABLE corder (order_id BIGINT NOT NULL PRIMARY KEY, shard INT NOT "
                     "NULL, payload VARCHAR(64) NOT NULL)");
      scenario_->Ask(kSource + i,
                     absl::StrCat("INSERT INTO corder WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL"
                                  " SELECT n + 1 FROM seq WHERE n < 500) SELECT n, ",
                                  i, ", SHA2(n, 256) FROM seq"));
      sides.push_back({OptionsOf(kSource + i), OptionsOf(kTarget + i)});
    }
    clients_ = std::make_unique<ShardClients>(std::move(sides));
    AwaitWrites();
    scenario_->Done(
        {"movetables", "create", kWorkflow, "--source", "commerce", "--tables", "corder"});
    ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  }

  mysql::ConnectionOptions OptionsOf(uint32_t uid) {
    const cluster::TabletLayout* tablet = scenario_->cluster().FindTablet(uid);
    mysql::ConnectionOptions options;
    options.host = "127.0.0.1";
    options.port = tablet->mysql_port;
    options.user = "shop";
    options.password = "shop";
    options.database = tablet->spec.database();
    return options;
  }

  void AwaitWrites() {
    const absl::Status written = clients_->AwaitWrites(10, absl::Seconds(60));
    ASSERT_TRUE(written.ok()) << written;
  }

  bool IsReadOnly(Side side, uint32_t server) {
    const auto answer = scenario_->Ask(
        side + server,
        "SELECT @@GLOBAL.read_only, (SELECT COUNT(*) FROM performance_schema.persisted_variables"
        " WHERE VARIABLE_NAME = 'read_only')");
    EXPECT_TRUE(answer == std::vector<std::string>{"0|0"} ||
                answer == std::vector<std::string>{"1|1"})
        << side + server << ": " << answer.at(0);
    return answer == std::vector<std::string>{"1|1"};
  }

  unsigned WriteErrno(uint32_t uid) {
    const auto session = mysql::Connection::Connect(OptionsOf(uid));
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok()
               ? MysqlErrnoOf((*session)->Execute("DELETE FROM corder WHERE order_id = 0").status())
               : 0;
  }

  // `side` serves; of the other one these servers are closed as a whole, the others table by table.
  void ExpectServing(Side side, const std::vector<bool>& whole) {
    EXPECT_EQ(scenario_->TrafficState(kWorkflow), side == kTarget ? kSwitched : kNotSwitched);
    for (uint32_t i = 0; i < kServers; ++i) {
      EXPECT_FALSE(IsReadOnly(side, i)) << side + i;
      EXPECT_EQ(IsReadOnly(Other(side), i), whole[i]) << Other(side) + i;
    }
    for (uint32_t i = 0; i < kShards; ++i) {
      EXPECT_EQ(WriteErrno(side + i), 0U) << side + i;
      const unsigned refused = WriteErrno(Other(side) + i);
      EXPECT_TRUE(whole[i % kServers] ? refused == kReadOnly : refused != 0) << Other(side) + i;
    }
    AwaitWrites();
  }

  // No acknowledged write is lost, and both sides have the same rows.
  void JudgeAll(Side serving) {
    clients_->Pause();
    for (uint32_t i = 0; i < kShards; ++i) {
      SCOPED_TRACE(absl::StrCat("shard ", i));
      auto open = scenario_->cluster().ConnectMysqld(serving + i);
      auto closed = scenario_->cluster().ConnectMysqld(Other(serving) + i);
      ASSERT_TRUE(open.ok() && closed.ok()) << open.status() << closed.status();
      const auto judged = clients_->Judge(i, **open);
      ASSERT_TRUE(judged.ok()) << judged.status();
      EXPECT_EQ(*judged, "");
      const std::string name =
          scenario_
              ->Ask(Other(serving) + i,
                    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA ="
                    " DATABASE() AND TABLE_TYPE = 'BASE TABLE'")
              .at(0);
      const auto compared = workload::AwaitEqualTables(
          **open, "corder", **closed, mysql::QuoteName(name), "order_id", absl::Seconds(60));
      ASSERT_TRUE(compared.ok()) << compared.status();
      EXPECT_GT(compared->rows_compared, 500U);
      EXPECT_THAT(compared->findings, testing::IsEmpty());
    }
    clients_->Resume();
  }

  // Under faults: until it has succeeded.
  void Switch(const std::string& command) {
    const absl::Time deadline = absl::Now() + absl::Seconds(90);
    cluster::CommandResult last;
    do {
      last = scenario_->Sluice({"movetables", command, kWorkflow, "--timeout", "20s"});
    } while (last.exit_code != 0 && absl::Now() < deadline);
    ASSERT_EQ(last.exit_code, 0) << last.output << last.errors;
  }

  std::string Timeline() {
    return scenario_->Json({"cutover", "show", kWorkflow})["attempts"][0].dump();
  }

  void Restart(const std::string& name, const std::vector<std::string>& environment = {}) {
    cluster::Cluster& cluster = scenario_->cluster();
    if (cluster.IsRunning(name)) {
      ASSERT_TRUE(cluster.Kill(name).ok()) << name;
    }
    const absl::Status started = cluster.Start(name, environment);
    ASSERT_TRUE(started.ok()) << name << ": " << started;
    const absl::Status serving = cluster.AwaitServing(absl::Seconds(60));
    ASSERT_TRUE(serving.ok()) << name << ": " << serving;
  }

  std::unique_ptr<Scenario> scenario_;
  std::unique_ptr<ShardClients> clients_;  // after it: ends first
};

TEST_F(SharedServersTest, AreClosedAsAWholeThereAndBackAndThereAndCompleted) {
  EXPECT_THAT(scenario_->Done({"movetables", "switchtraffic", kWorkflow, "--dry-run"}),
              AllOf(HasSubstr("Close as whole mysqlds (read_only): "), Not(HasSubstr("PROBLEM"))));
  ExpectServing(kSource, {false, false});
  Switch("switchtraffic");
  ExpectServing(kTarget, {true, true});
  EXPECT_THAT(Timeline(), AllOf(HasSubstr(kWhole), Not(HasSubstr("table by table"))));
  EXPECT_THAT(
      scenario_->Done({"workflow", "diagnose", kWorkflow}),
      AllOf(HasSubstr("closed as a whole mysqld (read_only)"), Not(HasSubstr("disagrees"))));
  JudgeAll(kTarget);
  // Whoever restarts finds it closed, and the streams back go on.
  for (const char* name : {"mysqld-100", "agent-101"}) {
    Restart(name);
    ASSERT_FALSE(HasFatalFailure());
  }
  ExpectServing(kTarget, {true, true});
  JudgeAll(kTarget);

  Switch("reversetraffic");
  ExpectServing(kSource, {true, true});
  EXPECT_THAT(Timeline(), HasSubstr(kWhole));
  JudgeAll(kSource);
  Switch("switchtraffic");
  ExpectServing(kTarget, {true, true});
  JudgeAll(kTarget);
  scenario_->Done({"movetables", "complete", kWorkflow});
  clients_->Stop();
  for (uint32_t i = 0; i < kShards; ++i) {
    EXPECT_TRUE(scenario_->TableNames(kSource + i).empty());
  }
  EXPECT_FALSE(IsReadOnly(kSource, 0) || IsReadOnly(kSource, 1));
}

TEST_F(SharedServersTest, OneThatServesMoreIsClosedTableByTableAndTheReasonIsSaid) {
  scenario_->Ask(kSource + 1, "CREATE DATABASE payroll");
  scenario_->Ask(kSource + 1, "CREATE TABLE payroll.salary (id INT PRIMARY KEY)");
  const std::string reason =
      "table by table; the mysqld can't be closed as a whole: it holds other databases (payroll)";
  EXPECT_THAT(scenario_->Done({"movetables", "switchtraffic", kWorkflow, "--dry-run"}),
              AllOf(HasSubstr(reason), HasSubstr("Close as whole mysqlds (read_only): ")));
  EXPECT_THAT(scenario_->Done({"workflow", "diagnose", kWorkflow}),
              AllOf(HasSubstr("would close " + reason), HasSubstr(kWhole)));
  scenario_->Refused({"movetables", "switchtraffic", kWorkflow, "--gate", "server"},
                     "it holds other databases (payroll)");
  Switch("switchtraffic");
  ExpectServing(kTarget, {true, false});
  EXPECT_THAT(Timeline(), AllOf(HasSubstr(reason), HasSubstr(kWhole)));
  JudgeAll(kTarget);
  EXPECT_TRUE(scenario_->Ask(kSource + 1, "INSERT INTO payroll.salary VALUES (1)").empty());
  Switch("reversetraffic");
  ExpectServing(kSource, {true, true});
  JudgeAll(kSource);
}

TEST_F(SharedServersTest, WhoDiesInTheFenceLeavesNothingClosedOrLost) {
  Side serving = kSource;
  const auto strike = [&](const std::string& victim, const std::string& point) {
    SCOPED_TRACE(absl::StrCat(victim, " at ", point));
    Restart(victim, {absl::StrCat("SLUICE_CRASH_AT=", point)});
    ASSERT_TRUE(scenario_->AwaitRunning(serving == kSource ? kWorkflow : "commerce.move_reverse",
                                        absl::Seconds(60)));
    {
      const std::jthread command(
          [&] { Switch(serving == kSource ? "switchtraffic" : "reversetraffic"); });
      const absl::Status ended = scenario_->cluster().AwaitEnd(victim, absl::Seconds(60));
      EXPECT_TRUE(ended.ok()) << ended;
      const absl::Status started = scenario_->cluster().Start(victim);
      EXPECT_TRUE(started.ok()) << started;
    }
    ASSERT_FALSE(HasFailure());
    serving = Other(serving);
    ExpectServing(serving, {true, true});
    JudgeAll(serving);
  };
  // The first time the target opens its tables, and later on its mysqlds.
  for (const char* point :
       {"gate.after_intent", "gate.after_rename", "gate.after_marker:2", "gate.after_outcome:2"}) {
    for (const char* agent : {"agent-100", "agent-200"}) {
      strike(agent, point);
      ASSERT_FALSE(HasFailure());
    }
  }
  for (const char* point : {"cutover.close_gate.done", "cutover.commit.done",
                            "cutover.open_gate.intent", "cutover.open_gate.done"}) {
    strike("coordinator", point);
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace sluice::scenario
