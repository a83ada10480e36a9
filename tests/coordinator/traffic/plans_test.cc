// Which traffic moves, by which plan, and what the commit makes of the records.

#include "coordinator/traffic/plans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/cutover/machine.h"

namespace sluice::traffic {
namespace {

using cutover::Records;
using routing::TabletType;
using ::testing::HasSubstr;
using workflow::WorkflowPhase;

Records Fresh() {
  Records records;
  workflow::WorkflowRecord& original = records.original;
  original.keyspace = "customer";
  original.name = "move";
  original.source_keyspace = "commerce";
  original.target_keyspace = "customer";
  original.tables = {"corder", "customer"};
  original.source_shards = {"0"};
  original.target_shards = {"-80", "80-"};
  original.phase = WorkflowPhase::kActive;
  original.options.source_types = {TabletType::kReplica};
  original.streams = {{.id = 5,
                       .source_shard = "0",
                       .target_shard = "-80",
                       .source_database = "vt_commerce",
                       .target_database = "vt_customer"},
                      {.id = 6,
                       .source_shard = "0",
                       .target_shard = "80-",
                       .source_database = "vt_commerce",
                       .target_database = "vt_customer"}};
  return records;
}

PlanNumbers Numbers() {
  PlanNumbers numbers;
  numbers.id = "c1";
  numbers.epoch = 10;
  numbers.reverse_ids = {7, 8};
  return numbers;
}

TEST(PlansTest, TheStreamBackConvertsTimesBackAndForgetsTheCells) {
  Records records = Fresh();
  stream::StreamOptions& options = records.original.options.stream;
  options.source_time_zone = "Europe/Berlin";
  options.target_time_zone = "UTC";
  options.cells = {"zone1"};
  options.allow_no_key = true;
  const auto there = WritesPlan(records, false, Numbers());
  ASSERT_TRUE(there.ok()) << there.status();
  EXPECT_EQ(there->reverse_options.source_time_zone, "UTC");
  EXPECT_EQ(there->reverse_options.target_time_zone, "Europe/Berlin");
  EXPECT_TRUE(there->reverse_options.allow_no_key);
  EXPECT_TRUE(there->reverse_options.cells.empty());
  records.reverse = records.original;
  const auto back = WritesPlan(records, true, Numbers());
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->reverse_options, options);
}

TEST(TrafficTypesTest, NoTypesMeanAllThatIsNotThereYet) {
  Records records = Fresh();
  EXPECT_EQ(*ChooseTypes({}, records, false, true),
            (TrafficTypes{.replica = true, .rdonly = true, .writes = true}));
  records.original.replica_switched = true;
  EXPECT_EQ(*ChooseTypes({}, records, false, true),
            (TrafficTypes{.replica = false, .rdonly = true, .writes = true}));
  EXPECT_EQ(*ChooseTypes({}, records, true, true),
            (TrafficTypes{.replica = true, .rdonly = false, .writes = false}));
}

TEST(TrafficTypesTest, RdonlyFollowsReplicaWhereThereIsNone) {
  EXPECT_EQ(*ChooseTypes({TabletType::kReplica}, Fresh(), false, false),
            (TrafficTypes{.replica = true, .rdonly = true, .writes = false}));
  EXPECT_EQ(*ChooseTypes({TabletType::kReplica}, Fresh(), false, true),
            (TrafficTypes{.replica = true, .rdonly = false, .writes = false}));
}

TEST(TrafficTypesTest, AReversalOfWhatWasNeverSwitchedIsRefusedByName) {
  EXPECT_THAT(ChooseTypes({TabletType::kPrimary}, Fresh(), true, true).status().ToString(),
              HasSubstr("requesting reversal of write traffic but writes have not been switched"));
  EXPECT_FALSE(ChooseTypes({TabletType::kRdonly}, Fresh(), true, true).ok());
  EXPECT_FALSE(ChooseTypes({TabletType::kUnknown}, Fresh(), false, true).ok());
  EXPECT_FALSE(ChooseTypes({}, Fresh(), true, true)->any());
}

TEST(WritesPlanTest, NamesEachShardOnceAndEachStream) {
  const auto plan = WritesPlan(Fresh(), false, Numbers());
  ASSERT_TRUE(plan.ok()) << plan.status();
  EXPECT_TRUE(cutover::ValidatePlan(*plan).ok());
  EXPECT_EQ(plan->sources.size(), 1U);
  EXPECT_EQ(plan->targets.size(), 2U);
  ASSERT_EQ(plan->streams.size(), 2U);
  EXPECT_EQ(plan->streams[1].target, 1U);
  EXPECT_EQ(plan->streams[1].reverse_id, 8U);
  EXPECT_EQ(plan->forward, "customer.move");
  EXPECT_EQ(plan->backward, "commerce.move_reverse");
  EXPECT_TRUE(plan->source_readable);
  EXPECT_TRUE(plan->stale.empty());
  EXPECT_EQ(plan->hold_ms, 500U);
}

TEST(WritesPlanTest, AReversalExchangesTheSidesAndReplacesTheFrozenStreams) {
  const auto forward = WritesPlan(Fresh(), false, Numbers());
  Records records = *cutover::ApplyCommit(*forward, Fresh(), 1);
  PlanNumbers numbers = Numbers();
  numbers.reverse_ids = {9, 10};
  const auto back = WritesPlan(records, true, numbers);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->sources, forward->targets);
  EXPECT_EQ(back->targets, forward->sources);
  EXPECT_EQ(back->streams[0].forward_id, 7U);
  ASSERT_EQ(back->stale.size(), 2U);
  EXPECT_EQ(back->stale[0].id, 5U);
  EXPECT_EQ(back->stale[1], (cutover::StaleStream{.source = 1, .id = 6}));
  records = *cutover::ApplyCommit(*back, records, 2);
  EXPECT_EQ(records.original.phase, WorkflowPhase::kActive);
  EXPECT_EQ(records.reverse->phase, WorkflowPhase::kFrozen);
  EXPECT_EQ(records.original.streams[1].id, 10U);
  EXPECT_EQ(records.original.streams[1].target_shard, "80-");
}

