// States that somebody has left half done, by hand and past every program: diagnose names what does
// not fit, and repair brings the move to the end that the store's record shows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "coordinator/store/sqlite_store.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kWorkflow[] = "customer.commerce2customer";
constexpr char kShut[] =
    "RENAME TABLE customer TO _sluice_closed_customer, corder TO _sluice_closed_corder";
constexpr char kOpened[] =
    "RENAME TABLE _sluice_closed_customer TO customer, _sluice_closed_corder TO corder";

class RepairScenarioTest : public testing::Test {
 protected:
  void SetUp() override {
    scenario_ = Scenario::Start({.orders = 500});
    ASSERT_NE(scenario_, nullptr);
    scenario_->Done(
        {"movetables", "create", kWorkflow, "--source", "commerce", "--tables", "customer,corder"});
    ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  }

  // The answer of a command that is to end with that exit code.
  std::string Ends(int exit_code, const std::vector<std::string>& arguments) {
    const cluster::CommandResult result = scenario_->Sluice(arguments);
    EXPECT_EQ(result.exit_code, exit_code) << result.output << result.errors;
    return result.output;
  }
  std::string Diagnose(int exit_code) {
    return Ends(exit_code, {"workflow", "diagnose", kWorkflow});
  }
  std::string Repair(int exit_code, const std::vector<std::string>& flags = {}) {
    std::vector<std::string> arguments = {"workflow", "repair", kWorkflow};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return Ends(exit_code, arguments);
  }
  void ExpectInOrder() {
    const nlohmann::json found = scenario_->Json({"workflow", "diagnose", kWorkflow});
    EXPECT_EQ(found["consistent"], true) << found.dump(2);
    EXPECT_THAT(found["findings"], testing::Not(IsEmpty()));
  }
  void ExpectWritesWork() {
    EXPECT_EQ(scenario_->ProxyErrno("", "INSERT INTO corder (customer_id) VALUES (7)"), 0U);
  }

  std::unique_ptr<Scenario> scenario_;
};

TEST_F(RepairScenarioTest, GatesThatWereMovedByHandAreBroughtBack) {
  ExpectInOrder();
  scenario_->Ask(100, kShut);
  EXPECT_THAT(Diagnose(1), AllOf(HasSubstr("commerce/0 (zone1-100)"),
                                 HasSubstr("the side that serves refuses writes")));
  EXPECT_THAT(Repair(0), HasSubstr("to open"));
  ExpectInOrder();
  ExpectWritesWork();
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));

  scenario_->Done({"movetables", "switchtraffic", kWorkflow});
  ExpectInOrder();
  scenario_->Ask(200, kShut);
  EXPECT_THAT(Diagnose(1), HasSubstr("customer/0 (zone1-200)"));
  Repair(0);
  ExpectInOrder();
  ExpectWritesWork();
  EXPECT_EQ(scenario_->OwnerOfOrders(), 200U);
  scenario_->Done({"movetables", "reversetraffic", kWorkflow});
  ExpectInOrder();
  ExpectWritesWork();
}

TEST_F(RepairScenarioTest, TwoOpenSidesAreRefusedWithWords) {
  scenario_->Ask(200, "DROP VIEW customer, corder");  // that keep the names
  scenario_->Ask(200, kOpened);
  EXPECT_THAT(Diagnose(1), HasSubstr("takes writes on a side that does not serve"));
  EXPECT_THAT(Repair(1, {"--yes"}),
              AllOf(HasSubstr("was not repaired"), HasSubstr("no program can tell which side")));
  // Nothing was touched.
  EXPECT_THAT(scenario_->TableNames(200), testing::ElementsAre("corder", "customer"));
  EXPECT_THAT(scenario_->TableNames(100), testing::ElementsAre("corder", "customer", "product"));
  scenario_->Ask(200, kShut);
  ExpectInOrder();
}

TEST_F(RepairScenarioTest, AReverseStreamThatWasDeletedComesBackWithoutLosingAWrite) {
  scenario_->StartClients();
  scenario_->Done({"movetables", "switchtraffic", kWorkflow});
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(30)).ok());
  cluster::Cluster& cluster = scenario_->cluster();
  ASSERT_TRUE(cluster.Terminate("agent-100").ok());
  for (const char* table : {"stream", "stream_position"}) {
    scenario_->Ask(100, absl::StrCat("DELETE FROM _sluice.", table));
  }
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(30)).ok());
  ASSERT_TRUE(cluster.Start("agent-100").ok());
  ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
  EXPECT_THAT(Diagnose(1), HasSubstr("missing"));
  EXPECT_THAT(Repair(0), HasSubstr("anew, to begin at the commit of cutover"));
  ExpectInOrder();
  ASSERT_TRUE(scenario_->AwaitRunning("commerce.commerce2customer_reverse"));
  // The side that was left gets every row of the side that serves.
  scenario_->JudgeAll();
  scenario_->Done({"movetables", "reversetraffic", kWorkflow});
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(30)).ok());
  scenario_->JudgeAll();
}

