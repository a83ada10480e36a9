// The gate's machine: what it does in which order, and every way of breaking it off, against a
// model of the database.

#include "agent/gate/gate_machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "tests/agent/gate/gate_model.h"

namespace sluice::gate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::array kStarts = {Start::kOpen, Start::kClosed, Start::kGuarded, Start::kReadable,
                                Start::kServer};

std::string NameOf(Start start) {
  constexpr std::array<const char*, 5> kNames = {"Open", "Closed", "Guarded", "Readable", "Server"};
  return kNames.at(static_cast<size_t>(start));
}

TEST(GateMachineTest, ClosesWithIntentRenameMarkerPositionOutcomeInThisOrder) {
  GateModel model = GateAt(Start::kOpen);
  const Drive drive = RunRequest(model, ChangeTo(State::kClosed, 6));
  EXPECT_EQ(drive.state.phase, GatePhase::kDone) << drive.state.failure;
  EXPECT_THAT(model.done, ElementsAre("read_record", "lock", "observe", "write_intent", "run",
                                      "write_marker", "read_position", "write_outcome"));
  EXPECT_EQ(drive.state.outcome.gtid_executed, "3") << "intent, rename, marker";
  EXPECT_THAT(model.broken, IsEmpty());
}

TEST(GateMachineTest, WritesTheJournalBeforeItOpens) {
  GateModel model = GateAt(Start::kGuarded);
  const Drive drive = RunRequest(model, ChangeTo(State::kOpen, 6));
  EXPECT_EQ(drive.state.phase, GatePhase::kDone) << drive.state.failure;
  EXPECT_THAT(model.done,
              ElementsAre("read_record", "lock", "observe", "write_journal", "write_intent", "run",
                          "read_position", "write_outcome", "tidy"));
  EXPECT_EQ(model.schema.Names("a").view, Object::kAbsent) << "the guard is left over";
}

TEST(GateMachineTest, ARepeatedRequestWritesNothing) {
  GateModel model = GateAt(Start::kOpen);
  ASSERT_EQ(RunRequest(model, ChangeTo(State::kClosed, 6)).state.phase, GatePhase::kDone);
  const uint64_t commits = model.commits;
  model.done.clear();
  const Drive again = RunRequest(model, ChangeTo(State::kClosed, 6));
  EXPECT_EQ(again.state.phase, GatePhase::kDone);
  EXPECT_EQ(model.commits, commits);
  EXPECT_EQ(again.state.outcome.gtid_executed, absl::StrCat(commits));
  EXPECT_THAT(model.done,
              ElementsAre("read_record", "lock", "observe", "write_marker", "read_position"));
}

TEST(GateMachineTest, AnOlderRequestEndsBeforeItTakesTheLock) {
  GateModel model = GateAt(Start::kClosed);
  const Drive drive = RunRequest(model, ChangeTo(State::kOpen, kStartEpoch - 1));
  EXPECT_EQ(drive.state.phase, GatePhase::kFailed);
  EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(model.done, ElementsAre("read_record"));
}

TEST(GateMachineTest, LocksThatAreNotGrantedLeaveTheGateAsItIsAndNameWhoHoldsThem) {
  GateModel model = GateAt(Start::kOpen);
  GateChange change = ChangeTo(State::kClosed, 6);
  change.lock_wait = absl::Milliseconds(300);
  const Drive drive = RunRequest(model, change, {.effect = 4, .fault = Fault::kNoLocks});
  EXPECT_EQ(drive.state.phase, GatePhase::kFailed);
  EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(drive.state.failure.message()),
              HasSubstr("locks on d.a,b not granted within 300ms; held by nobody"));
  EXPECT_EQ(model.Stands(), State::kOpen);
  EXPECT_EQ(model.row->state, "open");
  EXPECT_THAT(model.markers, IsEmpty());
}

TEST(GateMachineTest, WaitsForLocksNoLongerThanTheRequestLasts) {
  GateTransition transition = Begin(ChangeTo(State::kClosed, 6));
  GateModel model = GateAt(Start::kOpen);
  for (const absl::Duration left : {absl::Seconds(9), absl::Seconds(9), absl::Seconds(9)}) {
    GateEvent event = model.Answer(transition.state.change, *transition.effect, Fault::kNone);
    event.left = left;
    transition = Step(std::move(transition.state), event);
  }
  ASSERT_EQ(transition.effect->kind, GateEffectKind::kWriteIntent);
  GateEvent event = model.Answer(transition.state.change, *transition.effect, Fault::kNone);
  event.left = absl::Milliseconds(70);
  transition = Step(std::move(transition.state), event);
  EXPECT_EQ(transition.effect->kind, GateEffectKind::kRun);
  EXPECT_EQ(transition.effect->bound, absl::Milliseconds(70));
  EXPECT_FALSE(transition.effect->waits_for_writers);
}

