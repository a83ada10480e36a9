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

TEST(RecordTest, ReadsOfSomeCellsAreNamed) {
  WorkflowRecord record = Flags(false, true, false);
  MoveReplicaReads(true, {"zone2", "zone1", "zone2"}, record);
  MoveRdonlyReads(false, {"zone3"}, record);
  EXPECT_EQ(TrafficStateText(record),
            "Reads partially switched. Replica switched in cells: zone1,zone2. Rdonly switched in "
            "all cells but: zone3. Writes Not Switched");
  MoveReplicaReads(false, {"zone1", "zone2"}, record);
  MoveRdonlyReads(false, {}, record);
  EXPECT_EQ(TrafficStateText(record), "Reads Not Switched. Writes Not Switched");
  MoveReplicaReads(true, {"zone1"}, record);
  EXPECT_EQ(TrafficStateText(record),
            "Reads partially switched. Replica switched in cells: zone1. Rdonly not switched. "
            "Writes Not Switched");
  MoveReplicaReads(true, {}, record);
  EXPECT_TRUE(record.replica_exceptions.empty());
  EXPECT_TRUE(AllReplicaReadsAre(true, {}, record));
}

TEST(RecordTest, ACellThatNobodyNamedStaysWhereItIs) {
  WorkflowRecord record = Flags(false, false, false);
  MoveReplicaReads(true, {"zone1", "zone2"}, record);
  EXPECT_TRUE(AllReplicaReadsAre(true, {"zone1", "zone2"}, record));
  EXPECT_TRUE(AllReplicaReadsAre(false, {"new"}, record));
  EXPECT_FALSE(AllReplicaReadsAre(true, {"zone1", "new"}, record));
  EXPECT_FALSE(AllReplicaReadsAre(true, {}, record));
  EXPECT_FALSE(AllReplicaReadsAre(false, {}, record));
  // On the way back it is the other side that it stays on.
  MoveReplicaReads(true, {}, record);
  MoveReplicaReads(false, {"zone1", "zone2"}, record);
  EXPECT_TRUE(AllReplicaReadsAre(true, {"new"}, record));
  EXPECT_TRUE(AllReplicaReadsAre(false, {"zone1"}, record));
  EXPECT_TRUE(AllRdonlyReadsAre(false, {}, record));
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

TEST(RecordTest, AWorkflowOfShardsSaysWhichAreSwitched) {
  WorkflowRecord record = Flags(false, false, false);
  record.sub_type = kPartial;
  record.source_shards = record.target_shards = {"-80", "80-"};
  EXPECT_EQ(TrafficStateText(record), "Reads Not Switched. Writes Not Switched");
  EXPECT_EQ(TrafficStateText(record, true), "Reads Not Switched. Writes Not Switched");
  record.replica_switched = record.rdonly_switched = record.writes_switched = true;
  EXPECT_EQ(TrafficStateText(record),
            "Reads partially switched, for shards: -80,80-. Writes partially switched, for "
            "shards: -80,80-");
  EXPECT_EQ(TrafficStateText(record, true), "All Reads Switched. All Writes Switched");
  // Its traffic goes by the rules of shards.
  EXPECT_FALSE(MoveRulesOf(record).writes_switched);
}

TEST(RecordTest, SomeStreamsAreChosenByTheirShards) {
  WorkflowRecord record = Flags(false, false, false);
  record.target_shards = {"-80", "80-"};
  record.streams.resize(2);
  record.streams[0].target_shard = "-80";
  record.streams[1].target_shard = "80-";
  EXPECT_THAT(KeepStreamsOf({}, record), IsOk());
  EXPECT_EQ(record.streams.size(), 2U);
  EXPECT_THAT(KeepStreamsOf({"80-", "x"}, record),
              StatusIs(absl::StatusCode::kNotFound,
                       "workflow customer.c2c has no shard x; it has -80, 80-"));
  EXPECT_THAT(KeepStreamsOf({"80-"}, record), IsOk());
  ASSERT_EQ(record.streams.size(), 1U);
  EXPECT_EQ(record.streams[0].target_shard, "80-");
}

TEST(RecordTest, WorkflowNamesArePlain) {
  EXPECT_THAT(ValidateWorkflowName("commerce2customer-1_a"), IsOk());
  for (const char* bad : {"", "a.b", "a b", "a/b"}) {
    EXPECT_THAT(ValidateWorkflowName(bad), StatusIs(absl::StatusCode::kInvalidArgument, bad));
  }
}

}  // namespace
}  // namespace sluice::workflow