TEST_F(RepairScenarioTest, RulesThatWereLostAreMadeFromTheRecord) {
  scenario_->Done({"movetables", "switchtraffic", kWorkflow});
  const auto rules = scenario_->Json({"getroutingrules"})["rules"];
  cluster::Cluster& cluster = scenario_->cluster();
  ASSERT_TRUE(cluster.Terminate("coordinator").ok());
  {
    auto store = store::SqliteStore::Open(cluster.layout().Path("store.sqlite"));
    ASSERT_TRUE(store.ok()) << store.status();
    const absl::Status lost = (*store)->Transaction(
        [](store::StoreTransaction& transaction) { return transaction.WriteRules({}); });
    ASSERT_TRUE(lost.ok()) << lost;
  }
  ASSERT_TRUE(cluster.Start("coordinator").ok());
  ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
  EXPECT_THAT(scenario_->Json({"getroutingrules"})["rules"], IsEmpty());
  EXPECT_THAT(Diagnose(1), HasSubstr("commerce.customer -> customer.customer is missing"));
  EXPECT_THAT(Repair(0), HasSubstr("routing rule(s)"));
  EXPECT_EQ(scenario_->Json({"getroutingrules"})["rules"], rules);
  ExpectInOrder();
  ExpectWritesWork();
}

// The store may be the one that is wrong, so nothing of the stream is thrown away.
TEST_F(RepairScenarioTest, AStreamThatTheStoreHasForgottenIsStoppedAndNamedAndNothingMore) {
  cluster::Cluster& cluster = scenario_->cluster();
  const auto change = [&](const std::function<absl::Status(store::StoreTransaction&)>& work) {
    ASSERT_TRUE(cluster.Terminate("coordinator").ok());
    {
      auto store = store::SqliteStore::Open(cluster.layout().Path("store.sqlite"));
      ASSERT_TRUE(store.ok()) << store.status();
      const absl::Status changed = (*store)->Transaction(work);
      ASSERT_TRUE(changed.ok()) << changed;
    }
    ASSERT_TRUE(cluster.Start("coordinator").ok());
    ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
  };
  const auto count = [&] { return scenario_->Ask(200, "SELECT COUNT(*) FROM _sluice.stream"); };
  const std::vector<std::string> before = count();
  std::optional<workflow::WorkflowRecord> record;
  change([&](store::StoreTransaction& transaction) -> absl::Status {
    record = transaction.FindWorkflow("customer", "commerce2customer").value_or(std::nullopt);
    return transaction.DeleteWorkflow("customer", "commerce2customer");
  });
  ASSERT_TRUE(record.has_value());
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  std::string tablets;
  while (!absl::StrContains(tablets, "no workflow's record names it; it stays") &&
         absl::Now() < deadline) {
    tablets = scenario_->Sluice({"gettablets"}).output;
  }
  EXPECT_THAT(tablets, HasSubstr("zone1-200: stream "));
  EXPECT_THAT(tablets, HasSubstr("of workflow customer.commerce2customer is Stopped, but no"));
  EXPECT_EQ(scenario_->Ask(200, "SELECT DISTINCT state FROM _sluice.stream"),
            std::vector<std::string>{"stopped"});
  EXPECT_EQ(count(), before);
  // The newest copy of the store comes back.
  change([&](store::StoreTransaction& transaction) { return transaction.PutWorkflow(*record); });
  scenario_->Done({"workflow", "start", kWorkflow});
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  ExpectInOrder();
}

TEST_F(RepairScenarioTest, AnAgentThatIsAwayIsSaidAsSuch) {
  cluster::Cluster& cluster = scenario_->cluster();
  ASSERT_TRUE(cluster.Pause("agent-200").ok());
  EXPECT_THAT(Diagnose(1), AllOf(HasSubstr("unreachable"), HasSubstr("customer/0")));
  ASSERT_TRUE(cluster.Resume("agent-200").ok());
  ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  ExpectInOrder();
}

}  // namespace
}  // namespace sluice::scenario