TEST(GateMachineTest, AStatementThatHasNoTimeLeftIsNotBegun) {
  GateTransition transition = Begin(ChangeTo(State::kClosed, 6));
  GateModel model = GateAt(Start::kOpen);
  while (transition.effect->kind != GateEffectKind::kWriteIntent) {
    transition = Step(std::move(transition.state),
                      model.Answer(transition.state.change, *transition.effect, Fault::kNone));
  }
  GateEvent late = model.Answer(transition.state.change, *transition.effect, Fault::kNone);
  late.left = absl::ZeroDuration();
  transition = Step(std::move(transition.state), late);
  EXPECT_EQ(transition.effect->kind, GateEffectKind::kObserve);
  while (transition.effect.has_value()) {
    transition = Step(std::move(transition.state),
                      model.Answer(transition.state.change, *transition.effect, Fault::kNone));
  }
  EXPECT_EQ(transition.state.failure.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(model.moves, 0U);
  EXPECT_EQ(model.row->state, "open");
}

TEST(GateMachineTest, RefusesToCloseWhatACascadeWouldReach) {
  GateModel model = GateAt(Start::kOpen);
  model.cascades = {{.table = "a", .constraint = "fk", .parent = "d.stays"}};
  const Drive drive = RunRequest(model, ChangeTo(State::kClosed, 6));
  EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(SubjectOf(drive.state.failure), "a");
  EXPECT_THAT(std::string(drive.state.failure.message()), HasSubstr("d.stays"));
  EXPECT_EQ(model.row->epoch, kStartEpoch) << "something was recorded";
  EXPECT_EQ(RunRequest(model, ChangeTo(State::kOpen, 7)).state.phase, GatePhase::kDone);
}

TEST(GateMachineTest, ClosesAServerAndRecordsThatItMayBeRead) {
  GateModel model = GateAt(Start::kOpen);
  const Drive drive = RunRequest(model, ChangeTo(State::kClosed, 6, GateKind::kServer));
  ASSERT_EQ(drive.state.phase, GatePhase::kDone) << drive.state.failure;
  EXPECT_TRUE(model.read_only && model.read_only_persisted);
  EXPECT_EQ(model.row->state, "readable");
  EXPECT_EQ(model.row->kind, GateKind::kServer);
  EXPECT_EQ(model.schema.Names("a").name, Object::kTable) << "names stay";
  // It is opened as it was closed, by a request that does not know how that was.
  ASSERT_EQ(RunRequest(model, ChangeTo(State::kOpen, 7)).state.phase, GatePhase::kDone);
  EXPECT_FALSE(model.read_only || model.read_only_persisted);
  EXPECT_EQ(model.row->kind, GateKind::kTables);
  EXPECT_THAT(model.broken, IsEmpty());
}

TEST(GateMachineTest, LeavesAServerOpenThatServesMore) {
  GateModel model = GateAt(Start::kOpen);
  model.obstacles = {"it holds tables of other databases (x)"};
  const Drive drive = RunRequest(model, ChangeTo(State::kClosed, 6, GateKind::kServer));
  EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(drive.state.failure.message()), HasSubstr("other databases (x)"));
  EXPECT_FALSE(model.read_only);
  EXPECT_EQ(model.row->state, "open");
  EXPECT_THAT(model.broken, IsEmpty());
  // The tables can be closed all the same.
  EXPECT_EQ(RunRequest(model, ChangeTo(State::kClosed, 7)).state.phase, GatePhase::kDone);
}

TEST(GateMachineTest, OpensAServerAgainThroughWhichSomebodyComes) {
  for (const Fault fault : {Fault::kNone, Fault::kLostAfter, Fault::kLostBefore}) {
    GateModel model = GateAt(Start::kOpen);
    model.comes_through = {"an XA transaction"};
    // Also where the session is lost behind the statement that closes it.
    const Drive drive = RunRequest(model, ChangeTo(State::kClosed, 6, GateKind::kServer),
                                   {.effect = 5, .fault = fault});
    EXPECT_EQ(drive.state.phase, GatePhase::kFailed);
    EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(drive.state.failure.message()), HasSubstr("an XA transaction"));
    EXPECT_FALSE(model.read_only || model.read_only_persisted);
    EXPECT_EQ(model.row->state, "open");
    EXPECT_THAT(model.markers, IsEmpty());
    EXPECT_THAT(model.broken, IsEmpty());
  }
}

