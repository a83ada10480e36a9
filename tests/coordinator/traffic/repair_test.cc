// workflow diagnose and repair over a scripted cluster: half-done states come to one of two ends.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "coordinator/cutover/codec.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using topology::StreamState;
using workflow::GateState;

class RepairTest : public TrafficTest {
 protected:
  const admin::WorkflowRef ref_ = {.keyspace = "customer", .name = "move"};

  nlohmann::json Diagnose() { return Done(service().Diagnose(ref_, Soon())); }
  nlohmann::json Repair(bool yes = false) { return Done(service().Repair(ref_, yes, Soon())); }

  // As if somebody had done it by hand: no request, no epoch.
  void SetGateByHand(FakeServer& server, GateState state) { server.gate = Gate(state); }
  FakeStream& StreamOf(FakeServer& server) { return server.streams[0]; }

  void ExpectInOrder() {
    const nlohmann::json found = Diagnose();
    EXPECT_EQ(found["consistent"], true) << found.dump(2);
  }
  void ExpectRepaired(const nlohmann::json& answer) {
    EXPECT_EQ(answer["done"], true) << answer.dump(2);
    EXPECT_EQ(answer["consistent"], true) << answer.dump(2);
    ExpectInOrder();
  }
  // What a coordinator that died in a cutover leaves in the store.
  void PutStopped(const std::string& bytes) {
    const absl::Status put =
        coordinator_->store->Transaction([&](store::StoreTransaction& transaction) {
          return transaction.PutCutoverState("customer.move", bytes);
        });
    ASSERT_TRUE(put.ok()) << put;
  }
};

TEST_F(RepairTest, AllAgreesAtEachRestOfAMove) {
  ExpectInOrder();
  Switch({routing::TabletType::kReplica});
  ExpectInOrder();
  Switch();
  ExpectInOrder();
  Reverse({routing::TabletType::kPrimary});
  ExpectInOrder();
  Reverse();
  ExpectInOrder();
}

TEST_F(RepairTest, LookingChangesNothing) {
  Switch();
  cluster_.ForgetRequests();
  const store::RuleState rules = coordinator_->rules->Rules();
  Diagnose();
  for (const std::string& request : cluster_.requests()) {
    EXPECT_THAT(request, ::testing::AnyOf(HasSubstr("read_gate"), HasSubstr("read_journal"),
                                          HasSubstr("list_streams")));
  }
  EXPECT_TRUE(coordinator_->rules->Rules() == rules);
}

TEST_F(RepairTest, WithNothingToRepairNothingIsDone) {
  Switch();
  cluster_.ForgetRequests();
  const nlohmann::json answer = Repair();
  EXPECT_THAT(answer["summary"].get<std::string>(), HasSubstr("nothing to repair"));
  EXPECT_THAT(answer["repairs"], IsEmpty());
  EXPECT_THAT(cluster_.requests(), Not(Contains(HasSubstr("set_gate"))));
}

TEST_F(RepairTest, AGateThatIsShutOnTheSideThatServesIsOpened) {
  SetGateByHand(cluster_.source(), GateState::kClosed);
  EXPECT_EQ(Diagnose()["consistent"], false);
  ExpectRepaired(Repair());
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
}

TEST_F(RepairTest, ASideThatIsOpenAndDoesNotServeIsNeverGuessedAbout) {
  Switch();
  SetGateByHand(cluster_.target(), GateState::kClosed);
  SetGateByHand(cluster_.source(), GateState::kOpen);
  StreamOf(cluster_.source()).state = static_cast<int>(StreamState::kStopped);
  cluster_.ForgetRequests();
  const nlohmann::json answer = Repair(true);
  EXPECT_EQ(answer["done"], false);
  EXPECT_THAT(answer["refused"].get<std::string>(), HasSubstr("no program can tell"));
  EXPECT_THAT(cluster_.requests(), Not(Contains(HasSubstr("set_gate"))));
  // The cluster saw the wrong side open, which this test has done itself.
  cluster_.world().violation[0] = '\0';
}

