// complete, cancel and delete over a scripted cluster.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/coordinator/traffic/fake_parts.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using workflow::GateState;

constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

class FinishTest : public TrafficTest {
 protected:
  nlohmann::json Complete(const admin::FinishArgs& args = FinishOf()) {
    return Done(service().Complete(args, Soon()));
  }
  void ExpectGone() {
    EXPECT_THAT(coordinator_->Workflows(), IsEmpty());
    EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 0);
  }
};

TEST_F(FinishTest, CompleteDropsTheOldSideAndLeavesNothing) {
  Switch();
  const nlohmann::json answer = Complete();
  EXPECT_EQ(answer["summary"], "Complete was successful for workflow customer.move");
  EXPECT_EQ(answer["start_state"], kAllSwitched);
  EXPECT_EQ(answer["current_state"], "Workflow Not Found");
  ExpectGone();
  EXPECT_TRUE(cluster_.source().dropped);
  EXPECT_FALSE(cluster_.target().dropped);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kOpen));
  EXPECT_THAT(coordinator_->rules->Rules().table_rules, IsEmpty());
  // Bare names go to the side that has the tables now.
  EXPECT_THAT(coordinator_->rules->Rules().homes,
              Contains(store::TableHome{.table = "customer", .keyspace = "customer"}));
  // The timeline can still be asked for.
  EXPECT_TRUE(service().CutoverShow(SwitchOf().workflow, 0).ok());
}

TEST_F(FinishTest, CompleteKeepsWhatItIsToldToKeep) {
  Switch();
  admin::FinishArgs args = FinishOf();
  args.keep_data = true;
  args.keep_routing_rules = true;
  Complete(args);
  ExpectGone();
  EXPECT_FALSE(coordinator_->rules->Rules().table_rules.empty());
  EXPECT_EQ(coordinator_->Route("commerce.customer"), "customer.customer");
}

TEST_F(FinishTest, KeptTablesAreNamedAsWhatTheyBecome) {
  Switch();
  admin::FinishArgs args = FinishOf();
  args.dry_run = true;
  EXPECT_FALSE(Done(service().Complete(args, Soon())).contains("warning"));
  args.keep_data = true;
  EXPECT_THAT(Done(service().Complete(args, Soon()))["warning"].get<std::string>(),
              HasSubstr("the tables of keyspace commerce are kept under their names and take "
                        "writes again"));
  args.rename_tables = true;
  args.dry_run = false;
  ExpectRefused(service().Complete(args, Soon()), absl::StatusCode::kInvalidArgument,
                "--keep-data and --rename-tables exclude each other");
  EXPECT_FALSE(cluster_.source().renamed);
  args.rename_tables = false;
  EXPECT_THAT(Done(service().Complete(args, Soon()))["warning"].get<std::string>(),
              HasSubstr("no longer those of customer"));
}

TEST_F(FinishTest, CompleteDropsASideThatIsClosedAsAWholeMysqld) {
  Switch();
  // Its tables have their own names, so it can be read.
  cluster_.source().gate = Gate(GateState::kReadable);
  Complete(FinishOf());
  ExpectGone();
  EXPECT_TRUE(cluster_.source().dropped);
}

TEST_F(FinishTest, CompleteCanRenameInsteadOfDropping) {
  Switch();
  admin::FinishArgs args = FinishOf();
  args.rename_tables = true;
  // No agent has reported its stream, so nobody knows how far it is.
  EXPECT_THAT(Done(service().Complete(args, Soon()))["warning"].get<std::string>(),
              HasSubstr("the kept tables may lack the last writes of the other side in commerce/0 "
                        "(stream "));
  EXPECT_TRUE(cluster_.source().renamed);
}

TEST_F(FinishTest, CompleteIsRefusedUntilAllTrafficIsSwitched) {
  const std::string text =
      "cannot complete workflow because you have not yet switched all read and write traffic";
  ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition, text);
  Switch({TabletType::kReplica, TabletType::kRdonly});
  ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition, text);
  Switch({TabletType::kPrimary});
  Reverse({TabletType::kReplica});
  ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition, text);
  EXPECT_THAT(cluster_.requests(), Not(Contains(HasSubstr("drop_tables"))));
}

