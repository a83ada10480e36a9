// Batches of gates: what is done together, whose failure is whose, and every way of breaking a
// batch off, against a model of the database.

#include "agent/gate/gate_batch.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/agent/gate/batch_model.h"

namespace sluice::gate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

BatchModel ModelAt(const std::vector<Start>& starts) {
  BatchModel model;
  for (const Start start : starts) {
    model.gates.push_back(GateAt(start));
  }
  return model;
}

std::vector<GateChange> All(size_t count, const GateChange& change) {
  return std::vector<GateChange>(count, change);
}

void ExpectDone(const BatchModel& model, const BatchDrive& drive,
                const std::vector<GateChange>& changes, size_t member) {
  EXPECT_EQ(drive.states[member].phase, GatePhase::kDone)
      << member << ": " << drive.states[member].failure;
  EXPECT_TRUE(StandsAs(model.gates[member], changes[member])) << member;
}

TEST(GateBatchTest, DoesEachStepOfSeveralGatesAsOne) {
  BatchModel model = ModelAt({Start::kOpen, Start::kOpen, Start::kOpen});
  const auto changes = All(3, ChangeTo(State::kClosed, 6));
  const BatchDrive drive = RunBatch(model, changes);
  EXPECT_THAT(model.done,
              ElementsAre("read_record*3", "lock*3", "observe*3", "write_intent*3", "run*3",
                          "write_marker*3", "read_position*3", "write_outcome*3"));
  ASSERT_THAT(model.renames, SizeIs(1));
  const std::string one = "`d`.`a` TO `d`.`_sluice_closed_a`, `d`.`b` TO `d`.`_sluice_closed_b`";
  EXPECT_EQ(model.renames[0], absl::StrCat("RENAME TABLE ", one, ", ", one, ", ", one));
  for (size_t i = 0; i < 3; ++i) {
    ExpectDone(model, drive, changes, i);
  }
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

TEST(GateBatchTest, WaitsWithTheRenameForThoseWhoPrepareFirst) {
  BatchModel model = ModelAt({Start::kOpen, Start::kClosed, Start::kGuarded});
  const auto changes = All(3, ChangeTo(State::kReadable, 6));
  const BatchDrive drive = RunBatch(model, changes);
  EXPECT_THAT(model.renames, SizeIs(1));
  for (size_t i = 0; i < 3; ++i) {
    ExpectDone(model, drive, changes, i);
  }
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

TEST(GateBatchTest, DropsTheViewsOfAllGatesInOneStatement) {
  BatchModel model = ModelAt({Start::kGuarded, Start::kReadable});
  const auto changes = All(2, ChangeTo(State::kOpen, 6));
  RunBatch(model, changes);
  EXPECT_EQ(std::count(model.done.begin(), model.done.end(), "tidy*2"), 1);
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

TEST(GateBatchTest, WhatAMachineRefusesIsItsOwn) {
  BatchModel model = ModelAt({Start::kOpen, Start::kOpen, Start::kOpen, Start::kOpen});
  model.gates[2].cascades = {{.table = "a", .constraint = "fk", .parent = "d.stays"}};
  auto changes = All(4, ChangeTo(State::kClosed, 6));
  changes[1].epoch = kStartEpoch - 1;
  changes[3].tables.clear();
  const BatchDrive drive = RunBatch(model, changes);
  ExpectDone(model, drive, changes, 0);
  EXPECT_THAT(std::string(drive.states[1].failure.message()), HasSubstr("older than epoch"));
  EXPECT_THAT(std::string(drive.states[2].failure.message()), HasSubstr("d.stays"));
  EXPECT_EQ(drive.states[3].failure.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(model.gates[1].row->epoch, kStartEpoch);
  EXPECT_EQ(model.gates[2].Stands(), State::kOpen);
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

TEST(GateBatchTest, WhatMysqldRefusesOneGateItDoesForTheOthers) {
  for (const GateEffectKind kind :
       {GateEffectKind::kObserve, GateEffectKind::kWriteIntent, GateEffectKind::kRun,
        GateEffectKind::kWriteMarker, GateEffectKind::kWriteOutcome}) {
    BatchModel model = ModelAt({Start::kOpen, Start::kOpen, Start::kOpen});
    model.refused = {{1, kind}};
    const auto changes = All(3, ChangeTo(State::kClosed, 6));
    const BatchDrive drive = RunBatch(model, changes);
    ExpectDone(model, drive, changes, 0);
    ExpectDone(model, drive, changes, 2);
    EXPECT_EQ(drive.states[1].phase, GatePhase::kFailed) << GateEffectName(kind);
    EXPECT_THAT(std::string(drive.states[1].failure.message()), HasSubstr("mysqld says no"));
    EXPECT_THAT(model.AllBroken(), IsEmpty()) << GateEffectName(kind);
  }
}

TEST(GateBatchTest, AGateWhoseTablesSomebodyHoldsStepsBackBehindTheOthers) {
  BatchModel model = ModelAt({Start::kOpen, Start::kOpen, Start::kOpen, Start::kOpen});
  model.held = {1, 3};
  const auto changes = All(4, ChangeTo(State::kClosed, 6));
  const BatchDrive drive = RunBatch(model, changes);
  for (const size_t member : {0U, 2U}) {
    ExpectDone(model, drive, changes, member);
  }
  for (const size_t member : {1U, 3U}) {
    EXPECT_EQ(drive.states[member].failure.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(drive.states[member].failure.message()),
                HasSubstr("not granted within 1s"));
    EXPECT_EQ(model.gates[member].Stands(), State::kOpen);
    EXPECT_EQ(model.gates[member].row->state, "open");
    EXPECT_THAT(model.gates[member].markers, IsEmpty());
  }
  EXPECT_THAT(model.renames, SizeIs(1)) << "those who are free are renamed together";
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

TEST(GateBatchTest, EachGateTriesByItselfWhereNobodyIsSeenInTheWay) {
  BatchModel model = ModelAt({Start::kOpen, Start::kOpen, Start::kOpen});
  model.held = {1};
  model.holders_are_seen = false;
  const auto changes = All(3, ChangeTo(State::kClosed, 6));
  const BatchDrive drive = RunBatch(model, changes);
  ExpectDone(model, drive, changes, 0);
  ExpectDone(model, drive, changes, 2);
  EXPECT_EQ(drive.states[1].failure.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

TEST(GateBatchTest, WaitsForLocksNoLongerThanTheShortestRequestAllows) {
  BatchModel model = ModelAt({Start::kOpen, Start::kOpen});
  auto changes = All(2, ChangeTo(State::kClosed, 6));
  changes[1].lock_wait = absl::Milliseconds(200);
  GateBatch batch(changes);
  while (batch.Next()->kind != GateEffectKind::kRun) {
    const JoinedEffect effect = *batch.Next();
    BatchAnswer answer;
    for (const size_t member : effect.members) {
      answer.members.push_back({.event = model.gates[member].Answer(
                                    changes[member], batch.effect(member), Fault::kNone)});
    }
    batch.Answer(effect, answer);
  }
  const JoinedEffect first = *batch.Next();
  EXPECT_EQ(first.bound, absl::Milliseconds(100)) << "the half, so that there is a second try";
  BatchAnswer none;
  none.members.resize(2);
  for (size_t member = 0; member < 2; ++member) {
    none.members[member].event =
        model.gates[member].Answer(changes[member], batch.effect(member), Fault::kNoLocks);
    none.members[member].blocked = member == 1;
  }
  none.waited = absl::Milliseconds(110);
  batch.Answer(first, none);
  const JoinedEffect free = *batch.Next();
  EXPECT_THAT(free.members, ElementsAre(0));
  EXPECT_EQ(free.bound, absl::Milliseconds(890));
  // Its server has gone meanwhile: the other one, which waits for its turn, has lost its lock too.
  BatchAnswer lost;
  lost.members.resize(1);
  lost.members[0].event.status = absl::UnavailableError("lost");
  lost.members[0].event.left = absl::Seconds(1);
  lost.session_lost = true;
  batch.Answer(free, lost);
  EXPECT_EQ(batch.effect(0).kind, GateEffectKind::kLock);
  EXPECT_EQ(batch.effect(1).kind, GateEffectKind::kLock);
}

TEST(GateBatchTest, AServerIsOpenedWhenTheOthersAreThrough) {
  BatchModel model = ModelAt({Start::kServer, Start::kClosed, Start::kClosed});
  const auto changes = All(3, ChangeTo(State::kOpen, 6));
  const BatchDrive drive = RunBatch(model, changes);
  for (size_t i = 0; i < 3; ++i) {
    ExpectDone(model, drive, changes, i);
  }
  EXPECT_FALSE(model.gates[0].read_only);
  const auto others = std::find(model.done.begin(), model.done.end(), "write_outcome*2");
  const auto server = std::find(model.done.begin(), model.done.end(), "run*1");
  EXPECT_LT(others, server);
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

// Both gates are of one server, which one statement closes; its lock is one as well.
TEST(GateBatchTest, AServerIsClosedByOneStatementForAllOfItsGates) {
  BatchModel model = ModelAt({Start::kOpen, Start::kOpen});
  const auto changes = All(2, ChangeTo(State::kClosed, 6, GateKind::kServer));
  const BatchDrive drive = RunBatch(model, changes);
  EXPECT_THAT(model.done, ElementsAre("read_record*2", "lock*2", "observe*2", "write_intent*2",
                                      "lock_server*2", "run*2", "unlock_server*2", "verify*2",
                                      "write_marker*2", "read_position*2", "write_outcome*2"));
  for (size_t i = 0; i < 2; ++i) {
    ExpectDone(model, drive, changes, i);
  }
  EXPECT_THAT(model.AllBroken(), IsEmpty());
}

struct BreakCase {
  std::string name;
  std::vector<Start> starts;
  std::vector<GateChange> changes;
};

std::ostream& operator<<(std::ostream& out, const BreakCase& each) {
  return out << each.name;
}

std::vector<BreakCase> Cases() {
  const auto closed = ChangeTo(State::kClosed, 6);
  const auto open = ChangeTo(State::kOpen, 6);
  const auto readable = ChangeTo(State::kReadable, 6);
  const auto server = ChangeTo(State::kClosed, 6, GateKind::kServer);
  return {
      {"CloseTwo", {Start::kOpen, Start::kOpen}, {closed, closed}},
      {"CloseThree", {Start::kOpen, Start::kReadable, Start::kOpen}, {closed, closed, closed}},
      {"OpenTwo", {Start::kGuarded, Start::kReadable}, {open, open}},
      {"OpenThree", {Start::kClosed, Start::kGuarded, Start::kServer}, {open, open, open}},
      {"ReadTwo", {Start::kOpen, Start::kGuarded}, {readable, readable}},
      {"Mixed", {Start::kOpen, Start::kClosed, Start::kOpen}, {closed, open, server}},
      {"CloseServers", {Start::kOpen, Start::kOpen}, {server, server}},
      {"OpenServers", {Start::kServer, Start::kServer}, {open, open}},
  };
}

class BatchBreakTest : public ::testing::TestWithParam<BreakCase> {
 protected:
  // Every fault that may befall the effect of this number.
  std::vector<BatchFault> FaultsAt(size_t effect) const {
    std::vector<BatchFault> faults;
    for (const Fault fault : {Fault::kCrashBefore, Fault::kCrashAfter, Fault::kLostBefore,
                              Fault::kLostAfter, Fault::kRefused}) {
      faults.push_back({.effect = effect, .fault = fault});
    }
    for (const std::set<size_t>& blocked :
         std::vector<std::set<size_t>>{{}, {0}, {1}, {0, 1}, {1, 2}, {0, 1, 2}}) {
      faults.push_back({.effect = effect, .fault = Fault::kNoLocks, .blocked = blocked});
    }
    return faults;
  }

  void Judge(const BatchModel& model, const BatchDrive& drive) {
    ASSERT_THAT(model.AllBroken(), IsEmpty()) << absl::StrJoin(model.done, ",");
    for (size_t i = 0; i < drive.states.size() && !drive.crashed; ++i) {
      ASSERT_TRUE(drive.states[i].finished());
      if (drive.states[i].phase == GatePhase::kDone) {
        ASSERT_TRUE(StandsAs(model.gates[i], changes_[i])) << i;
        ASSERT_EQ(model.gates[i].row->epoch, changes_[i].epoch);
        ASSERT_NE(model.gates[i].row->state, kChanging);
      }
    }
    ExpectSettles(model);
  }

  // A keeper that knows nothing brings all gates to what was asked for, together or one by one.
  void ExpectSettles(const BatchModel& broken) {
    BatchModel together = broken;
    const BatchDrive drive = RunBatch(together, changes_);
    BatchModel alone = broken;
    for (size_t i = 0; i < changes_.size(); ++i) {
      ASSERT_EQ(drive.states[i].phase, GatePhase::kDone)
          << i << ": " << drive.states[i].failure << " after "
          << absl::StrJoin(broken.gates[i].done, ",");
      ASSERT_EQ(RunRequest(alone.gates[i], changes_[i]).state.phase, GatePhase::kDone);
      for (const GateModel* gate : {&together.gates[i], &alone.gates[i]}) {
        ASSERT_TRUE(StandsAs(*gate, changes_[i])) << i;
        ASSERT_LE(gate->moves, 1U) << "what was done is done again";
        ASSERT_TRUE(changes_[i].marker_id.empty() || gate->markers.contains(changes_[i].marker_id));
        ASSERT_THAT(gate->broken, IsEmpty());
      }
    }
    ASSERT_THAT(together.AllBroken(), IsEmpty());
    ++runs_;
  }

  const std::vector<GateChange> changes_ = GetParam().changes;
  size_t runs_ = 0;
};

TEST_P(BatchBreakTest, EveryFaultLeavesWhatTheSameRequestsBringToTheirEnd) {
  size_t effects = 1;
  for (size_t at = 0; at < effects; ++at) {
    for (const BatchFault& fault : FaultsAt(at)) {
      BatchModel model = ModelAt(GetParam().starts);
      const BatchDrive drive = RunBatch(model, changes_, {fault});
      effects = std::max(effects, drive.effects.size());
      Judge(model, drive);
      ASSERT_FALSE(HasFatalFailure()) << "fault " << static_cast<int>(fault.fault) << " at " << at;
    }
  }
  EXPECT_GT(runs_, 100U);
}

TEST_P(BatchBreakTest, ALostSessionIsMadeGoodForAll) {
  size_t effects = 1;
  for (size_t at = 0; at < effects; ++at) {
    for (const Fault fault : {Fault::kLostBefore, Fault::kLostAfter}) {
      BatchModel model = ModelAt(GetParam().starts);
      const BatchDrive drive = RunBatch(model, changes_, {{.effect = at, .fault = fault}});
      effects = std::max(effects, drive.effects.size());
      if (drive.effects[at] == GateEffectKind::kReadRecord) {
        continue;  // nothing has begun, and who asks is told
      }
      for (const GateState& state : drive.states) {
        ASSERT_EQ(state.phase, GatePhase::kDone) << state.failure << " at " << at;
      }
    }
  }
}

TEST_P(BatchBreakTest, ASecondFaultIsNoWorse) {
  size_t effects = 1;
  for (size_t at = 0; at < effects; ++at) {
    for (const BatchFault& first : FaultsAt(at)) {
      BatchModel probe = ModelAt(GetParam().starts);
      const BatchDrive once = RunBatch(probe, changes_, {first});
      effects = std::max(effects, once.effects.size());
      for (size_t next = at + 1; next < once.effects.size() && !once.crashed; ++next) {
        for (const BatchFault& second : FaultsAt(next)) {
          BatchModel model = ModelAt(GetParam().starts);
          const BatchDrive drive = RunBatch(model, changes_, {first, second});
          Judge(model, drive);
          ASSERT_FALSE(HasFatalFailure())
              << "faults " << static_cast<int>(first.fault) << " at " << at << " and "
              << static_cast<int>(second.fault) << " at " << next;
        }
      }
    }
  }
  RecordProperty("runs", static_cast<int>(runs_));
  EXPECT_GT(runs_, 2000U);
}

INSTANTIATE_TEST_SUITE_P(Batches, BatchBreakTest, ::testing::ValuesIn(Cases()),
                         [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace sluice::gate
