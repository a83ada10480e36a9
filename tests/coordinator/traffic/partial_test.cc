// A workflow of one shard of two: switched, reversed, completed and cancelled while the other shard
// stays, over a scripted cluster.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "coordinator/workflow/move_rules.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::UnorderedElementsAre;
using workflow::GateState;
using workflow::WorkflowPhase;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
constexpr char kSwitchedHere[] =
    "Reads partially switched, for shards: -80. Writes partially switched, for shards: -80";
constexpr char kSwitchedEverywhere[] = "All Reads Switched. All Writes Switched";

class PartialTest : public TrafficTest {
 protected:
  PartialTest() {
    coordinator_.reset();
    RemoveStore(path_);
    coordinator_ =
        std::make_unique<Coordinator>(path_, cluster_, std::vector<std::string>{"-80", "80-"});
    coordinator_->PutWorkflow(true);
  }

  std::vector<std::string> ShardRules() {
    std::vector<std::string> lines;
    for (const routing::ShardRule& rule : coordinator_->rules->ShardRules()) {
      lines.push_back(routing::ShardRuleText(rule));
    }
    return lines;
  }
  // As a switch, or a reversal, of the other shard's workflow leaves the rules.
  void MoveOtherShard(bool target) {
    const auto epoch =
        coordinator_->rules->Change([&](store::StoreTransaction&, store::RuleState& rules) {
          rules.shard_rules = routing::WithShardsAt(
              std::move(rules.shard_rules),
              {.source_keyspace = "commerce", .target_keyspace = "customer"}, {"80-"}, target);
          return absl::OkStatus();
        });
    EXPECT_TRUE(epoch.ok()) << epoch.status();
  }
  void PutOtherWorkflow() {
    workflow::WorkflowRecord other = coordinator_->Workflow("customer", "move");
    other.name = "rest";
    other.source_shards = other.target_shards = {"80-"};
    other.streams.clear();
    EXPECT_TRUE(
        coordinator_->store
            ->Transaction([&](store::StoreTransaction& store) { return store.PutWorkflow(other); })
            .ok());
  }
  void ExpectTableRules() {
    for (const char* name :
         {"customer", "customer.customer", "commerce.customer", "corder@replica"}) {
      EXPECT_THAT(coordinator_->Route(name), ::testing::StartsWith("commerce.")) << name;
    }
  }
};

TEST_F(PartialTest, ReadsAndWritesOfItsShardMoveByOneRuleInOneCutover) {
  std::vector<std::string> held;
  cluster_.SetBefore([&](const std::string& request, const std::string& agent) {
    const auto holds = coordinator_->rules->Rules().holds;
    if (request == "set_gate closed" && agent == "commerce" && holds.size() == 1) {
      held = holds[0].shards;
    }
    return absl::OkStatus();
  });
  const nlohmann::json answer = Switch();
  cluster_.SetBefore(nullptr);
  EXPECT_EQ(answer["start_state"], kNothingSwitched);
  EXPECT_EQ(answer["current_state"], kSwitchedHere);
  EXPECT_EQ(answer["cutovers"].size(), 1U);
  EXPECT_THAT(held, ElementsAre("commerce/-80", "customer/-80"));
  EXPECT_THAT(ShardRules(),
              UnorderedElementsAre("commerce/-80 -> customer/-80", "customer/80- -> commerce/80-"));
  ExpectTableRules();
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kClosed));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kOpen));
  EXPECT_THAT(coordinator_->rules->Rules().holds, IsEmpty());
  const auto original = coordinator_->Workflow("customer", "move");
  EXPECT_TRUE(original.replica_switched && original.rdonly_switched && original.writes_switched);
  const auto reverse = coordinator_->Workflow("commerce", "move_reverse");
  EXPECT_TRUE(workflow::IsPartial(reverse));
  EXPECT_FALSE(reverse.replica_switched || reverse.rdonly_switched || reverse.writes_switched);
  MoveOtherShard(true);
  EXPECT_EQ(Switch()["current_state"], kSwitchedEverywhere);
}