TEST(GateMachineTest, AServerThatCantBeOpenedAgainIsNoSuccess) {
  GateModel model = GateAt(Start::kOpen);
  model.comes_through = {"an XA transaction"};
  // read_record, lock, observe, intent, lock_server, run, unlock_server, verify, intent,
  // lock_server, then the statements that open it.
  for (const size_t at : {10U, 11U}) {
    GateModel stuck = model;
    const Drive drive = RunRequest(stuck, ChangeTo(State::kClosed, 6, GateKind::kServer),
                                   {.effect = at, .fault = Fault::kRefused});
    EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kAborted) << at;
    EXPECT_THAT(stuck.markers, IsEmpty());
    EXPECT_EQ(stuck.row->kind, GateKind::kServer) << "nobody would open it";
    EXPECT_EQ(RunRequest(stuck, ChangeTo(State::kOpen, 7)).state.phase, GatePhase::kDone);
    EXPECT_FALSE(stuck.read_only || stuck.read_only_persisted);
  }
}

TEST(GateMachineTest, ChangesTheServerUnderItsLockOnly) {
  GateModel model = GateAt(Start::kOpen);
  ASSERT_EQ(RunRequest(model, ChangeTo(State::kClosed, 6, GateKind::kServer)).state.phase,
            GatePhase::kDone);
  EXPECT_THAT(model.done, ElementsAre("read_record", "lock", "observe", "write_intent",
                                      "lock_server", "run", "unlock_server", "verify",
                                      "write_marker", "read_position", "write_outcome"));
  model.done.clear();
  ASSERT_EQ(RunRequest(model, ChangeTo(State::kOpen, 7)).state.phase, GatePhase::kDone);
  EXPECT_THAT(model.done, ElementsAre("read_record", "lock", "observe", "write_journal",
                                      "write_intent", "lock_server", "run", "run", "unlock_server",
                                      "read_position", "write_outcome"));
}

TEST(GateMachineTest, AServersLockThatIsNotGivenIsARefusalToBeRepeated) {
  GateModel model = GateAt(Start::kOpen);
  GateChange change = ChangeTo(State::kClosed, 6, GateKind::kServer);
  change.lock_wait = absl::Milliseconds(300);
  const Drive drive = RunRequest(model, change, {.effect = 4, .fault = Fault::kNoLocks});
  EXPECT_EQ(drive.state.failure.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(drive.state.failure.message()),
              HasSubstr("another gate of this mysqld was being changed for 300ms"));
  EXPECT_EQ(model.row->state, "open");
  EXPECT_FALSE(model.read_only);
  // Where another gate has closed the server meanwhile, that is nothing to rely on.
  GateModel beside = GateAt(Start::kOpen);
  beside.read_only = beside.read_only_persisted = true;
  beside.sibling = GateAt(Start::kServer).row;
  EXPECT_EQ(RunRequest(beside, change, {.effect = 4, .fault = Fault::kNoLocks}).state.phase,
            GatePhase::kFailed);
  EXPECT_EQ(beside.row->state, kChanging);
  EXPECT_THAT(beside.markers, IsEmpty());
}

TEST(GateMachineTest, WhatTheLocksWaitIsTheStatementsToo) {
  GateModel model = GateAt(Start::kOpen);
  GateChange change = ChangeTo(State::kClosed, 6, GateKind::kServer);
  change.lock_wait = absl::Seconds(1);
  GateTransition transition = Begin(change);
  while (transition.effect->kind != GateEffectKind::kRun) {
    GateEvent event = model.Answer(change, *transition.effect, Fault::kNone);
    event.waited = absl::Milliseconds(600);
    transition = Step(std::move(transition.state), event);
  }
  EXPECT_EQ(transition.effect->bound, absl::Milliseconds(400));
  EXPECT_TRUE(transition.effect->waits_for_writers);
}

TEST(GateMachineTest, ClosesAServerAgainThatWouldComeBackWritable) {
  GateModel model = GateAt(Start::kServer);
  model.read_only_persisted = false;
  EXPECT_EQ(RunRequest(model, ChangeTo(State::kClosed, 6)).state.phase, GatePhase::kDone);
  EXPECT_TRUE(model.read_only_persisted);
  EXPECT_THAT(model.broken, IsEmpty());
}

TEST(GateMachineTest, RefusesNonsense) {
  GateChange none = ChangeTo(State::kClosed, 6);
  none.tables.clear();
  GateChange marker = ChangeTo(State::kClosed, 6);
  marker.marker_id = "a@b";
  for (const GateChange& change : {none, marker, ChangeTo(State::kMixed, 6)}) {
    const GateTransition transition = Begin(change);
    EXPECT_FALSE(transition.effect.has_value());
    EXPECT_EQ(transition.state.failure.code(), absl::StatusCode::kInvalidArgument);
  }
}