TEST(WritesPlanTest, AReversalBeforeAnySwitchHasNothingToGoBy) {
  EXPECT_FALSE(WritesPlan(Fresh(), true, Numbers()).ok());
}

TEST(ReadsPlanTest, ViewsAreNeededOnlyOnASideWhoseWritesAreClosed) {
  Records records = Fresh();
  const TrafficTypes replica = {.replica = true, .rdonly = false, .writes = false};
  cutover::Plan plan = ReadsPlan(records, false, replica, Numbers());
  EXPECT_TRUE(plan.make_readable);
  EXPECT_TRUE(plan.restore_closed);
  EXPECT_FALSE(plan.close_behind);
  records.original.rdonly_switched = true;
  EXPECT_FALSE(ReadsPlan(records, false, replica, Numbers()).restore_closed);
  records.original.writes_switched = true;
  plan = ReadsPlan(records, false, replica, Numbers());
  EXPECT_FALSE(plan.make_readable);
  EXPECT_TRUE(plan.close_behind);
}

TEST(TrafficTypesTest, OfCellsOnlyWhatIsNotThereYetMoves) {
  Records records = Fresh();
  workflow::MoveReplicaReads(true, {"zone1"}, records.original);
  EXPECT_EQ(*ChooseTypes({}, records, false, true, {"zone1"}),
            (TrafficTypes{.replica = false, .rdonly = true, .writes = true}));
  EXPECT_TRUE(ChooseTypes({TabletType::kReplica}, records, false, true, {"zone1", "zone2"})->any());
  EXPECT_TRUE(ChooseTypes({TabletType::kReplica}, records, false, true)->any());
  EXPECT_TRUE(ChooseTypes({TabletType::kReplica}, records, true, true, {"zone1"})->replica);
  EXPECT_THAT(
      ChooseTypes({TabletType::kReplica}, records, true, true, {"zone2"}).status().ToString(),
      HasSubstr("REPLICA reads have not been switched in cells: zone2"));
}

TEST(CheckCellsTest, OnlyReadsOfKnownCellsMoveByCells) {
  Records records = Fresh();
  const std::set<std::string> known = {"zone1", "zone2"};
  EXPECT_TRUE(CheckCells({}, {TabletType::kPrimary}, records, known).ok());
  EXPECT_TRUE(CheckCells({"zone1"}, {}, records, known).ok());
  EXPECT_TRUE(
      CheckCells({"zone2"}, {TabletType::kPrimary, TabletType::kReplica}, records, known).ok());
  EXPECT_THAT(CheckCells({"zone1"}, {TabletType::kPrimary}, records, known).ToString(),
              HasSubstr("the only tablet type named is PRIMARY"));
  EXPECT_THAT(CheckCells({"zone1", "zone9"}, {}, records, known).ToString(),
              HasSubstr("no tablet or proxy is in cell 'zone9'; the cells are zone1, zone2"));
  // One whose tablets are gone can still be moved back.
  workflow::MoveRdonlyReads(true, {"zone9"}, records.original);
  EXPECT_TRUE(CheckCells({"zone9"}, {}, records, known).ok());
  records.original.sub_type = workflow::kPartial;
  EXPECT_THAT(CheckCells({"zone1"}, {}, records, known).ToString(),
              HasSubstr("moves whole shards (0): a shard is routed with its reads and writes"));
}