TEST_F(PartialTest, GoesBackAndForthAnyNumberOfTimesWhileTheOtherShardStays) {
  MoveOtherShard(true);
  for (int round = 0; round < 3; ++round) {
    EXPECT_EQ(Switch()["current_state"], kSwitchedEverywhere);
    EXPECT_THAT(ShardRules(), UnorderedElementsAre("commerce/-80 -> customer/-80",
                                                   "commerce/80- -> customer/80-"));
    const nlohmann::json back =
        Reverse({TabletType::kPrimary, TabletType::kReplica, TabletType::kRdonly});
    EXPECT_EQ(back["current_state"], kNothingSwitched);
    EXPECT_THAT(ShardRules(), UnorderedElementsAre("customer/-80 -> commerce/-80",
                                                   "commerce/80- -> customer/80-"));
    EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
    EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 1);
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 1);
    ExpectTableRules();
  }
}

TEST_F(PartialTest, FewerTypesThanAllAreRefusedWithTheReason) {
  for (const auto& types : {std::vector<TabletType>{TabletType::kReplica, TabletType::kRdonly},
                            std::vector<TabletType>{TabletType::kPrimary}}) {
    ExpectRefused(service().Switch(SwitchOf(types), Soon()), kPrecondition,
                  "customer.move moves whole shards (-80): a shard is routed with its reads and "
                  "writes at once; name the tablet types RDONLY,REPLICA,PRIMARY together");
  }
  Switch();
  ExpectRefused(service().Reverse(SwitchOf({TabletType::kReplica}), Soon()), kPrecondition,
                "a shard is routed with its reads and writes at once");
  EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, WorkflowPhase::kFrozen);
}

TEST_F(PartialTest, ATableThatIsNotOfTheWorkflowKeepsItsShardFromMoving) {
  coordinator_->topology->NoteTables("zone1-100", {"corder", "customer", "late"});
  ExpectRefused(service().Switch(SwitchOf(), Soon()), kPrecondition,
                "table late of commerce/-80 is not in the workflow");
  ExpectUnchanged();
}

TEST_F(PartialTest, ASwitchThatFailsLeavesTheRulesAsTheyWere) {
  const std::vector<std::string> before = ShardRules();
  cluster_.SetBefore([](const std::string& request, const std::string&) {
    return request == "await_marker" ? absl::FailedPreconditionError("no way") : absl::OkStatus();
  });
  ExpectRefused(service().Switch(SwitchOf(), Soon()), absl::StatusCode::kAborted, "no way");
  EXPECT_EQ(ShardRules(), before);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_THAT(coordinator_->rules->Rules().holds, IsEmpty());
}

TEST_F(PartialTest, CompleteIsRefusedWhileTheSourceServesAnotherShard) {
  ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition,
                "you have not yet switched all read and write traffic");
  Switch();
  ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition,
                "cannot complete workflow customer.move: shard(s) 80- of keyspace commerce are "
                "still served by it");
  EXPECT_FALSE(cluster_.source().dropped);
  EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, WorkflowPhase::kFrozen);
}

TEST_F(PartialTest, CompleteLeavesTheRulesToTheOtherShardsWorkflow) {
  PutOtherWorkflow();
  MoveOtherShard(true);
  Switch();
  admin::FinishArgs args = FinishOf();
  args.dry_run = true;
  EXPECT_THAT(Done(service().Complete(args, Soon()))["dry_run_results"].dump(),
              HasSubstr("Routing rules stay: other shards of the keyspaces need them"));
  Done(service().Complete(FinishOf(), Soon()));
  EXPECT_TRUE(cluster_.source().dropped);
  EXPECT_FALSE(cluster_.target().dropped);
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
  ASSERT_EQ(coordinator_->Workflows().size(), 1U);
  EXPECT_EQ(coordinator_->Workflows()[0].name, "rest");
  // The shard is served by the target from now on, also when the other one goes back.
  EXPECT_THAT(ShardRules(), Contains("commerce/-80 -> customer/-80"));
  ExpectTableRules();
  EXPECT_THAT(coordinator_->rules->Rules().homes, IsEmpty());
}

