// Failovers in the middle of a cutover: a PRIMARY is replaced by its REPLICA, a coordinator by
// another one on the same store. The cutover ends by itself, and nothing is lost.

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/demo/story.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

constexpr char kMove[] = "customer.move";

bool Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(90);
  while (!condition()) {
    if (absl::Now() > deadline) {
      return false;
    }
    absl::SleepFor(absl::Milliseconds(50));  // Delay: between two looks
  }
  return true;
}

class CutoverFailoverTest : public testing::Test {
 protected:
  // PRIMARYs 100 and 200, and a REPLICA of the one that will fail.
  void StartMove(uint32_t replica) {
    cluster::Topology topology;
    topology.proxies = 1;
    topology.tablets.push_back({.uid = 100, .keyspace = "commerce"});
    topology.tablets.push_back({.uid = 200, .keyspace = "customer"});
    if (replica != 0) {
      topology.tablets.push_back({.uid = replica,
                                  .keyspace = replica < 200 ? "commerce" : "customer",
                                  .type = routing::TabletType::kReplica});
    }
    scenario_ = Scenario::StartEmpty(topology);
    ASSERT_NE(scenario_, nullptr);
    const absl::Status loaded = demo::LoadCommerce(cluster(), 2000);
    ASSERT_TRUE(loaded.ok()) << loaded;
    scenario_->Done({"movetables", "create", kMove, "--source", "commerce", "--tables",
                     "customer,corder", "--tablet-types", "PRIMARY"});
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
  }

  cluster::Cluster& cluster() { return scenario_->cluster(); }

  void StopCoordinatorAt(const std::string& point) {
    ASSERT_TRUE(cluster().Terminate("coordinator").ok());
    ASSERT_TRUE(cluster().Start("coordinator", {"SLUICE_STOP_AT=" + point}).ok());
    ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
    scenario_->StartClients(2, 1);
    ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  }

  // Writes only: the sides have not the same replicas.
  cluster::CommandResult Switch() {
    return scenario_->Sluice(
        {"movetables", "switchtraffic", kMove, "--tablet-types", "primary", "--timeout", "20s"});
  }

  // What the PRIMARY has, its REPLICA has too; then the one is gone and the other takes writes.
  void FailOver(uint32_t primary, uint32_t replica) {
    const auto executed = scenario_->Ask(primary, "SELECT @@GLOBAL.gtid_executed");
    ASSERT_FALSE(executed.empty());
    ASSERT_EQ(scenario_->Ask(replica, absl::StrCat("SELECT WAIT_FOR_EXECUTED_GTID_SET('",
                                                   executed[0], "', 30)")),
              std::vector<std::string>{"0"});
    ASSERT_TRUE(cluster().Kill(absl::StrCat("mysqld-", primary)).ok());
    auto session = cluster().ConnectMysqld(replica);
    ASSERT_TRUE(session.ok()) << session.status();
    for (const char* sql : {"STOP REPLICA", "RESET REPLICA ALL", "SET GLOBAL super_read_only = OFF",
                            "SET GLOBAL read_only = OFF"}) {
      ASSERT_TRUE((*session)->Execute(sql).ok()) << sql;
    }
  }

  // The result of the newest cutover, once it is over.
  std::string AwaitEnd() {
    std::string result;
    EXPECT_TRUE(Eventually([&] {
      const auto shown = scenario_->Sluice({"--format", "json", "cutover", "show", kMove});
      const auto document = nlohmann::json::parse(shown.output, nullptr, false);
      if (!document.is_object() || document["attempts"].empty()) {
        return false;
      }
      result = document["attempts"][0].value("result", "");
      return document["attempts"][0].value("finished_us", int64_t{0}) != 0;
    })) << result;
    return result;
  }

  bool IsOpen(uint32_t uid) {
    return scenario_->Ask(uid,
                          "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = "
                          "DATABASE() AND table_name = 'corder' AND table_type = 'BASE TABLE'") ==
           std::vector<std::string>{"1"};
  }

  std::unique_ptr<Scenario> scenario_;
};

struct Failover {
  const char* name;
  const char* point;
  uint32_t primary;
  bool committed;  // the only end that it may have
};

