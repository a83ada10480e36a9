// Throttling and tuning by the operator, on a real cluster.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kWorkflow[] = "customer.commerce2customer";
constexpr char kSlowCopy[] = "copy-workers=1,copy-rows-max=10,copy-bytes-max=16KiB";

class ThrottleTest : public ::testing::Test {
 protected:
  void SetUp() override {
    scenario_ = Scenario::Start({.orders = 5000});
    ASSERT_NE(scenario_, nullptr);
  }

  void Create() {
    scenario_->Done({"movetables", "create", kWorkflow, "--source", "commerce", "--tables",
                     "customer,corder", "--config-overrides", kSlowCopy});
  }
  nlohmann::json Stream() {
    const nlohmann::json shown = scenario_->Json({"workflow", kWorkflow, "show"});
    for (const auto& [shard, status] : shown["ShardStatuses"].items()) {
      return status["PrimaryReplicationStatuses"][0];
    }
    return nlohmann::json::object();
  }
  // The stream as show has it, once it is as wanted.
  nlohmann::json AwaitStream(const std::function<bool(const nlohmann::json&)>& wanted) {
    const absl::Time deadline = absl::Now() + absl::Seconds(60);
    nlohmann::json stream = Stream();
    while (!wanted(stream) && absl::Now() < deadline) {
      stream = Stream();
    }
    EXPECT_TRUE(wanted(stream)) << stream.dump(2);
    return stream;
  }
  nlohmann::json AwaitReason(const std::string& reason) {
    return AwaitStream([&](const nlohmann::json& stream) {
      return stream.value("ReasonThrottled", "").find(reason) != std::string::npos;
    });
  }
  // The rows that are copied once none come any more.
  nlohmann::json SettledRows() {
    nlohmann::json rows = Stream()["RowsCopied"];
    for (int look = 0; look < 30; ++look) {
      absl::SleepFor(absl::Seconds(1));  // Delay: agents report once a second.
      nlohmann::json later = Stream()["RowsCopied"];
      if (later == rows) {
        break;
      }
      rows = std::move(later);
    }
    return rows;
  }
  // kill -9 of both; they come back.
  void KillAgentAndCoordinator() {
    for (const char* name : {"agent-200", "coordinator"}) {
      ASSERT_TRUE(scenario_->cluster().Kill(name).ok()) << name;
    }
    for (const char* name : {"coordinator", "agent-200"}) {
      const absl::Status started = scenario_->cluster().Start(name);
      ASSERT_TRUE(started.ok()) << name << ": " << started;
    }
  }

  std::unique_ptr<Scenario> scenario_;
};

TEST_F(ThrottleTest, TheSwitchesSurviveAKillOfAgentAndCoordinator) {
  scenario_->Done({"throttle", "on", "--reason", "peak hours"});
  Create();
  EXPECT_EQ(AwaitReason("all workflows are throttled by hand: peak hours")["ComponentThrottled"],
            "copy");
  const nlohmann::json copied = SettledRows();
  EXPECT_LT(copied, 5005);
  KillAgentAndCoordinator();
  const nlohmann::json again = AwaitReason("all workflows are throttled by hand: peak hours");
  EXPECT_EQ(again["RowsCopied"], copied);
  EXPECT_GT(again["TimeThrottled"], 0);
  EXPECT_THAT(scenario_->Done({"movetables", "status", kWorkflow}),
              HasSubstr("copy is throttled: all workflows are throttled by hand: peak hours"));

  scenario_->Done({"workflow", "throttle", kWorkflow, "--reason", "backup until 5"});
  EXPECT_THAT(scenario_->Done({"throttle", "off"}),
              AllOf(HasSubstr("not throttled by hand as a whole"), HasSubstr("backup until 5")));
  AwaitReason("throttled by hand: backup until 5");
  KillAgentAndCoordinator();
  EXPECT_EQ(AwaitReason("throttled by hand: backup until 5")["RowsCopied"], copied);
  EXPECT_THAT(scenario_->Done({"throttle", "show"}), HasSubstr("backup until 5"));

  scenario_->Done({"workflow", "unthrottle", kWorkflow});
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  const nlohmann::json done = Stream();
  EXPECT_EQ(done["ReasonThrottled"], "");
  EXPECT_GT(done["CopyTimes"]["Writes"], 0);
  EXPECT_GT(done["CopyTimes"]["ServerMs"], 0);
  EXPECT_EQ(scenario_->Ask(200, "SELECT COUNT(*) FROM _sluice_closed_corder"),
            scenario_->Ask(100, "SELECT COUNT(*) FROM corder"));
}

