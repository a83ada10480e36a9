// The order of the effects, and what each kind of outcome leads to.

#include "coordinator/cutover/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <set>
#include <utility>

#include "integration/explore/plans.h"

namespace sluice::cutover {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using enum EffectKind;

// Feeds outcomes and remembers what was issued.
class Drive {
 public:
  explicit Drive(Plan plan) {
    state_.plan = std::move(plan);
    Feed(Event::Begin());
  }

  void Feed(const Event& event) {
    Transition transition = Step(state_, event);
    state_ = std::move(transition.state);
    for (const Effect& effect : transition.effects) {
      issued_.push_back(effect);
      open_.push_back(effect);
    }
  }

  // Answers everything open with OK, in the order of issue, until `last` was answered (or the end).
  void SucceedUntil(std::optional<EffectKind> last = std::nullopt) {
    while (!open_.empty()) {
      const Effect effect = open_.front();
      open_.pop_front();
      Feed(Event::Outcome(effect, Result::kOk, "", "uuid:1-9"));
      if (effect.kind == last) {
        return;
      }
    }
  }

  // Takes the open effect of this kind.
  Effect Take(EffectKind kind) {
    for (auto it = open_.begin(); it != open_.end(); ++it) {
      if (it->kind == kind) {
        const Effect effect = *it;
        open_.erase(it);
        return effect;
      }
    }
    ADD_FAILURE() << EffectName(kind) << " is not open";
    return {};
  }

  [[nodiscard]] std::vector<EffectKind> kinds() const {
    std::vector<EffectKind> kinds;
    for (const Effect& effect : issued_) {
      kinds.push_back(effect.kind);
    }
    return kinds;
  }
  [[nodiscard]] std::vector<Effect> open() const { return {open_.begin(), open_.end()}; }
  [[nodiscard]] const State& state() const { return state_; }
  void ForgetIssued() { issued_.clear(); }

 private:
  State state_;
  std::vector<Effect> issued_;
  std::deque<Effect> open_;
};

TEST(CutoverMachineTest, IssuesTheEffectsOfWritesInTheOrderOfTheDesign) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
  EXPECT_THAT(drive.kinds(),
              ElementsAre(kPrepareReverse, kAskProxies, kProbeGate, kCheckStream, kHoldRules,
                          kCloseGate, kSeal, kStopStream, kCommit, kJournalSource, kOpenGate,
                          kRouteRules, kStartReverse, kFreezeForward, kAwaitProxies));
  EXPECT_THAT(drive.state().positions, ElementsAre("uuid:1-9"));
}

TEST(CutoverMachineTest, RunsShardsInParallelAndWaitsForAllOfThem) {
  Drive drive(explore::WritesPlan(2));
  drive.SucceedUntil(kHoldRules);
  ASSERT_EQ(drive.open().size(), 4U);  // both gates and both seals
  drive.Feed(Event::Outcome(drive.Take(kCloseGate), Result::kOk));
  drive.Feed(Event::Outcome(drive.Take(kSeal), Result::kOk, "", "uuid:1-9"));
  drive.Feed(Event::Outcome(drive.Take(kSeal), Result::kOk, "", "uuid:1-9"));
  EXPECT_FALSE(Issued(drive.state(), kCommit));
  drive.Feed(Event::Outcome(drive.Take(kCloseGate), Result::kOk));
  EXPECT_TRUE(Issued(drive.state(), kCommit));
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
  EXPECT_EQ(drive.state().positions.size(), 2U);
}

// It gets its position, so that it can be started later.
TEST(CutoverMachineTest, AReverseStreamThatIsNotStartedIsPlacedAllTheSame) {
  Plan plan = explore::WritesPlan(1);
  plan.start_reverse = false;
  Drive drive(std::move(plan));
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
  EXPECT_TRUE(AllDone(drive.state(), kPrepareReverse));
  EXPECT_TRUE(AllDone(drive.state(), kStartReverse));
}

TEST(CutoverMachineTest, DeletesStreamsOfEarlierCutoversAfterTheCommit) {
  Plan plan = explore::WritesPlan(1);
  plan.stale = {{.source = 0, .id = 7}};
  Drive drive(std::move(plan));
  drive.SucceedUntil(kCommit);
  EXPECT_FALSE(Issued(drive.state(), kDeleteStale));
  drive.SucceedUntil();
  EXPECT_TRUE(AllDone(drive.state(), kDeleteStale));
}

class UndoTest : public ::testing::TestWithParam<EffectKind> {};