TEST_F(RepairTest, AReverseStreamThatIsGoneBeginsAnewAtTheCommit) {
  Switch();
  const uint64_t old_id = coordinator_->Workflow("commerce", "move_reverse").streams[0].id;
  const uint64_t from = StreamOf(cluster_.source()).from;
  cluster_.source().stream_count = 0;
  EXPECT_EQ(Diagnose()["consistent"], false);
  ExpectRepaired(Repair());
  const uint64_t new_id = coordinator_->Workflow("commerce", "move_reverse").streams[0].id;
  EXPECT_NE(new_id, old_id);
  const FakeStream* stream = cluster_.FindStream(cluster_.source(), new_id);
  ASSERT_NE(stream, nullptr);
  EXPECT_EQ(stream->from, from);
  EXPECT_EQ(stream->state, static_cast<int>(StreamState::kRunning));
  EXPECT_EQ(Reverse()["current_state"], kNothingSwitched);
}

TEST_F(RepairTest, AStreamThatWasNeverPlacedIsPlacedAtTheCommit) {
  Switch();
  const uint64_t from = StreamOf(cluster_.source()).from;
  FakeStream& stream = StreamOf(cluster_.source());
  stream.awaits_position = true;
  stream.from = 0;
  stream.state = static_cast<int>(StreamState::kStopped);
  ExpectRepaired(Repair());
  EXPECT_EQ(StreamOf(cluster_.source()).from, from);
}

TEST_F(RepairTest, WhatCantBeTakenBackIsAskedFor) {
  Switch();
  FakeServer& target = cluster_.target();
  FakeStream& stray = target.streams[target.stream_count++];
  stray = target.streams[0];
  stray.id = 77;
  stray.frozen = false;
  stray.from = 1;
  stray.state = static_cast<int>(StreamState::kStopped);
  const nlohmann::json asked = Repair();
  EXPECT_EQ(asked["done"], false);
  EXPECT_THAT(asked["summary"].get<std::string>(), HasSubstr("customer.move --yes"));
  // What can be taken back is done at once: it does not write any more.
  ASSERT_NE(cluster_.FindStream(target, 77), nullptr);
  EXPECT_TRUE(cluster_.FindStream(target, 77)->frozen);
  ExpectRepaired(Repair(true));
  EXPECT_EQ(cluster_.FindStream(target, 77), nullptr);
}

TEST_F(RepairTest, RulesAndHoldsFollowTheRecord) {
  Switch();
  const auto spoiled = coordinator_->rules->Change([](store::StoreTransaction&,
                                                      store::RuleState& rules) {
    std::erase_if(rules.table_rules,
                  [](const routing::TableRule& rule) { return rule.from_table == "customer"; });
    rules.holds.push_back(
        {.cutover_id = "dead", .tables = {"commerce.customer"}, .lease_ms = 1000, .shards = {}});
    return absl::OkStatus();
  });
  ASSERT_TRUE(spoiled.ok()) << spoiled.status();
  EXPECT_EQ(Diagnose()["consistent"], false);
  ExpectRepaired(Repair());
  EXPECT_EQ(coordinator_->Route("customer"), "customer.customer");
  EXPECT_THAT(coordinator_->rules->Rules().holds, IsEmpty());
}

TEST_F(RepairTest, AJournalIsCopiedFromTheOtherSide) {
  Switch();
  cluster_.source().journals = 0;
  EXPECT_EQ(Diagnose()["consistent"], false);
  ExpectRepaired(Repair());
  EXPECT_STREQ(cluster_.source().journal, cluster_.target().journal);
}

TEST_F(RepairTest, ACutoverThatNobodyRunsIsTakenBack) {
  cutover::State state;
  state.plan = WritesPlan({.original = coordinator_->Workflow("customer", "move"), .reverse = {}},
                          false, {.id = "dead", .epoch = 1, .reverse_ids = {50}, .gates = {}})
                   .value();
  cutover::Transition begun = cutover::Step(std::move(state), cutover::Event::Begin());
  PutStopped(cutover::EncodeOperation(
      cutover::StoredCutover{.state = std::move(begun.state), .started_us = 1}));
  SetGateByHand(cluster_.source(), GateState::kClosed);
  const nlohmann::json found = Diagnose();
  EXPECT_EQ(found["consistent"], false);
  EXPECT_THAT(found.dump(), HasSubstr("nobody is at work on it"));
  ExpectRepaired(Repair());
  EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
}

