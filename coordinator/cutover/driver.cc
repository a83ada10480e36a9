// Driver: the queue of effects between the machine and whoever carries them out.

#include "coordinator/cutover/driver.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::cutover {
namespace {

// On one shard, before anybody is held. However many there are, only a few at a time use up the
// servers.
bool IsEarly(EffectKind kind) {
  return kind == EffectKind::kPrepareReverse || kind == EffectKind::kRaiseCounters ||
         kind == EffectKind::kProbeGate || kind == EffectKind::kCheckStream;
}

}  // namespace

Driver::Driver(StoredCutover cutover, const std::vector<Effect>& issued, DriverOptions options,
               absl::Time now)
    : options_(options),
      cutover_(std::move(cutover)),
      stored_undoes_(UndoneWhenRecovered(cutover_.state)) {
  const bool recovered = issued.empty();
  // Until a person has said go, there is no hurry.
  if (state().plan.await_release ? AllDone(state(), EffectKind::kAwaitRelease) : !recovered) {
    StartClock(now);
  }
  for (const Effect& effect : issued) {
    Queue(effect, now);
  }
  if (recovered) {
    Feed(Event::Recovered(), now);
  }
}

void Driver::StartClock(absl::Time now) {
  deadline_ = now + absl::Milliseconds(state().plan.timeout_ms);
}

void Driver::Take(const Event& event, absl::Time now) {
  if (event.type == Event::Type::kOutcome) {
    early_at_work_ -= IsEarly(event.effect.kind) ? 1U : 0U;
    if (event.effect.kind == EffectKind::kAwaitRelease && event.result == Result::kOk) {
      StartClock(now);
    }
  }
  Feed(event, now);
}

void Driver::PassDeadline(absl::Time now) {
  if (now >= deadline_) {
    deadline_ = absl::InfiniteFuture();
    Feed(Event::Deadline(), now);
  }
}

void Driver::Feed(const Event& event, absl::Time now) {
  const bool preparing = state().phase == Phase::kPreparing;
  Transition transition = Step(std::move(cutover_.state), event);
  cutover_.state = std::move(transition.state);
  dirty_ = true;
  ++version_;
  std::vector<Ready> overtaken;
  if (preparing && state().phase == Phase::kUndoing) {
    overtaken = std::exchange(ready_, {});
    overtaken.insert(overtaken.end(), waves_.begin(), waves_.end());
    waves_.clear();
  }
  for (const Effect& effect : transition.effects) {
    Queue(effect, now);
  }
  // Nobody has begun it, and nobody does any more.
  for (const Ready& ready : overtaken) {
    Feed(Event::Outcome(ready.effect, Result::kFailed, "not begun"), now);
  }
}

void Driver::Queue(const Effect& effect, absl::Time now) {
  absl::Time due = absl::InfinitePast();
  if (effect.attempt > 1) {
    const uint32_t doublings = std::min(effect.attempt - 2, 16U);
    due = now + std::min(options_.retry_min * (1 << doublings), options_.retry_max);
  }
  ready_.push_back({.effect = effect, .due = due});
}

bool Driver::UndoesUnknown() const {
  return state().phase == Phase::kUndoing && !stored_undoes_;
}

bool Driver::MustSave() const {
  if (!dirty_) {
    return false;
  }
  std::vector<Effect> effects;
  for (const Ready& ready : ready_) {
    effects.push_back(ready.effect);
  }
  // That it is taken back is known before the first step of that may be taken.
  return UndoesUnknown() || MustStore(state(), effects);
}

void Driver::Saved() {
  dirty_ = false;
  stored_undoes_ = UndoneWhenRecovered(state());
  store_again_ = absl::InfiniteFuture();
}

bool Driver::NotSaved(absl::string_view why, absl::Time now) {
  store_again_ = absl::InfiniteFuture();
  if (state().phase == Phase::kPreparing) {
    const std::vector<Ready> refused = std::exchange(ready_, {});
    for (const Ready& ready : refused) {
      Feed(Event::Outcome(ready.effect, Result::kFailed,
                          absl::StrCat("its intent could not be stored: ", why)),
           now);
    }
    return true;
  }
  // What the store knows leads a new coordinator the same way, so it need not know more. But for a
  // cutover that waits for a person: it would go on to its end, while requests that take it back
  // are under way. Nobody is held, so undoing can wait for the store.
  if (UndoesUnknown()) {
    store_again_ = now + options_.retry_max;
    for (Ready& ready : ready_) {
      ready.due = std::max(ready.due, store_again_);
    }
  }
  return false;
}

Driver::Due Driver::TakeDue(absl::Time now) {
  Due result;
  std::vector<Ready> later;
  std::vector<Ready> due = std::exchange(waves_, {});
  due.insert(due.end(), ready_.begin(), ready_.end());
  for (const Ready& ready : due) {
    if (ready.due > now) {
      later.push_back(ready);
    } else if (MustWait(ready.effect)) {
      waves_.push_back(ready);
    } else if (ready.effect.kind == EffectKind::kCommit) {
      result.commit = ready.effect;
    } else {
      early_at_work_ += IsEarly(ready.effect.kind) ? 1U : 0U;
      result.effects.push_back(ready.effect);
    }
  }
  ready_ = std::move(later);
  return result;
}

// It is looked at again when one of those at work has ended.
bool Driver::MustWait(const Effect& effect) const {
  return IsEarly(effect.kind) && early_at_work_ >= std::max(state().plan.parallelism, 1U);
}

absl::Time Driver::EffectsDeadline() const {
  return state().phase == Phase::kPreparing ? deadline_ : absl::InfiniteFuture();
}

absl::Time Driver::NextWake() const {
  absl::Time wake = std::min(deadline_, store_again_);
  for (const Ready& ready : ready_) {
    wake = std::min(wake, ready.due);
  }
  return wake;
}

}  // namespace sluice::cutover