TEST_P(UndoTest, AFailureBeforeTheCommitLeadsBack) {
  Drive drive(explore::WritesPlan(1));
  while (!Issued(drive.state(), GetParam())) {
    drive.SucceedUntil(drive.open().front().kind);
  }
  drive.ForgetIssued();
  drive.Feed(Event::Outcome(drive.Take(GetParam()), Result::kFailed, "no space"));
  EXPECT_EQ(drive.state().phase, Phase::kUndoing);
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
  EXPECT_THAT(drive.state().failure, HasSubstr("no space"));
  const std::vector<EffectKind> undone = drive.kinds();
  const std::set<EffectKind> kinds(undone.begin(), undone.end());
  EXPECT_TRUE(kinds.contains(kDeleteReverse));
  EXPECT_EQ(kinds.contains(kReleaseRules), GetParam() >= kHoldRules);
  EXPECT_EQ(kinds.contains(kReopenGate), GetParam() >= kCloseGate);
  EXPECT_EQ(kinds.contains(kRestartStream), GetParam() >= kCloseGate);  // the seal is asked with it
}

INSTANTIATE_TEST_SUITE_P(BeforeTheCommit, UndoTest,
                         ::testing::Values(kPrepareReverse, kAskProxies, kProbeGate, kCheckStream,
                                           kHoldRules, kCloseGate, kSeal, kCommit),
                         [](const auto& each) { return std::string(EffectName(each.param)); });

TEST(CutoverMachineTest, ReopensTheOldSideBeforeItReleasesTheProxies) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kCloseGate);
  drive.Feed(Event::Deadline());
  drive.Take(kSeal);
  drive.Feed(Event::Outcome(drive.Take(kDeleteReverse), Result::kOk));
  EXPECT_EQ(drive.open().size(), 1U);
  drive.Feed(Event::Outcome(drive.Take(kReopenGate), Result::kUnknown, "connection lost"));
  drive.Feed(Event::Outcome(drive.Take(kReopenGate), Result::kFailed, "broken"));
  drive.Feed(Event::Outcome(drive.Take(kReopenGate), Result::kOk));
  // A target that is down keeps nobody waiting.
  drive.Feed(Event::Outcome(drive.Take(kReleaseRules), Result::kOk));
  EXPECT_EQ(drive.state().phase, Phase::kUndoing);
  drive.Feed(Event::Outcome(drive.Take(kRestartStream), Result::kOk));
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
}

TEST(CutoverMachineTest, DeletesAReverseStreamOnlyWhenItsCreationIsAnswered) {
  Drive drive(explore::WritesPlan(1));
  drive.Feed(Event::Deadline());
  EXPECT_FALSE(Issued(drive.state(), kDeleteReverse));
  drive.Feed(Event::Outcome(drive.Take(kPrepareReverse), Result::kOk));
  EXPECT_TRUE(Issued(drive.state(), kDeleteReverse));
}

TEST(CutoverMachineTest, WaitsForBlockersUntilTheDeadlineWhileNobodyIsHeld) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kAskProxies);
  for (int i = 0; i < 20; ++i) {
    drive.Feed(Event::Outcome(drive.Take(kProbeGate), Result::kRetry, "used by 17 (app@web1)"));
  }
  EXPECT_EQ(drive.state().phase, Phase::kPreparing);
  EXPECT_FALSE(FenceBegun(drive.state()));
  drive.Feed(Event::Deadline());
  drive.Take(kProbeGate);
  drive.Take(kCheckStream);
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
  EXPECT_THAT(drive.state().failure, HasSubstr("probe_gate of commerce/0: used by 17"));
  EXPECT_THAT(drive.state().failure, HasSubstr("timed out after 30000 ms"));
  EXPECT_FALSE(drive.state().locks_not_granted);
}

TEST(CutoverMachineTest, GivesTheTablesBackAtOnceWhenTheirLocksAreNotGranted) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kHoldRules);
  drive.Feed(Event::Outcome(drive.Take(kCloseGate), Result::kRetry, "blocked by 17 (app@web1)"));
  EXPECT_EQ(drive.state().phase, Phase::kUndoing);
  EXPECT_TRUE(drive.state().locks_not_granted);
  EXPECT_THAT(drive.state().failure, HasSubstr("close_gate of commerce/0: blocked by 17"));
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
}

TEST(CutoverMachineTest, GivesUpBeforeTheCommitWhenTheOutcomeStaysUnknown) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kCloseGate);
  for (uint32_t i = 0; i < kUnknownAttemptsMax; ++i) {
    drive.Feed(Event::Outcome(drive.Take(kSeal), Result::kUnknown, "zone1-200 is gone"));
  }
  EXPECT_EQ(drive.state().phase, Phase::kUndoing);
  EXPECT_THAT(drive.state().failure, HasSubstr("zone1-200 is gone"));
}