TEST_F(FinishTest, CompleteIsRefusedOnADoubt) {
  Switch();
  const auto expect_refused = [&](const std::string& text) {
    ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition, text);
    EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, workflow::WorkflowPhase::kFrozen);
    EXPECT_FALSE(cluster_.source().dropped);
  };
  for (const char* keyspace : {"commerce", "customer"}) {
    cluster_.SetBefore([&](const std::string&, const std::string& agent) {
      return agent == keyspace ? absl::UnavailableError("no connection") : absl::OkStatus();
    });
    expect_refused("no connection");
  }
  cluster_.SetBefore(nullptr);
  cluster_.source().gate = Gate(GateState::kReadable);
  Copy(cluster_.source().wanted_gate, "readable");
  expect_refused("(the side that is to be dropped) is readable, not closed");
  cluster_.source().gate = Gate(GateState::kClosed);
  cluster_.target().gate = Gate(GateState::kMixed);
  expect_refused("(the side that serves) is mixed, not open");
  cluster_.target().gate = Gate(GateState::kOpen);
}

// Behind the decision there would be no way back from a refusal.
TEST_F(FinishTest, WhatAnAgentWouldRefuseIsRefusedBeforeTheDecision) {
  const auto expect_refused = [&](const absl::StatusOr<std::string>& answer, FakeServer& server,
                                  const std::string& text) {
    ExpectRefused(answer, kPrecondition, text);
    EXPECT_THAT(cluster_.requests(), Not(Contains("drop_tables")));
    EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
    EXPECT_FALSE(server.dropped);
  };
  Copy(cluster_.target().end_obstacle, "table note refers to corder by a foreign key");
  expect_refused(service().Cancel(FinishOf(), Soon()), cluster_.target(),
                 "cannot cancel workflow customer.move: on customer/0: table note refers to");
  EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, workflow::WorkflowPhase::kActive);
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 1);
  Switch();
  cluster_.ForgetRequests();
  Copy(cluster_.source().end_obstacle, "_customer_old exists in vt_commerce already");
  admin::FinishArgs args = FinishOf();
  args.rename_tables = true;
  for (const bool dry_run : {true, false}) {
    args.dry_run = dry_run;
    expect_refused(service().Complete(args, Soon()), cluster_.source(),
                   "cannot complete workflow customer.move: on commerce/0: _customer_old exists");
  }
  EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, workflow::WorkflowPhase::kFrozen);
  Copy(cluster_.source().end_obstacle, "");
  Complete(args);
  ExpectGone();
  EXPECT_TRUE(cluster_.source().renamed);
}

TEST_F(FinishTest, ADecidedCompleteWaitsForAgentsThatGoAway) {
  Switch();
  absl::Mutex mutex;
  bool away = true;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    const absl::MutexLock lock(&mutex);
    return away && request == "drop_tables" ? absl::UnavailableError("agent is away")
                                            : absl::OkStatus();
  });
  ExpectRefused(service().Complete(FinishOf(), absl::Now() + absl::Milliseconds(200)),
                absl::StatusCode::kDeadlineExceeded, "agent is away");
  EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, workflow::WorkflowPhase::kCompleting);
  EXPECT_THAT(coordinator_->Workflow("customer", "move").message, HasSubstr("agent is away"));
  ExpectRefused(service().Cancel(FinishOf(), Soon()), absl::StatusCode::kAborted, "is running");
  {
    const absl::MutexLock lock(&mutex);
    away = false;
  }
  ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(10)));
  ExpectGone();
}

TEST_F(FinishTest, SaidAgainItWaitsForTheSameEnd) {
  Switch();
  absl::Mutex mutex;
  bool slow = true;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    const absl::MutexLock lock(&mutex);
    return slow && request == "drop_tables"
               ? absl::DeadlineExceededError("640 of 2000 tables of vt_commerce are dropped so far")
               : absl::OkStatus();
  });
  for (int said = 0; said < 2; ++said) {
    ExpectRefused(service().Complete(FinishOf(), absl::Now() + absl::Milliseconds(100)),
                  absl::StatusCode::kDeadlineExceeded, "640 of 2000 tables of vt_commerce");
  }
  EXPECT_THAT(coordinator_->Workflow("customer", "move").message, HasSubstr("640 of 2000 tables"));
  admin::FinishArgs other = FinishOf();
  other.keep_data = true;
  ExpectRefused(service().Complete(other, Soon()), absl::StatusCode::kAborted, "is running");
  ExpectRefused(service().Cancel(FinishOf(), Soon()), absl::StatusCode::kAborted, "is running");
  {
    const absl::MutexLock lock(&mutex);
    slow = false;
  }
  // It may be over by now.
  const auto again = service().Complete(FinishOf(), Soon());
  EXPECT_TRUE(again.ok() || absl::IsNotFound(again.status())) << again.status();
  ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(10)));
  ExpectGone();
  EXPECT_TRUE(cluster_.source().dropped);
}

