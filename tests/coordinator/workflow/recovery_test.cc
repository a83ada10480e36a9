// MoveTables: creates that the coordinator's death interrupted.

#include "common/base/status_macros.h"
#include "coordinator/workflow/create_effects.h"
#include "coordinator/workflow/move_tables.h"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using schemas::Method;
using ::sluice::testing::IsOk;
using ::sluice::testing::MoveBench;
using ::testing::IsEmpty;

class RecoveryTest : public ::testing::Test {
 protected:
  RecoveryTest() {
    args_.keyspace = "customer";
    args_.name = "c2c";
    args_.source_keyspace = "commerce";
    args_.tables = {"customer", "corder"};
  }

  absl::Time Soon() const { return absl::Now() + absl::Seconds(20); }

  // The coordinator dies after the record, as if at the crash point, and comes back.
  WorkflowRecord DieAfterRecording() {
    CreatePlan plan = PlanCreate(bench_.services(), args_, Soon()).value();
    EXPECT_THAT(RecordCreating(bench_.services(), plan.record), IsOk());
    bench_.Restart();
    return plan.record;
  }

  // Runs the recovery until the predicate over all records holds.
  void RecoverUntil(const std::function<bool(const std::vector<WorkflowRecord>&)>& done,
                    MoveTablesOptions options = {}) {
    options.retry_every = absl::Milliseconds(50);
    MoveTables move_tables(bench_.services(), options);
    move_tables.Start();
    const absl::Time deadline = Soon();
    while (!done(store::ListWorkflows(*bench_.store).value()) && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));  // Delay: the store has nothing to wait on.
    }
    EXPECT_TRUE(done(store::ListWorkflows(*bench_.store).value()));
  }

  static bool Started(const std::vector<WorkflowRecord>& records) {
    return records.size() == 1 && records[0].phase == WorkflowPhase::kActive &&
           !records[0].start_pending;
  }
  static bool Gone(const std::vector<WorkflowRecord>& records) { return records.empty(); }

  MoveBench bench_;
  CreateArgs args_;
};

TEST_F(RecoveryTest, ARecordedCreateGoesForward) {
  const WorkflowRecord record = DieAfterRecording();
  RecoverUntil(&Started);
  EXPECT_EQ(bench_.target.StreamCount(), 1);
  EXPECT_EQ(bench_.rules->Rules().table_rules, routing::RulesOfMove(MoveRulesOf(record)));
}

TEST_F(RecoveryTest, ACreateThatIsHalfDoneGoesForward) {
  CreatePlan plan = PlanCreate(bench_.services(), args_, Soon()).value();
  EXPECT_THAT(RecordCreating(bench_.services(), plan.record), IsOk());
  EXPECT_THAT(CreateForward(bench_.services(), plan.record, plan.tables, 1, Soon()), IsOk());
  bench_.Restart();
  RecoverUntil(&Started);
  EXPECT_EQ(bench_.target.Calls().back(), "start stream 1");
}

TEST_F(RecoveryTest, AnAgentThatIsAwayForAWhileIsWaitedFor) {
  DieAfterRecording();
  bench_.target.Fail(Method::PREPARE_TARGET, absl::UnavailableError("starting"), 3);
  RecoverUntil(&Started);
}

TEST_F(RecoveryTest, WhatCannotGoForwardIsUndone) {
  DieAfterRecording();
  bench_.target.Fail(Method::CREATE_STREAM, absl::FailedPreconditionError("no"), 100);
  RecoverUntil(&Gone);
  EXPECT_THAT(bench_.target.TableNames(), IsEmpty());
  EXPECT_THAT(bench_.rules->Rules().table_rules, IsEmpty());
}

TEST_F(RecoveryTest, AnAgentThatStaysAwayIsNotWaitedForForEver) {
  DieAfterRecording();
  bench_.target.Fail(Method::CREATE_STREAM, absl::UnavailableError("gone"), 1000);
  MoveTablesOptions options;
  options.forward_within = absl::Milliseconds(200);
  RecoverUntil(&Gone, options);
}

TEST_F(RecoveryTest, ADecisionToUndoIsKept) {
  WorkflowRecord record = DieAfterRecording();
  EXPECT_THAT(DecideToUndo(bench_.services(), record, absl::InternalError("why")), IsOk());
  bench_.Restart();
  RecoverUntil(&Gone);
  EXPECT_EQ(bench_.target.StreamCount(), 0);
}

}  // namespace
}  // namespace sluice::workflow