TEST_F(ThrottleTest, AWorkflowIsUpdatedWhileItRuns) {
  scenario_->Done({"throttle", "on"});
  Create();
  scenario_->Done({"workflow", "throttle", kWorkflow});
  scenario_->Done({"throttle", "off"});
  AwaitReason("throttled by hand: by the operator");
  EXPECT_THAT(
      scenario_->Done({"workflow", "update", kWorkflow, "--config-overrides",
                       "copy-workers=2,copy-rows-max=default,copy-bytes-max=default",
                       "--config-overrides", "target-query=SELECT 3,target-query-max=2", "--cells",
                       "zone1", "--tablet-types", "PRIMARY", "--on-ddl", "STOP"}),
      AllOf(HasSubstr("Successfully updated the commerce2customer workflow"),
            HasSubstr("zone1-200: changed")));
  const nlohmann::json options = scenario_->Json({"workflow", kWorkflow, "show"})["Options"];
  EXPECT_EQ(options["tuning"],
            (nlohmann::json{
                {"copy-workers", "2"}, {"target-query", "SELECT 3"}, {"target-query-max", "2"}}));
  EXPECT_EQ(options["on_ddl"], "STOP");
  EXPECT_EQ(options["cells"], nlohmann::json::array({"zone1"}));
  EXPECT_EQ(options["tablet_types"], nlohmann::json::array({"PRIMARY"}));

  // Let go by hand, it is the query that holds it.
  scenario_->Done({"workflow", "unthrottle", kWorkflow});
  AwaitReason("target: the throttle query's value 3 is above 2");
  scenario_->Refused({"workflow", "update", kWorkflow, "--config-overrides", "copy-workers=99"},
                     "from 0 to 16");
  scenario_->Refused({"workflow", "update", kWorkflow}, "no configuration options specified");
  scenario_->Done({"workflow", "update", kWorkflow, "--config-overrides", "target-query-max=3"});
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  EXPECT_EQ(scenario_->Ask(200, "SELECT COUNT(*) FROM _sluice_closed_corder"),
            scenario_->Ask(100, "SELECT COUNT(*) FROM corder"));
}

// A replica that does not follow can't be measured, so the copy waits and names it.
TEST(ThrottleReplicaTest, AReplicaOfTheTargetThatDoesNotFollowStopsTheCopy) {
  const auto scenario = Scenario::Start({.replicas = true, .orders = 5000});
  ASSERT_NE(scenario, nullptr);
  scenario->Done({"throttle", "on"});
  // Slow enough to be met by the next measurement, a quarter of a second behind the switch.
  scenario->Done({"movetables", "create", kWorkflow, "--source", "commerce", "--tables", "corder",
                  "--config-overrides", kSlowCopy});
  scenario->Ask(201, "STOP REPLICA SQL_THREAD");
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  const auto lag_is_unknown = [&] {
    const nlohmann::json listed = scenario->Json({"gettablets"});
    for (const nlohmann::json& tablet : listed["tablets"]) {
      if (tablet["alias"] == "zone1-201") {
        return tablet["replica_lag_ms"] == -1;
      }
    }
    return false;
  };
  while (!lag_is_unknown()) {
    ASSERT_LT(absl::Now(), deadline) << scenario->Done({"gettablets"});
  }
  // Agents hear of the switch and of the replica in one answer.
  scenario->Done({"throttle", "off"});
  std::string text;
  while (text.find("zone1-201") == std::string::npos && absl::Now() < deadline) {
    text = scenario->Done({"movetables", "status", kWorkflow});
  }
  EXPECT_THAT(text, HasSubstr("copy is throttled: target: replica lag could not be measured: "
                              "zone1-201: its replication does not run"));
  scenario->Ask(201, "START REPLICA SQL_THREAD");
  EXPECT_TRUE(scenario->AwaitRunning(kWorkflow));
}

}  // namespace
}  // namespace sluice::scenario