TEST_F(PartialTest, CompleteOfTheLastOneRemovesTheRulesOfAllShards) {
  MoveOtherShard(true);
  Switch();
  admin::FinishArgs args = FinishOf();
  args.dry_run = true;
  EXPECT_THAT(Done(service().Complete(args, Soon()))["dry_run_results"].dump(),
              HasSubstr("Shard routing rules for participating shards will be deleted"));
  Done(service().Complete(FinishOf(), Soon()));
  EXPECT_TRUE(cluster_.source().dropped);
  EXPECT_THAT(coordinator_->Workflows(), IsEmpty());
  EXPECT_THAT(ShardRules(), IsEmpty());
  EXPECT_THAT(coordinator_->rules->Rules().table_rules, IsEmpty());
  EXPECT_THAT(coordinator_->rules->Rules().homes,
              Contains(store::TableHome{.table = "customer", .keyspace = "customer"}));
}

TEST_F(PartialTest, CompleteKeepsTheRulesWhenToldTo) {
  MoveOtherShard(true);
  Switch();
  admin::FinishArgs args = FinishOf();
  args.keep_routing_rules = true;
  Done(service().Complete(args, Soon()));
  EXPECT_THAT(ShardRules(), Contains("commerce/-80 -> customer/-80"));
  ExpectTableRules();
}

TEST_F(PartialTest, CancelOfTheOnlyOneLeavesNothing) {
  Done(service().Cancel(FinishOf(), Soon()));
  EXPECT_TRUE(cluster_.target().dropped);
  EXPECT_FALSE(cluster_.source().dropped);
  EXPECT_THAT(coordinator_->Workflows(), IsEmpty());
  EXPECT_THAT(ShardRules(), IsEmpty());
  EXPECT_THAT(coordinator_->rules->Rules().table_rules, IsEmpty());
}

TEST_F(PartialTest, CancelLeavesTheRulesWhileTheTargetServesAnotherShard) {
  MoveOtherShard(true);
  Switch();
  Reverse();
  Done(service().Cancel(FinishOf(), Soon()));
  EXPECT_THAT(coordinator_->Workflows(), IsEmpty());
  EXPECT_THAT(ShardRules(),
              UnorderedElementsAre("customer/-80 -> commerce/-80", "commerce/80- -> customer/80-"));
  ExpectTableRules();
}

TEST_F(PartialTest, CancelOfASwitchedOneIsRefused) {
  Switch();
  ExpectRefused(service().Cancel(FinishOf(), Soon()), kPrecondition,
                "writes are already switched; use reversetraffic first");
  EXPECT_FALSE(cluster_.target().dropped);
  EXPECT_THAT(ShardRules(), Contains("commerce/-80 -> customer/-80"));
}

TEST_F(PartialTest, ADryRunNamesTheShards) {
  admin::SwitchArgs args = SwitchOf();
  args.dry_run = true;
  const std::string lines = Done(service().Switch(args, Soon()))["dry_run_results"].dump();
  EXPECT_THAT(lines, HasSubstr("Switch routing of reads and writes of shards [-80] from keyspace "
                               "commerce to keyspace customer"));
  EXPECT_THAT(lines, HasSubstr("Shard routing rules for shards [-80] will be updated"));
  EXPECT_THAT(lines, Not(HasSubstr("Switch reads for tables")));
  ExpectUnchanged();
}

TEST_F(PartialTest, StreamsOfSomeShardsAreStartedAndStopped) {
  Done(service().Stop(SwitchOf().workflow, {"-80"}, Soon()));
  EXPECT_THAT(cluster_.requests(), Contains("control_stream stop customer"));
  ExpectRefused(service().Start(SwitchOf().workflow, {"80-"}, Soon()), absl::StatusCode::kNotFound,
                "workflow customer.move has no shard 80-; it has -80");
  Done(service().Start(SwitchOf().workflow, {"-80"}, Soon()));
  EXPECT_EQ(cluster_.FindStream(cluster_.target(), 1)->state,
            static_cast<int>(topology::StreamState::kRunning));
}

}  // namespace
}  // namespace sluice::traffic::testing