TEST_F(RepairTest, ACommandThatCantBeReadIsForgottenOnlyWithAYes) {
  PutStopped("no such state");
  SetGateByHand(cluster_.source(), GateState::kClosed);
  EXPECT_EQ(Diagnose()["consistent"], false);
  EXPECT_EQ(Repair()["done"], false);
  EXPECT_EQ(coordinator_->UnfinishedStates(), 1U);
  ExpectRepaired(Repair(true));
  EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
}

TEST_F(RepairTest, ADatabaseThatDoesNotAnswerIsSaidAsSuchAndLeftAlone) {
  Switch();
  SetGateByHand(cluster_.target(), GateState::kClosed);
  cluster_.SetBefore([](const std::string& request, const std::string& agent) {
    return agent == "commerce" && request == "read_gate"
               ? absl::DeadlineExceededError("no answer within 3s")
               : absl::OkStatus();
  });
  const nlohmann::json found = Diagnose();
  EXPECT_THAT(found.dump(), HasSubstr("no answer within 3s"));
  EXPECT_THAT(found.dump(), HasSubstr("unreachable"));
  const nlohmann::json answer = Repair(true);
  EXPECT_EQ(answer["done"], false);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
  cluster_.SetBefore(nullptr);
  ExpectRepaired(Repair());
}

TEST_F(RepairTest, AFailureIsToldAndTheRepairCanBeRepeated) {
  SetGateByHand(cluster_.source(), GateState::kClosed);
  cluster_.SetBefore([](const std::string& request, const std::string&) {
    return request == "set_gate open" ? absl::AbortedError("locks not granted") : absl::OkStatus();
  });
  const nlohmann::json answer = Repair();
  EXPECT_EQ(answer["done"], false);
  EXPECT_THAT(answer["repairs"][0]["result"].get<std::string>(), HasSubstr("locks not granted"));
  cluster_.SetBefore(nullptr);
  ExpectRepaired(Repair());
}

TEST_F(RepairTest, AHeldCutoverIsInOrderAndLeftAlone) {
  admin::SwitchArgs args = SwitchOf({routing::TabletType::kPrimary});
  args.hold = true;
  Done(service().Switch(args, Soon()));
  const nlohmann::json found = Diagnose();
  EXPECT_EQ(found["consistent"], true) << found.dump(2);
  EXPECT_THAT(found.dump(), HasSubstr("waiting for a person's word"));
  ExpectRefused(service().Repair(ref_, true, Soon()), absl::StatusCode::kAborted,
                "another command (switchtraffic) is running");
  Done(service().CutoverRelease(ref_, Soon()));
}

TEST_F(RepairTest, OneAttemptIsShownByItsNumber) {
  Switch();
  Reverse();
  const nlohmann::json all = Done(service().CutoverShow(ref_, 0));
  ASSERT_GE(all["attempts"].size(), 2U);
  const nlohmann::json second = Done(service().CutoverShow(ref_, 2));
  ASSERT_EQ(second["attempts"].size(), 1U);
  EXPECT_EQ(second["attempts"][0]["id"], all["attempts"][1]["id"]);
  EXPECT_EQ(second["attempts"][0]["attempt"], 2);
  ExpectRefused(service().CutoverShow(ref_, 99), absl::StatusCode::kNotFound, "1 is the newest");
}

TEST_F(RepairTest, ForceTakesLagForGrantedButNotAStoppedStream) {
  cluster_.lag_ms = 60'000;
  ExpectRefused(service().Switch(SwitchOf(), Soon()), absl::StatusCode::kFailedPrecondition,
                "higher than allowed lag");
  admin::SwitchArgs args = SwitchOf();
  args.force = true;
  StreamOf(cluster_.target()).state = static_cast<int>(StreamState::kStopped);
  ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kFailedPrecondition,
                "is stopped");
  StreamOf(cluster_.target()).state = static_cast<int>(StreamState::kRunning);
  const nlohmann::json answer = Done(service().Switch(args, Soon()));
  EXPECT_EQ(answer["current_state"], kAllSwitched);
  EXPECT_THAT(answer["warning"].get<std::string>(), HasSubstr("higher than allowed lag"));
}

}  // namespace
}  // namespace sluice::traffic::testing