TEST_F(FinishTest, AnErrorThatWaitingDoesNotCureComesBackAtOnce) {
  Switch();
  cluster_.SetBefore([](const std::string& request, const std::string&) {
    return request == "drop_tables"
               ? absl::FailedPreconditionError("table t refers to it by a foreign key")
               : absl::OkStatus();
  });
  ExpectRefused(service().Complete(FinishOf(), Soon()), kPrecondition, "foreign key");
  EXPECT_FALSE(cluster_.source().dropped);
  // The rules stay until the tables are gone.
  EXPECT_EQ(coordinator_->Route("customer"), "customer.customer");
}

TEST_F(FinishTest, TheReverseWorkflowIsNeitherCompletedNorCancelled) {
  Switch();
  admin::FinishArgs args = FinishOf();
  args.workflow = {.keyspace = "commerce", .name = "move_reverse"};
  ExpectRefused(service().Complete(args, Soon()), kPrecondition, "is the reverse of customer.move");
  ExpectRefused(service().Cancel(args, Soon()), kPrecondition, "is the reverse of customer.move");
  ExpectRefused(service().Delete(args, Soon()), kPrecondition, "is the reverse of customer.move");
  EXPECT_EQ(coordinator_->Workflows().size(), 2U);
}

TEST_F(FinishTest, CancelDropsTheCopyAndLeavesTheSourceAlone) {
  const nlohmann::json answer = Done(service().Cancel(FinishOf(), Soon()));
  EXPECT_EQ(answer["summary"], "Cancel was successful for workflow customer.move");
  EXPECT_EQ(answer["start_state"], kNothingSwitched);
  ExpectGone();
  EXPECT_TRUE(cluster_.target().dropped);
  EXPECT_FALSE(cluster_.source().dropped);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_THAT(coordinator_->rules->Rules().table_rules, IsEmpty());
}

TEST_F(FinishTest, CancelKeepsNoTableThatLacksItsKeys) {
  cluster_.keys_owed = {"by_name", "by_day"};
  admin::FinishArgs args = FinishOf();
  args.keep_data = true;
  ExpectRefused(service().Cancel(args, Soon()), kPrecondition,
                "table customer lacks its keys by_name, by_day until the copy is done");
  args.keep_data = false;
  Done(service().Cancel(args, Soon()));
  ExpectGone();
}

TEST_F(FinishTest, CancelRoutesReadsBackFirst) {
  Switch({TabletType::kReplica, TabletType::kRdonly});
  cluster_.ForgetRequests();
  Done(service().Cancel(FinishOf(), Soon()));
  const std::vector<std::string> requests = cluster_.requests();
  const auto closed = std::find(requests.begin(), requests.end(), "set_gate closed customer");
  const auto dropped = std::find(requests.begin(), requests.end(), "drop_tables customer");
  EXPECT_NE(dropped, requests.end());
  EXPECT_LT(closed, dropped);
  ExpectGone();
}

TEST_F(FinishTest, CancelAfterAReversalLeavesNothingOfEitherDirection) {
  Switch();
  Reverse();
  Done(service().Delete(FinishOf(), Soon()));
  ExpectGone();
  EXPECT_TRUE(cluster_.target().dropped);
}

TEST_F(FinishTest, CancelIsRefusedWhenWritesAreSwitched) {
  Switch();
  ExpectRefused(service().Cancel(FinishOf(), Soon()), kPrecondition,
                "cannot cancel workflow customer.move: writes are already switched; use "
                "reversetraffic first");
  EXPECT_FALSE(cluster_.target().dropped);
}

TEST_F(FinishTest, DryRunsSayWhatWouldGo) {
  admin::FinishArgs args = FinishOf();
  args.dry_run = true;
  const std::string cancel = Done(service().Cancel(args, Soon()))["dry_run_results"].dump();
  EXPECT_THAT(cancel, HasSubstr("Dropping table [keyspace:customer;shard:0;dbname:vt_customer;"
                                "tablet:zone1-200;table:corder]"));
  ExpectUnchanged();
  Switch();
  const std::string complete = Done(service().Complete(args, Soon()))["dry_run_results"].dump();
  EXPECT_THAT(complete, HasSubstr("Dropping table [keyspace:commerce;shard:0;dbname:vt_commerce;"
                                  "tablet:zone1-100;table:customer]"));
  EXPECT_THAT(complete, HasSubstr("Routing rules for participating tables will be deleted"));
  EXPECT_FALSE(cluster_.source().dropped);
}

TEST_F(FinishTest, UnknownWorkflowsAreNamed) {
  admin::FinishArgs args = FinishOf();
  args.workflow.name = "nothing";
  ExpectRefused(service().Complete(args, Soon()), absl::StatusCode::kNotFound,
                "workflow customer.nothing does not exist");
}

}  // namespace
}  // namespace sluice::traffic::testing
