// What is begun and stored when, under every kind of outcome.

#include "coordinator/cutover/driver.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "integration/explore/plans.h"

namespace sluice::cutover {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using enum EffectKind;

const absl::Time kBegin = absl::FromUnixSeconds(1'700'000'000);

Driver Begin(Plan plan) {
  State state;
  state.plan = std::move(plan);
  Transition begun = Step(std::move(state), Event::Begin());
  return {{.state = std::move(begun.state), .started_us = 1}, begun.effects, {}, kBegin};
}

Plan HeldPlan() {
  Plan plan = explore::WritesPlan(1);
  plan.await_release = true;
  return plan;
}

// Everything that can be begun succeeds, until an effect of this kind is among what is due: it is
// answered by whoever calls.
Effect SucceedUntil(Driver& driver, EffectKind kind, absl::Time now) {
  while (true) {
    if (driver.MustSave()) {
      driver.Saved();
    }
    Driver::Due due = driver.TakeDue(now);
    if (due.commit) {
      due.effects.push_back(*due.commit);
    }
    if (due.effects.empty()) {
      ADD_FAILURE() << EffectName(kind) << " never comes";
      return {};
    }
    std::optional<Effect> found;
    for (const Effect& effect : due.effects) {
      if (effect.kind == kind && !found) {
        found = effect;
      } else {
        driver.Take(Event::Outcome(effect, Result::kOk, "", "uuid:1-9"), now);
      }
    }
    if (found) {
      return *found;
    }
  }
}

TEST(DriverTest, BeginsNoMoreShardsAtOnceThanThePlanSays) {
  Plan plan = explore::WritesPlan(8);
  plan.parallelism = 3;
  Driver driver = Begin(std::move(plan));
  std::vector<Effect> at_work = driver.TakeDue(kBegin).effects;
  std::erase_if(at_work, [](const Effect& effect) { return effect.kind != kPrepareReverse; });
  ASSERT_THAT(at_work, SizeIs(3));
  EXPECT_THAT(driver.TakeDue(kBegin).effects, IsEmpty());
  EXPECT_EQ(driver.NextWake(), driver.EffectsDeadline());  // an outcome brings the next one
  driver.Take(Event::Outcome(at_work[1], Result::kOk), kBegin);
  EXPECT_THAT(driver.TakeDue(kBegin).effects, SizeIs(1));
}

TEST(DriverTest, RepeatsAnEffectLaterAndLaterUpToTheLongestDelay) {
  Driver driver = Begin(explore::WritesPlan(1));
  const Effect commit = SucceedUntil(driver, kCommit, kBegin);
  driver.Take(Event::Outcome(commit, Result::kOk), kBegin);
  Driver::Due due = driver.TakeDue(kBegin);
  ASSERT_THAT(due.effects, SizeIs(2));  // the target's gate is the other one
  Effect journal = due.effects[due.effects[0].kind == kJournalSource ? 0 : 1];
  absl::Time now = kBegin;
  for (const int64_t delay_ms : {20, 40, 80, 160, 320, 640, 1000, 1000}) {
    SCOPED_TRACE(delay_ms);
    driver.Take(Event::Outcome(journal, Result::kUnknown, "no answer"), now);
    EXPECT_FALSE(driver.MustSave());  // whoever comes next repeats it all the same
    EXPECT_EQ(driver.NextWake(), now + absl::Milliseconds(delay_ms));
    EXPECT_THAT(driver.TakeDue(driver.NextWake() - absl::Microseconds(1)).effects, IsEmpty());
    now = driver.NextWake();
    due = driver.TakeDue(now);
    ASSERT_THAT(due.effects, SizeIs(1));
    EXPECT_EQ(due.effects[0].attempt, journal.attempt + 1);
    journal = due.effects[0];
  }
}

TEST(DriverTest, FailsWhatMayNotBeBegunWhenItsIntentCantBeStored) {
  Driver driver = Begin(explore::WritesPlan(1));
  const Effect last = SucceedUntil(driver, kCheckStream, kBegin);
  driver.Take(Event::Outcome(last, Result::kOk), kBegin);
  ASSERT_TRUE(driver.MustSave());  // clients would be held
  EXPECT_TRUE(driver.NotSaved("disk full", kBegin));
  EXPECT_EQ(driver.state().phase, Phase::kUndoing);
  EXPECT_THAT(driver.state().failure, HasSubstr("could not be stored: disk full"));
  EXPECT_FALSE(Issued(driver.state(), kCloseGate));
}

TEST(DriverTest, BeginsNothingOfAWayThatIsTakenBack) {
  Plan plan = explore::WritesPlan(2);
  plan.parallelism = 1;
  Driver driver = Begin(std::move(plan));
  const std::vector<Effect> at_work = driver.TakeDue(kBegin).effects;  // a stream, and the proxies
  driver.Take(Event::Abort("a person's word"), kBegin);
  for (const Effect& effect : at_work) {
    driver.Take(Event::Outcome(effect, Result::kOk), kBegin);
  }
  driver.Saved();
  const Driver::Due due = driver.TakeDue(kBegin);
  ASSERT_THAT(due.effects, SizeIs(2));
  EXPECT_EQ(due.effects[0].kind, kDeleteReverse);
  EXPECT_EQ(due.effects[1].kind, kDeleteReverse);
}

// The store leads a new coordinator forward until it is known that the cutover is taken back.
TEST(DriverTest, TakesAHeldCutoverBackOnlyOnceTheStoreKnows) {
  Driver driver = Begin(HeldPlan());
  SucceedUntil(driver, kAwaitRelease, kBegin);
  driver.Take(Event::Abort("a person's word"), kBegin);
  ASSERT_TRUE(driver.MustSave());
  EXPECT_TRUE(driver.UndoesUnknown());
  EXPECT_FALSE(driver.NotSaved("disk full", kBegin));
  EXPECT_TRUE(driver.MustSave());
  EXPECT_THAT(driver.TakeDue(kBegin).effects, IsEmpty());
  const absl::Time again = driver.NextWake();
  EXPECT_EQ(again, kBegin + DriverOptions().retry_max);
  driver.Saved();
  EXPECT_FALSE(driver.UndoesUnknown());
  EXPECT_FALSE(driver.TakeDue(again).effects.empty());
}

TEST(DriverTest, GivesTimeFromTheBeginningOrFromThePersonsWord) {
  const Plan plan = HeldPlan();
  EXPECT_EQ(Begin(explore::WritesPlan(1)).EffectsDeadline(),
            kBegin + absl::Milliseconds(plan.timeout_ms));
  Driver driver = Begin(plan);
  const Effect release = SucceedUntil(driver, kAwaitRelease, kBegin);
  EXPECT_EQ(driver.EffectsDeadline(), absl::InfiniteFuture());
  const absl::Time go = kBegin + absl::Hours(3);
  driver.Take(Event::Outcome(release, Result::kOk), go);
  EXPECT_EQ(driver.EffectsDeadline(), go + absl::Milliseconds(plan.timeout_ms));

  const absl::Time late = driver.EffectsDeadline();
  driver.PassDeadline(late - absl::Milliseconds(1));
  EXPECT_EQ(driver.state().phase, Phase::kPreparing);
  driver.PassDeadline(late);
  EXPECT_EQ(driver.state().phase, Phase::kUndoing);
  EXPECT_EQ(driver.EffectsDeadline(), absl::InfiniteFuture());
}

// Outcomes of every kind, writes that fail and the passing of time, drawn by a seed. In each turn:
// what is given is asked for by the machine, nobody has it already, and no more shards are at work
// than the plan allows; nothing is given while the store must know something first.
class Course {
 public:
  explicit Course(uint32_t seed) : random_(seed), driver_(Begin(MakePlan())) {}

  void Run() {
    while (!driver_.state().finished() && ++turns_ < 10'000 && !testing::Test::HasFailure()) {
      Turn();
    }
    EXPECT_TRUE(driver_.state().finished()) << WaitingFor(driver_.state());
  }
  [[nodiscard]] Phase end() const { return driver_.state().phase; }
  [[nodiscard]] bool refused() const { return refused_; }

 private:
  Plan MakePlan() {
    Plan plan = explore::WritesPlan(1 + Draw(5));
    plan.parallelism = 1 + Draw(4);
    plan.raise_counters = Draw(2) == 0;
    plan.await_release = Draw(4) == 0;
    return plan;
  }

  void Turn() {
    Store();
    Driver::Due due = driver_.TakeDue(now_);
    if (due.commit) {
      due.effects.push_back(*due.commit);
    }
    for (const Effect& effect : due.effects) {
      Check(effect);
      at_work_.push_back(effect);
    }
    if (Draw(200) == 0) {
      driver_.Take(Event::Abort("a person's word"), now_);
    } else if (!at_work_.empty() && Draw(20) != 0) {
      Answer();
    } else if (driver_.NextWake() != absl::InfiniteFuture()) {
      now_ = std::max(now_, driver_.NextWake());
      driver_.PassDeadline(now_);
    }
  }

  void Store() {
    bool again = true;
    while (again && driver_.MustSave()) {
      if (Draw(15) != 0) {
        driver_.Saved();
        EXPECT_FALSE(driver_.MustSave());
        return;
      }
      refused_ = true;
      const bool preparing = driver_.state().phase == Phase::kPreparing;
      again = driver_.NotSaved("disk full", now_);
      EXPECT_EQ(again, preparing);
      EXPECT_NE(driver_.state().phase, Phase::kPreparing);
    }
    if (driver_.UndoesUnknown()) {
      EXPECT_THAT(driver_.TakeDue(now_).effects, IsEmpty());
    }
  }

  void Check(const Effect& effect) {
    const auto& slots = driver_.state().slots;
    const auto slot = std::find_if(slots.begin(), slots.end(),
                                   [&](const Slot& each) { return each.effect == effect; });
    ASSERT_NE(slot, slots.end()) << EffectName(effect.kind);
    EXPECT_EQ(slot->progress, Progress::kIssued) << EffectName(effect.kind);
    EXPECT_TRUE(driver_.state().phase != Phase::kUndoing || effect.kind >= kDeleteReverse)
        << EffectName(effect.kind);
    EXPECT_EQ(std::count(at_work_.begin(), at_work_.end(), effect), 0) << EffectName(effect.kind);
    const auto early = [](const Effect& each) {
      return each.kind == kPrepareReverse || each.kind == kRaiseCounters ||
             each.kind == kProbeGate || each.kind == kCheckStream;
    };
    if (early(effect)) {
      EXPECT_LT(std::count_if(at_work_.begin(), at_work_.end(), early),
                driver_.state().plan.parallelism);
    }
  }

  void Answer() {
    const size_t index = Draw(static_cast<uint32_t>(at_work_.size()));
    const Effect effect = at_work_[index];
    at_work_.erase(at_work_.begin() + static_cast<std::ptrdiff_t>(index));
    const uint32_t luck = Draw(100);
    const bool preparing = driver_.state().phase == Phase::kPreparing;
    const Result result = luck < 90                 ? Result::kOk
                          : luck < 94               ? Result::kRetry
                          : luck < 98 || !preparing ? Result::kUnknown
                                                    : Result::kFailed;
    driver_.Take(Event::Outcome(effect, result, "so it came", "uuid:1-9"), now_);
  }

  uint32_t Draw(uint32_t below) { return static_cast<uint32_t>(random_() % below); }

  std::mt19937 random_;
  absl::Time now_ = kBegin;
  Driver driver_;
  std::vector<Effect> at_work_;
  int turns_ = 0;
  bool refused_ = false;
};

TEST(DriverTest, ComesToAnEndWhateverHappens) {
  int done = 0;
  int rolled_back = 0;
  int refused = 0;
  for (uint32_t seed = 1; seed <= 2000; ++seed) {
    SCOPED_TRACE(seed);
    Course course(seed);
    course.Run();
    ASSERT_FALSE(HasFailure());
    done += course.end() == Phase::kDone ? 1 : 0;
    rolled_back += course.end() == Phase::kRolledBack ? 1 : 0;
    refused += course.refused() ? 1 : 0;
  }
  EXPECT_GT(done, 200);
  EXPECT_GT(rolled_back, 200);
  EXPECT_GT(refused, 200);
}

}  // namespace
}  // namespace sluice::cutover