TEST(CutoverMachineTest, BeforeTheFenceAnUnknownOutcomeIsAskedAgain) {
  Drive drive(explore::WritesPlan(1));
  for (uint32_t i = 0; i < 3 * kUnknownAttemptsMax; ++i) {
    drive.Feed(Event::Outcome(drive.Take(kPrepareReverse), Result::kUnknown, "restarting"));
  }
  EXPECT_EQ(drive.state().phase, Phase::kPreparing);
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
}

TEST(CutoverMachineTest, AsksTheStoreAgainUntilItKnowsOfTheCommit) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kSeal);
  // Whatever fails beside it now.
  drive.Feed(Event::Outcome(drive.Take(kStopStream), Result::kFailed, "refused"));
  for (int i = 0; i < 10; ++i) {
    drive.Feed(Event::Outcome(drive.Take(kCommit), Result::kUnknown, "store does not answer"));
    drive.Feed(Event::Deadline());
    drive.Feed(Event::Abort("a person's word"));
  }
  EXPECT_EQ(drive.state().phase, Phase::kPreparing);
  drive.Feed(Event::Outcome(drive.Take(kCommit), Result::kOk));
  EXPECT_EQ(drive.state().phase, Phase::kCommitted);
  EXPECT_FALSE(Issued(drive.state(), kOpenGate));
  drive.Feed(Event::Outcome(drive.Take(kStopStream), Result::kOk));
  EXPECT_TRUE(Issued(drive.state(), kOpenGate));
}

TEST(CutoverMachineTest, WaitsForAPersonWithEverythingPreparedAndProbesAfterwards) {
  Plan plan = explore::WritesPlan(1);
  plan.await_release = plan.raise_counters = true;
  Drive drive(std::move(plan));
  drive.SucceedUntil(kAskProxies);
  EXPECT_TRUE(WaitsForRelease(drive.state()));
  EXPECT_EQ(drive.open().size(), 1U);
  // A new coordinator goes on waiting.
  drive.Feed(Event::Recovered());
  EXPECT_EQ(drive.state().phase, Phase::kPreparing);
  drive.Take(kAwaitRelease);
  drive.Feed(Event::Outcome(drive.Take(kAwaitRelease), Result::kOk));
  EXPECT_FALSE(WaitsForRelease(drive.state()));
  ASSERT_EQ(drive.open().size(), 2U);
  EXPECT_EQ(drive.open()[0].kind, kProbeGate);
  EXPECT_EQ(drive.open()[1].kind, kCheckStream);
  drive.SucceedUntil(kCloseGate);
  EXPECT_TRUE(Issued(drive.state(), kSettleCounters));
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
}

TEST(CutoverMachineTest, APersonTakesItBackBeforeTheCommitOnly) {
  Plan plan = explore::WritesPlan(1);
  plan.await_release = true;
  Drive drive(plan);
  drive.SucceedUntil(kAskProxies);
  drive.Feed(Event::Abort("aborted by the operator"));
  drive.Take(kAwaitRelease);
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
  EXPECT_EQ(drive.state().failure, "aborted by the operator");
  Drive late(explore::WritesPlan(1));
  late.SucceedUntil(kCommit);
  late.Feed(Event::Abort("aborted by the operator"));
  late.SucceedUntil();
  EXPECT_EQ(late.state().phase, Phase::kDone);
}

TEST(CutoverMachineTest, GoesForwardAfterTheCommitWhateverHappens) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kCommit);
  drive.Feed(Event::Deadline());
  for (int i = 0; i < 20; ++i) {
    drive.Feed(Event::Outcome(drive.Take(kOpenGate), Result::kFailed, "refused"));
    drive.Feed(Event::Outcome(drive.Take(kOpenGate), Result::kUnknown, "lost"));
  }
  EXPECT_EQ(drive.state().phase, Phase::kCommitted);
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
}

TEST(CutoverMachineTest, OpensTheNewSideWithoutWaitingForADeadOldOne) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kCommit);
  const Effect journal = drive.Take(kJournalSource);
  drive.SucceedUntil();
  EXPECT_TRUE(AllDone(drive.state(), kOpenGate));
  EXPECT_TRUE(AllDone(drive.state(), kRouteRules));
  EXPECT_EQ(drive.state().phase, Phase::kCommitted);
  drive.Feed(Event::Outcome(journal, Result::kOk));
  EXPECT_EQ(drive.state().phase, Phase::kDone);
}

