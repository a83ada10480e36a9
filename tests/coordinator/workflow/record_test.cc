// WorkflowRecord: names, keys and the traffic state in words.

#include "coordinator/workflow/record.h"

#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;

WorkflowRecord Flags(bool replica, bool rdonly, bool writes) {
  WorkflowRecord record;
  record.keyspace = record.target_keyspace = "customer";
  record.name = "c2c";
  record.source_keyspace = "commerce";
  record.replica_switched = replica;
  record.rdonly_switched = rdonly;
  record.writes_switched = writes;
  return record;
}

TEST(RecordTest, TheTrafficStateIsInOurUsersWords) {
  EXPECT_EQ(TrafficStateText(Flags(false, false, false)),
            "Reads Not Switched. Writes Not Switched");
  EXPECT_EQ(TrafficStateText(Flags(true, true, true)), "All Reads Switched. Writes Switched");
  EXPECT_EQ(TrafficStateText(Flags(true, true, false)), "All Reads Switched. Writes Not Switched");
  EXPECT_EQ(TrafficStateText(Flags(true, false, false)),
            "Reads partially switched. All Replica Reads Switched. Rdonly not switched. "
            "Writes Not Switched");
  EXPECT_EQ(TrafficStateText(Flags(false, true, true)),
            "Reads partially switched. Replica not switched. All Rdonly Reads Switched. "
            "Writes Switched");
}

TEST(RecordTest, AWorkflowAndItsReverseShareOneLockAndOneMove) {
  const WorkflowRecord forward = Flags(true, true, true);
  WorkflowRecord reverse = Flags(false, false, false);
  reverse.keyspace = reverse.target_keyspace = "commerce";
  reverse.source_keyspace = "customer";
  reverse.name = ReverseName(forward.name);
  reverse.reverse_of = WorkflowKey(forward);
  EXPECT_EQ(reverse.name, "c2c_reverse");
  EXPECT_EQ(ReverseName(reverse.name), "c2c");
  EXPECT_EQ(OperationKey(reverse), OperationKey(forward));
  EXPECT_EQ(routing::RulesOfMove(MoveRulesOf(reverse)), routing::RulesOfMove(MoveRulesOf(forward)));
}

TEST(RecordTest, WorkflowNamesArePlain) {
  EXPECT_THAT(ValidateWorkflowName("commerce2customer-1_a"), IsOk());
  for (const char* bad : {"", "a.b", "a b", "a/b"}) {
    EXPECT_THAT(ValidateWorkflowName(bad), StatusIs(absl::StatusCode::kInvalidArgument, bad));
  }
}

}  // namespace
}  // namespace sluice::workflow
