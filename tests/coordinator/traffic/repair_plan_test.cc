// From findings to actions: one row for each way in which a workflow can be half done.

#include "coordinator/traffic/repair_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "tests/coordinator/traffic/observations.h"

namespace sluice::traffic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using testing::InOrder;
using ::testing::IsEmpty;
using workflow::GateState;

// "set_gate open customer/-80", "delete_stream! 99 commerce/-80" ('!': can't be taken back).
std::string Text(const Observation& seen, const Repair& repair) {
  static const char* const kNames[] = {
      "resume",   "forget",          "write_journal", "freeze_stream", "delete_stream",
      "set_gate", "recreate_stream", "place_stream",  "thaw_stream",   "route_rules"};
  std::string text = kNames[static_cast<size_t>(repair.kind)];
  absl::StrAppend(&text, repair.irreversible ? "!" : "");
  if (repair.kind == RepairKind::kSetGate) {
    absl::StrAppend(&text, " ", workflow::GateStateName(repair.gate));
  }
  if (repair.stream != 0) {
    absl::StrAppend(&text, " ", repair.stream);
  }
  if (!repair.position.empty()) {
    absl::StrAppend(&text, " at ", repair.position);
  }
  const bool of_a_side = repair.kind != RepairKind::kResumeCommand &&
                         repair.kind != RepairKind::kForgetCommand &&
                         repair.kind != RepairKind::kRouteRules;
  if (of_a_side) {
    const auto& side = (repair.serving ? seen.serving() : seen.other())[repair.side].side;
    absl::StrAppend(&text, " ", side.keyspace, "/", side.shard);
  }
  return text;
}

struct Case {
  const char* name;
  bool switched;
  std::function<void(Observation&)> spoil;
  std::vector<std::string> repairs;
  const char* refusal = "";
  const char* remains = "";
};

class RepairPlanTest : public ::testing::TestWithParam<Case> {};

TEST_P(RepairPlanTest, DoesWhatTheTableSays) {
  Observation seen = InOrder(GetParam().switched);
  GetParam().spoil(seen);
  const RepairPlan plan = PlanRepair(seen);
  std::vector<std::string> texts;
  for (const Repair& repair : plan.repairs) {
    EXPECT_FALSE(repair.text.empty());
    texts.push_back(Text(seen, repair));
  }
  EXPECT_EQ(texts, GetParam().repairs);
  EXPECT_THAT(plan.refusal, HasSubstr(GetParam().refusal));
  EXPECT_EQ(plan.refusal.empty(), *GetParam().refusal == '\0') << plan.refusal;
  const std::string remains = plan.remains.empty() ? "" : plan.remains.front();
  EXPECT_THAT(remains, HasSubstr(GetParam().remains));
  EXPECT_EQ(remains.empty(), *GetParam().remains == '\0') << remains;
  // Whatever else is wrong: a side is opened only where the other one is known to be shut, and
  // never together with it.
  for (const Repair& repair : plan.repairs) {
    if (repair.gate != GateState::kOpen || repair.kind != RepairKind::kSetGate) {
      continue;
    }
    EXPECT_TRUE(repair.serving);
    for (const SideReading& reading : seen.other()) {
      EXPECT_TRUE(reading.reached.ok());
      EXPECT_TRUE(reading.gate.state == GateState::kClosed ||
                  reading.gate.state == GateState::kReadable ||
                  reading.gate.state == GateState::kAbsent);
    }
  }
}

topology::StreamInfo Stray(uint64_t id, const std::string& position) {
  topology::StreamInfo info;
  info.id = id;
  info.state = topology::StreamState::kRunning;
  info.position = position;
  return info;
}