// What the exhaustive tests do in one start state.
class EveryBreakTest : public ::testing::TestWithParam<Start> {
 protected:
  static std::vector<GateChange> Requests(uint64_t epoch) {
    return {ChangeTo(State::kOpen, epoch), ChangeTo(State::kClosed, epoch),
            ChangeTo(State::kReadable, epoch), ChangeTo(State::kClosed, epoch, GateKind::kServer)};
  }
  static constexpr std::array kFaults = {Fault::kCrashBefore, Fault::kCrashAfter,
                                         Fault::kLostBefore,  Fault::kLostAfter,
                                         Fault::kRefused,     Fault::kNoLocks};

  // Calls `then` with the model after each way of breaking the request off at one effect.
  template <typename Then>
  void ForEveryBreak(const GateModel& before, const GateChange& change, Then then) {
    for (size_t at = 0;; ++at) {
      size_t effects = 0;
      for (const Fault fault : kFaults) {
        GateModel model = before;
        const Drive drive = RunRequest(model, change, {.effect = at, .fault = fault});
        effects = std::max(effects, drive.effects);
        ++runs_;
        ASSERT_THAT(model.broken, IsEmpty())
            << StateName(change.wanted) << ", fault " << static_cast<int>(fault) << " at " << at
            << " of " << absl::StrJoin(model.done, ",");
        then(std::move(model), drive);
        if (HasFatalFailure()) {
          return;
        }
      }
      if (effects <= at) {
        return;
      }
    }
  }

  // A keeper that knows nothing brings the gate to what it is asked for.
  void ExpectSettles(GateModel model, const GateChange& change, bool then_late = false) {
    const Drive drive = RunRequest(model, change);
    ASSERT_EQ(drive.state.phase, GatePhase::kDone)
        << drive.state.failure << " after " << absl::StrJoin(model.done, ",");
    ASSERT_TRUE(StandsAs(model, change)) << StateName(model.Stands());
    ASSERT_THAT(model.broken, IsEmpty());
    ASSERT_TRUE(change.marker_id.empty() || model.markers.contains(change.marker_id));
    ASSERT_EQ(model.row->epoch, change.epoch);
    ASSERT_NE(model.row->state, kChanging);
    for (const std::string& table : model.tables) {
      ASSERT_EQ(model.schema.Names(table).view, Object::kAbsent) << "a view is left over";
    }
    if (!then_late) {
      return;
    }
    // Who comes late changes nothing.
    for (const GateChange& late : Requests(change.epoch - 1)) {
      GateModel after = model;
      const Drive refused = RunRequest(after, late);
      ASSERT_EQ(refused.state.phase, GatePhase::kFailed);
      ASSERT_TRUE(after.schema == model.schema && after.row == model.row &&
                  after.commits == model.commits);
    }
  }

  size_t runs_ = 0;
};

TEST_P(EveryBreakTest, TheSameRequestAgainBringsItToItsEnd) {
  const GateModel before = GateAt(GetParam());
  for (const GateChange& change : Requests(6)) {
    ForEveryBreak(before, change, [&](GateModel model, const Drive& drive) {
      if (drive.state.phase == GatePhase::kDone) {
        ASSERT_TRUE(StandsAs(model, change));
      }
      ExpectSettles(model, change, true);
      RunRequest(model, change);
      ASSERT_LE(model.moves, 1U) << "what was done is done again";
    });
  }
  EXPECT_GT(runs_, 100U);
}

TEST_P(EveryBreakTest, ANewerRequestOfAnyKindTakesOver) {
  const GateModel before = GateAt(GetParam());
  for (const GateChange& change : Requests(6)) {
    ForEveryBreak(before, change, [&](const GateModel& model, const Drive&) {
      for (const GateChange& next : Requests(7)) {
        ExpectSettles(model, next, true);
      }
    });
  }
}

TEST_P(EveryBreakTest, ASecondBreakInTheRepairIsNoWorse) {
  const GateModel before = GateAt(GetParam());
  for (const GateChange& change : Requests(6)) {
    ForEveryBreak(before, change, [&](const GateModel& once, const Drive&) {
      for (const GateChange& repair :
           {change, ChangeTo(State::kOpen, 7), ChangeTo(State::kClosed, 7)}) {
        ForEveryBreak(once, repair, [&](const GateModel& twice, const Drive&) {
          ExpectSettles(twice, ChangeTo(State::kOpen, 8));
          ExpectSettles(twice, repair);
        });
      }
    });
  }
  RecordProperty("runs", static_cast<int>(runs_));
  EXPECT_GT(runs_, 5000U);
}

INSTANTIATE_TEST_SUITE_P(Starts, EveryBreakTest, ::testing::ValuesIn(kStarts),
                         [](const auto& start) { return NameOf(start.param); });

}  // namespace
}  // namespace sluice::gate