// The guards that come with the source's journal are DDL in its binlog.
TEST(CutoverMachineTest, JournalsAtTheSourceWhenNoStreamReadsItAnyMore) {
  Drive drive(explore::WritesPlan(2));
  drive.SucceedUntil(kHoldRules);
  std::vector<Effect> stops;
  while (!AllDone(drive.state(), kCommit)) {
    const Effect effect = drive.open().front();
    drive.Take(effect.kind);
    if (effect.kind == kStopStream) {
      stops.push_back(effect);
      continue;
    }
    drive.Feed(Event::Outcome(effect, Result::kOk, "", "uuid:1-9"));
  }
  ASSERT_EQ(stops.size(), 2U);
  EXPECT_FALSE(Issued(drive.state(), kJournalSource));
  drive.Feed(Event::Outcome(stops[0], Result::kOk));
  EXPECT_FALSE(Issued(drive.state(), kJournalSource));
  drive.Feed(Event::Outcome(stops[1], Result::kOk));
  EXPECT_TRUE(Issued(drive.state(), kJournalSource));
}

TEST(CutoverMachineTest, ANewCoordinatorUndoesWhatWasNotCommitted) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kHoldRules);
  drive.ForgetIssued();
  // What was stored last: the hold, with all behind it perhaps begun.
  drive.Feed(Event::Recovered());
  drive.Take(kCloseGate);
  drive.Take(kSeal);
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
  for (const EffectKind kind : {kDeleteReverse, kReopenGate, kReleaseRules, kRestartStream}) {
    EXPECT_TRUE(AllDone(drive.state(), kind)) << EffectName(kind);
  }
}

TEST(CutoverMachineTest, ANewCoordinatorRepeatsWhatWasUnderWayAfterTheCommit) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kCommit);
  drive.ForgetIssued();
  drive.Feed(Event::Recovered());
  EXPECT_THAT(drive.kinds(), ElementsAre(kJournalSource, kOpenGate));
}

TEST(CutoverMachineTest, AnOutcomeOfAnOlderAttemptChangesNothing) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil(kHoldRules);
  const Effect first = drive.Take(kCloseGate);
  drive.Feed(Event::Outcome(first, Result::kUnknown, "lost"));
  const State before = drive.state();
  drive.Feed(Event::Outcome(first, Result::kFailed, "late"));
  EXPECT_EQ(drive.state(), before);
}

TEST(CutoverMachineTest, AFinishedCutoverStaysAsItIs) {
  Drive drive(explore::WritesPlan(1));
  drive.SucceedUntil();
  const State before = drive.state();
  drive.Feed(Event::Recovered());
  drive.Feed(Event::Deadline());
  EXPECT_EQ(drive.state(), before);
  EXPECT_THAT(drive.open(), IsEmpty());
}

Plan ReadsPlan() {
  Plan plan = explore::WritesPlan(1);
  plan.kind = Kind::kReads;
  plan.move_replica = true;
  plan.move_rdonly = true;
  plan.make_readable = true;
  plan.restore_closed = true;
  return plan;
}

TEST(CutoverMachineTest, SwitchesReadsBehindViewsThatReplicasHave) {
  Drive drive(ReadsPlan());
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kDone);
  EXPECT_THAT(drive.kinds(),
              ElementsAre(kMakeReadable, kAwaitReplicas, kCommit, kRouteRules, kAwaitProxies));
}

TEST(CutoverMachineTest, ClosesTheSideThatTheLastReadsHaveLeft) {
  Plan plan = ReadsPlan();
  plan.make_readable = false;
  plan.restore_closed = false;
  plan.close_behind = true;
  Drive drive(std::move(plan));
  drive.SucceedUntil();
  EXPECT_THAT(drive.kinds(),
              ElementsAre(kAwaitReplicas, kCommit, kRouteRules, kAwaitProxies, kCloseBehind));
}

TEST(CutoverMachineTest, TakesTheViewsAwayWhenReadsCannotBeSwitched) {
  Drive drive(ReadsPlan());
  drive.SucceedUntil(kMakeReadable);
  drive.Feed(Event::Outcome(drive.Take(kAwaitReplicas), Result::kFailed, "replica stopped"));
  drive.SucceedUntil();
  EXPECT_EQ(drive.state().phase, Phase::kRolledBack);
  EXPECT_TRUE(AllDone(drive.state(), kRestoreClosed));
}

TEST(CutoverPlanTest, RefusesPlansThatContradictThemselves) {
  EXPECT_TRUE(ValidatePlan(explore::WritesPlan(2)).ok());
  Plan plan = explore::WritesPlan(1);
  plan.streams[0].target = 4;
  EXPECT_FALSE(ValidatePlan(plan).ok());
  plan = explore::WritesPlan(1);
  plan.epoch = 0;
  EXPECT_FALSE(ValidatePlan(plan).ok());
  plan = explore::WritesPlan(1);
  plan.streams[0].reverse_id = 0;
  EXPECT_FALSE(ValidatePlan(plan).ok());
  plan = ReadsPlan();
  plan.move_rdonly = plan.move_replica = false;
  EXPECT_FALSE(ValidatePlan(plan).ok());
}

}  // namespace
}  // namespace sluice::cutover