class PrimaryFailoverTest : public CutoverFailoverTest,
                            public testing::WithParamInterface<Failover> {};

TEST_P(PrimaryFailoverTest, InTheMiddleEndsByItselfAndLosesNothing) {
  const Failover& failover = GetParam();
  const uint32_t replica = failover.primary + 1;
  StartMove(replica);
  ASSERT_FALSE(HasFailure());
  StopCoordinatorAt(failover.point);
  ASSERT_FALSE(HasFailure());
  {
    cluster::CommandResult answer;
    std::jthread command([&] { answer = Switch(); });
    const absl::Status stopped = cluster().AwaitStopped("coordinator", absl::Seconds(60));
    if (!stopped.ok()) {
      command.join();
      FAIL() << stopped << "\n" << answer.output << answer.errors;
    }
    FailOver(failover.primary, replica);
    ASSERT_TRUE(cluster().Resume("coordinator").ok());
  }
  const std::string result = AwaitEnd();
  EXPECT_TRUE(result == "committed" ||
              (!failover.committed && absl::StartsWith(result, "rolled back")))
      << result;
  const uint32_t source = failover.primary == 100 ? replica : 100;
  const uint32_t target = failover.primary == 200 ? replica : 200;
  EXPECT_EQ(IsOpen(target), result == "committed");
  EXPECT_NE(IsOpen(source), IsOpen(target));
  const absl::Status written = scenario_->clients().AwaitWrites(20, absl::Seconds(60));
  ASSERT_TRUE(written.ok()) << written;
  // Whatever the end was, it can be made good.
  EXPECT_TRUE(Eventually([&] { return Switch().exit_code == 0; }));
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  EXPECT_TRUE(IsOpen(target));
  EXPECT_FALSE(IsOpen(source));
  ASSERT_TRUE(scenario_->AwaitRunning("commerce.move_reverse", absl::Seconds(90)));
  scenario_->JudgeSides(target, source);
}

INSTANTIATE_TEST_SUITE_P(
    OfThe, PrimaryFailoverTest,
    testing::Values(Failover{"SourceBehindItsClosedGate", "cutover.close_gate.done", 100, false},
                    Failover{"SourceBehindTheCommit", "cutover.commit.done", 100, true},
                    Failover{"TargetBehindItsSeal", "cutover.seal.done", 200, false},
                    Failover{"TargetBeforeItOpens", "cutover.open_gate.intent", 200, true}),
    [](const auto& one) { return std::string(one.param.name); });

// The old coordinator still lives when the next one is started: the store takes one only.
TEST_F(CutoverFailoverTest, OfACoordinatorTheNextOneOnTheSameStoreGoesOn) {
  StartMove(0);
  ASSERT_FALSE(HasFailure());
  StopCoordinatorAt("cutover.commit.done");
  ASSERT_FALSE(HasFailure());
  const cluster::Layout& layout = cluster().layout();
  {
    cluster::CommandResult answer;
    std::jthread command([&] { answer = Switch(); });
    const absl::Status stopped = cluster().AwaitStopped("coordinator", absl::Seconds(60));
    if (!stopped.ok()) {
      command.join();
      FAIL() << stopped << "\n" << answer.output << answer.errors;
    }
    const std::string path = layout.Path("coordinator.toml");
    ASSERT_TRUE(cluster::RewriteFile(path, path + ".second",
                                     {{layout.coordinator_url(), "tcp://127.0.0.1:0"}})
                    .ok());
    const auto second = cluster::RunCommand(
        {layout.bin_directory + "/sluice-coordinator", "--config", path + ".second"}, {},
        absl::Seconds(30));
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_NE(second->exit_code, 0) << second->output << second->errors;
    ASSERT_TRUE(cluster().Kill("coordinator").ok());
    ASSERT_TRUE(cluster().Start("coordinator").ok());
  }
  EXPECT_EQ(AwaitEnd(), "committed");
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  EXPECT_EQ(scenario_->AwaitOwnerOfOrders(absl::Seconds(60)), 200U);
  ASSERT_TRUE(scenario_->AwaitRunning("commerce.move_reverse", absl::Seconds(60)));
  scenario_->JudgeAll();
}

}  // namespace
}  // namespace sluice::scenario