cutover::StoredCutover Stored(const Observation& seen, cutover::Phase phase) {
  cutover::StoredCutover stored;
  stored.state.plan = WritesPlan(seen.records, false,
                                 {.id = "c2", .epoch = 20, .reverse_ids = {31, 32}, .gates = {}})
                          .value();
  stored.state.phase = phase;
  return stored;
}

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"InOrderBefore", false, [](Observation&) {}, {}},
      {"InOrderAfter", true, [](Observation&) {}, {}},
      {"ServingSourceClosed",
       false,
       [](Observation& seen) { seen.source[1].gate.state = GateState::kClosed; },
       {"set_gate open commerce/80-"}},
      {"ServingTargetClosed",
       true,
       [](Observation& seen) {
         seen.target[0].gate.state = seen.target[1].gate.state = GateState::kClosed;
       },
       {"set_gate open customer/-80", "set_gate open customer/80-"}},
      {"ServingTargetMixed",
       true,
       [](Observation& seen) { seen.target[0].gate.state = GateState::kMixed; },
       {"set_gate open customer/-80"}},
      {"UnfinishedChange",
       true,
       [](Observation& seen) { seen.source[0].recorded_gate = "changing"; },
       {"set_gate closed commerce/-80"}},
      {"ViewsLeftBehind",
       true,
       [](Observation& seen) { seen.source[0].gate.state = GateState::kReadable; },
       {"set_gate closed commerce/-80"}},
      {"ReadsWithoutViews",
       false,
       [](Observation& seen) {
         seen.records.original.replica_switched = true;
         workflow::WorkflowRecord& original = seen.records.original;
         for (routing::TableRule& rule : seen.rules.table_rules) {
           if (rule.from_table.ends_with("@replica")) {
             rule.to_table.replace(0, original.source_keyspace.size(), original.target_keyspace);
           }
         }
       },
       {"set_gate readable customer/-80", "set_gate readable customer/80-"}},
      {"BothOpen",
       true,
       [](Observation& seen) { seen.source[0].gate.state = GateState::kOpen; },
       {},
       "the tables of commerce/-80 take writes, as do those of customer/-80, customer/80-"},
      {"OnlyTheWrongOneOpen",
       false,
       [](Observation& seen) {
         seen.source[0].gate.state = GateState::kClosed;
         seen.target[0].gate.state = GateState::kOpen;
       },
       {},
       "no program can tell which side is right"},
      {"WrongOneMixed",
       true,
       [](Observation& seen) { seen.source[1].gate.state = GateState::kMixed; },
       {},
       "the tables of commerce/80- take writes"},
      {"OtherSideUnknown",
       true,
       [](Observation& seen) {
         seen.target[0].gate.state = GateState::kClosed;
         seen.source[0].reached = absl::UnavailableError("away");
       },
       {},
       "",
       "commerce/-80 can't be asked: away"},
      {"TablesOfTheOldSideGone",
       true,
       [](Observation& seen) { seen.source[0].gate.state = GateState::kAbsent; },
       {},
       "",
       "the tables of commerce/-80 do not exist"},
      {"StoreOlderThanTheDatabases",
       false,
       [](Observation& seen) { seen.source[0].journal = InOrder(true).source[0].journal; },
       {},
       "the store is older than they are"},
      {"RecordsContradict",
       false,
       [](Observation& seen) { seen.records.original.phase = workflow::WorkflowPhase::kFrozen; },
       {},
       "contradict each other"},
      {"BeingCreated",
       false,
       [](Observation& seen) { seen.records.original.phase = workflow::WorkflowPhase::kCreating; },
       {},
       "is being created"},
      {"CommandRuns",
       true,
       [](Observation& seen) {
         seen.command = "reversetraffic";
         seen.target[0].gate.state = GateState::kClosed;
       },
       {},
       "reversetraffic is at work on the workflow"},
      {"JournalMissing",
       true,
       [](Observation& seen) { seen.target[1].journal.clear(); },
       {"write_journal customer/80-"}},
      {"ReverseStreamMissing",
       true,
       [](Observation& seen) { seen.source[1].streams.clear(); },
       {"recreate_stream 22 at uuid:1-20 commerce/80-"}},
      {"ReverseStreamMissingWithoutKeys",
       true,
       [](Observation& seen) {
         seen.source[1].streams.clear();
         seen.records.original.options.stream.allow_no_key = true;
       },
       {},
       "",
       "can't be applied twice"},
      {"ForwardStreamMissing",
       false,
       [](Observation& seen) { seen.target[0].streams.clear(); },
       {},
       "",
       "cancel the workflow and create it anew"},
      {"ReverseStreamNeverPlaced",
       true,
       [](Observation& seen) { seen.source[0].streams[0].position.clear(); },
       {"place_stream 21 at uuid:1-10 commerce/-80"}},
      {"ReverseStreamFrozen",
       true,
       [](Observation& seen) { seen.source[0].streams[0].frozen = true; },
       {"thaw_stream 21 commerce/-80"}},
      {"ForwardStreamNotFrozen",
       true,
       [](Observation& seen) { seen.target[0].streams[0].frozen = false; },
       {"freeze_stream 11 customer/-80"}},
      {"PreparedStreamLeftOver",
       false,
       [](Observation& seen) { seen.source[0].streams = {Stray(99, "")}; },
       {"freeze_stream 99 commerce/-80", "delete_stream 99 commerce/-80"}},
      {"UsedStreamLeftOver",
       true,
       [](Observation& seen) { seen.target[0].streams.push_back(Stray(98, "uuid:1-3")); },
       {"freeze_stream 98 customer/-80", "delete_stream! 98 customer/-80"}},
      {"StreamFailed",
       true,
       [](Observation& seen) {
         seen.source[0].streams[0].state = topology::StreamState::kError;
         seen.source[0].streams[0].message = "1062";
       },
       {},
       "",
       "stream 21 has failed: 1062"},
      {"RuleMissing",
       true,
       [](Observation& seen) { seen.rules.table_rules.clear(); },
       {"route_rules"}},
      {"HoldLeftOver",
       true,
       [](Observation& seen) {
         seen.rules.holds = {
             {.cutover_id = "x", .tables = {"commerce.corder"}, .lease_ms = 1, .shards = {}}};
       },
       {"route_rules"}},
      {"FeedingStopsBeforeTheSideOpens",
       true,
       [](Observation& seen) {
         seen.target[0].gate.state = GateState::kClosed;
         seen.target[0].streams[0].frozen = false;
         seen.source[0].streams.clear();
         seen.rules.table_rules.clear();
       },
       {"freeze_stream 11 customer/-80", "set_gate open customer/-80",
        "recreate_stream 21 at uuid:1-10 commerce/-80", "route_rules"}},
      {"CutoverStopped",
       false,
       [](Observation& seen) {
         seen.operation = Stored(seen, cutover::Phase::kPreparing);
         seen.source[0].gate.state = GateState::kClosed;
       },
       {"resume"}},
      {"CommandUnreadable",
       true,
       [](Observation& seen) {
         seen.unreadable_operation = "format version 1";
         seen.target[0].gate.state = GateState::kClosed;
       },
       {"forget!"}},
      {"TeardownStopped",
       true,
       [](Observation& seen) {
         seen.records.original.phase = workflow::WorkflowPhase::kCompleting;
         seen.operation = cutover::StoredTeardown();
       },
       {"resume!"}},
      {"TeardownLost",
       true,
       [](Observation& seen) {
         seen.records.original.phase = workflow::WorkflowPhase::kCompleting;
       },
       {},
       "does not hold what is left to do"},
  };
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Half, RepairPlanTest, ::testing::ValuesIn(Cases()),
                         [](const auto& row) { return std::string(row.param.name); });