TEST(ReadsPlanTest, ASideThatAnyCellReadsStaysReadable) {
  Records records = Fresh();
  const TrafficTypes replica = {.replica = true, .rdonly = false, .writes = false};
  const TrafficTypes both = {.replica = true, .rdonly = true, .writes = false};
  PlanNumbers numbers = Numbers();
  numbers.cells = {"zone1"};
  const auto go = [&](bool reversal, const TrafficTypes& types) {
    const cutover::Plan plan = ReadsPlan(records, reversal, types, numbers);
    EXPECT_TRUE(cutover::ValidatePlan(plan).ok());
    EXPECT_EQ(plan.cells, numbers.cells);
    records = *cutover::ApplyCommit(plan, records, 1);
    return plan;
  };
  cutover::Plan plan = go(false, replica);
  EXPECT_TRUE(plan.make_readable);
  EXPECT_TRUE(plan.restore_closed);
  numbers.cells = {"zone2"};
  EXPECT_FALSE(go(false, replica).restore_closed);

  records = *cutover::ApplyCommit(*WritesPlan(records, false, Numbers()), records, 2);
  numbers.cells = {"zone1", "zone2"};
  EXPECT_FALSE(go(false, both).close_behind);
  // Cells that nobody has named may read there still.
  numbers.cells = {};
  EXPECT_TRUE(go(false, both).close_behind);

  numbers.cells = {"zone2"};
  plan = go(true, replica);
  EXPECT_TRUE(plan.make_readable);
  EXPECT_TRUE(plan.restore_closed);
  // What has come back goes there again, and with it the last reader.
  EXPECT_TRUE(ReadsPlan(records, false, replica, numbers).close_behind);
}

TEST(WritesPlanTest, ReadsOfOneCellKeepTheSideReadableThatWritesLeave) {
  Records records = Fresh();
  workflow::MoveReplicaReads(true, {}, records.original);
  workflow::MoveRdonlyReads(true, {}, records.original);
  EXPECT_FALSE(WritesPlan(records, false, Numbers())->source_readable);
  workflow::MoveReplicaReads(false, {"zone1"}, records.original);
  EXPECT_TRUE(WritesPlan(records, false, Numbers())->source_readable);
}

TEST(CommitTest, ACutoverOfCellsNamesThemInBothRecords) {
  Records records = *cutover::ApplyCommit(*WritesPlan(Fresh(), false, Numbers()), Fresh(), 1);
  PlanNumbers numbers = Numbers();
  numbers.cells = {"zone2"};
  records = *cutover::ApplyCommit(
      ReadsPlan(records, false, {.replica = true, .rdonly = false, .writes = false}, numbers),
      records, 2);
  EXPECT_THAT(records.original.replica_exceptions, testing::ElementsAre("zone2"));
  EXPECT_THAT(records.original.rdonly_exceptions, testing::IsEmpty());
  EXPECT_EQ(workflow::TrafficStateText(*records.reverse),
            "Reads partially switched. Replica switched in all cells but: zone2. All Rdonly Reads "
            "Switched. Writes Not Switched");
  EXPECT_EQ(routing::RulesOfMove(workflow::MoveRulesOf(records.original)),
            routing::RulesOfMove(workflow::MoveRulesOf(*records.reverse)));
  cutover::Plan plan = *WritesPlan(records, true, Numbers());
  plan.cells = {"zone2"};
  EXPECT_FALSE(cutover::ValidatePlan(plan).ok());
}

TEST(CommitTest, FlagsOfTheReverseSayTheOpposite) {
  const auto forward = WritesPlan(Fresh(), false, Numbers());
  Records records = *cutover::ApplyCommit(*forward, Fresh(), 1'000);
  EXPECT_TRUE(records.original.writes_switched);
  EXPECT_EQ(records.original.phase, WorkflowPhase::kFrozen);
  EXPECT_FALSE(records.reverse->writes_switched);
  EXPECT_TRUE(records.reverse->replica_switched);
  EXPECT_EQ(records.reverse->keyspace, "commerce");
  EXPECT_EQ(records.reverse->created_at_ms, 1'000);
  EXPECT_EQ(records.reverse->target_shards, records.original.source_shards);
  // The rules are the same whichever record one asks.
  EXPECT_EQ(routing::RulesOfMove(workflow::MoveRulesOf(records.original)),
            routing::RulesOfMove(workflow::MoveRulesOf(*records.reverse)));
  const TrafficTypes both = {.replica = true, .rdonly = true, .writes = false};
  records = *cutover::ApplyCommit(ReadsPlan(records, false, both, Numbers()), records, 2'000);
  EXPECT_EQ(workflow::TrafficStateText(records.original), "All Reads Switched. Writes Switched");
  EXPECT_FALSE(records.reverse->replica_switched);
}

TEST(CommitTest, RefusesRecordsThatChangedMeanwhile) {
  const auto plan = WritesPlan(Fresh(), false, Numbers());
  Records records = Fresh();
  records.original.phase = WorkflowPhase::kCancelling;
  EXPECT_FALSE(cutover::ApplyCommit(*plan, records, 1).ok());
  records = Fresh();
  records.original.tables = {"customer"};
  EXPECT_FALSE(cutover::ApplyCommit(*plan, records, 1).ok());
}

}  // namespace
}  // namespace sluice::traffic