TEST(RepairPlanTest, WhatACutoverHasPreparedIsNotLeftOver) {
  Observation seen = InOrder(false);
  seen.operation = Stored(seen, cutover::Phase::kPreparing);
  seen.source[0].streams = {Stray(31, "")};
  for (const StreamReading& stream : ReadStreams(seen, LastCommit(seen))) {
    EXPECT_EQ(stream.fault, StreamFault::kNone) << stream.id;
  }
}

TEST(RepairPlanTest, TextsSayWhatIsDoneAndWhy) {
  Observation seen = InOrder(true);
  seen.target[0].gate.state = GateState::kClosed;
  EXPECT_THAT(PlanRepair(seen).repairs.at(0).text,
              HasSubstr("bring the gate of customer/-80 from closed"));
  seen = InOrder(false);
  seen.operation = Stored(seen, cutover::Phase::kCommitted);
  EXPECT_EQ(PlanRepair(seen).repairs.at(0).text, "carry out the rest of cutover c2");
  seen.operation = Stored(seen, cutover::Phase::kUndoing);
  EXPECT_EQ(PlanRepair(seen).repairs.at(0).text, "take back what was done of cutover c2");
  EXPECT_THAT(PlanRepair(InOrder(true)).repairs, IsEmpty());
}

}  // namespace
}  // namespace sluice::traffic
