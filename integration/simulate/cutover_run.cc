// CutoverRun: outcomes in, durable state, effects out.

#include "integration/simulate/cutover_run.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {

using cutover::Effect;
using cutover::EffectKind;
using cutover::Event;
using cutover::Phase;
using cutover::Result;
using cutover::Slot;

namespace {

constexpr Micros kNever = std::numeric_limits<Micros>::max();
constexpr Micros kRetryMin = 20 * kMilli;
constexpr Micros kRetryMax = kSecond;

bool IsEarly(EffectKind kind) {
  return kind == EffectKind::kPrepareReverse || kind == EffectKind::kRaiseCounters ||
         kind == EffectKind::kProbeGate || kind == EffectKind::kCheckStream;
}

}  // namespace

CutoverRun::CutoverRun(Coordinator& coordinator, cutover::StoredCutover cutover)
    : coordinator_(coordinator),
      world_(coordinator.world()),
      cutover_(std::move(cutover)),
      deadline_(kNever),
      stored_undoes_(UndoneWhenRecovered(cutover_.state)) {}

Micros CutoverRun::Now() const {
  return world_.scheduler.now();
}

void CutoverRun::StartClock() {
  deadline_ = Now() + Micros{cutover_.state.plan.timeout_ms} * kMilli;
  Wake(deadline_ - Now());
}

void CutoverRun::Issue(const std::vector<Effect>& effects) {
  if (!cutover_.state.plan.await_release) {
    StartClock();
  }
  for (const Effect& effect : effects) {
    Queue(effect);
  }
  Wake(0);
}

void CutoverRun::Recover() {
  if (cutover_.state.plan.await_release && AllDone(cutover_.state, EffectKind::kAwaitRelease)) {
    StartClock();
  }
  Feed(Event::Recovered());
  Wake(0);
}

void CutoverRun::Abort(const std::string& why) {
  Feed(Event::Abort(why));
  Wake(0);
}

void CutoverRun::Wake(Micros delay) {
  if (delay == 0 && std::exchange(waking_, true)) {
    return;
  }
  coordinator_.process.Later(delay == 0 ? world_.random.Between(5, 50) : delay,
                             [self = shared_from_this(), delay] {
                               self->waking_ = self->waking_ && delay != 0;
                               self->Drive();
                             });
}

void CutoverRun::Drive() {
  if (over_) {
    return;
  }
  const std::vector<Report> reports = std::exchange(reports_, {});
  for (const Report& report : reports) {
    TakeReport(report);
  }
  if (Now() >= deadline_) {
    deadline_ = kNever;
    Feed(Event::Deadline());
  }
  if (!cutover_.state.finished()) {
    Persist();
    Dispatch();
  }
  if (cutover_.state.finished()) {
    Finish();
    return;
  }
  Micros next = kNever;
  for (const Ready& ready : ready_) {
    next = std::min(next, ready.due);
  }
  if (next != kNever && next != next_wake_) {
    next_wake_ = next;
    Wake(std::max(next - Now(), Micros{1}));
  }
}

void CutoverRun::TakeReport(const Report& report) {
  if (IsEarly(report.effect.kind)) {
    --early_at_work_;
  }
  if (report.effect.kind == EffectKind::kAwaitRelease && report.outcome.result == Result::kOk) {
    StartClock();
  }
  Feed(Event::Outcome(report.effect, report.outcome.result, report.outcome.message,
                      report.outcome.value));
}

void CutoverRun::Feed(const Event& event) {
  const Phase before = cutover_.state.phase;
  cutover::Transition transition = cutover::Step(std::move(cutover_.state), event);
  cutover_.state = std::move(transition.state);
  dirty_ = true;
  if (cutover_.state.phase != before) {
    world_.trace.Note("cutover " + cutover_.state.plan.id, cutover::PhaseName(cutover_.state.phase),
                      cutover_.state.failure);
  }
  // What undoing has overtaken and nobody has begun must not be begun.
  const auto overtaken = [&](const Ready& ready) {
    return std::none_of(
        cutover_.state.slots.begin(), cutover_.state.slots.end(), [&](const Slot& slot) {
          return slot.effect == ready.effect && slot.progress == cutover::Progress::kIssued;
        });
  };
  std::erase_if(ready_, overtaken);
  std::erase_if(waves_, overtaken);
  for (const Effect& effect : transition.effects) {
    Queue(effect);
  }
}

void CutoverRun::Queue(const Effect& effect) {
  Micros due = 0;
  if (effect.attempt > 1) {
    const uint32_t doublings = std::min(effect.attempt - 2, 16U);
    due = Now() + std::min(kRetryMin * (1 << doublings), kRetryMax);
  }
  ready_.push_back({.effect = effect, .due = due});
}

void CutoverRun::Persist() {
  const auto must_store = [&] {
    std::vector<Effect> effects;
    for (const Ready& ready : ready_) {
      effects.push_back(ready.effect);
    }
    return dirty_ && MustStore(cutover_.state, effects);
  };
  while (must_store()) {
    const absl::Status saved = Save();
    if (saved.ok()) {
      return;
    }
    if (cutover_.state.phase != Phase::kPreparing) {
      PutOffUnlessStored();
      return;
    }
    const std::vector<Ready> refused = std::exchange(ready_, {});
    for (const Ready& ready : refused) {
      Feed(Event::Outcome(ready.effect, Result::kFailed, "its intent could not be stored"));
    }
  }
}

absl::Status CutoverRun::Save() {
  absl::Status saved = coordinator_.Transact([&](Store& store) {
    store.cutover = cutover::EncodeOperation(cutover_);
    return absl::OkStatus();
  });
  if (saved.ok()) {
    dirty_ = false;
    stored_undoes_ = UndoneWhenRecovered(cutover_.state);
  }
  return saved;
}

void CutoverRun::PutOffUnlessStored() {
  if (cutover_.state.phase != Phase::kUndoing || stored_undoes_) {
    return;
  }
  for (Ready& ready : ready_) {
    ready.due = std::max(ready.due, Now() + kRetryMax);
  }
}

bool CutoverRun::MustWait(const Effect& effect) const {
  return IsEarly(effect.kind) && early_at_work_ >= std::max(cutover_.state.plan.parallelism, 1U);
}

void CutoverRun::Dispatch() {
  const bool preparing = cutover_.state.phase == Phase::kPreparing;
  std::shared_ptr<const cutover::State> snapshot;
  std::vector<Ready> later;
  std::optional<Effect> commit;
  std::vector<Ready> due = std::exchange(waves_, {});
  due.insert(due.end(), ready_.begin(), ready_.end());
  for (const Ready& ready : due) {
    if (ready.due > Now()) {
      later.push_back(ready);
    } else if (MustWait(ready.effect)) {
      waves_.push_back(ready);
    } else if (ready.effect.kind == EffectKind::kCommit) {
      commit = ready.effect;
    } else {
      early_at_work_ += IsEarly(ready.effect.kind) ? 1U : 0U;
      if (snapshot == nullptr) {
        snapshot = std::make_shared<const cutover::State>(cutover_.state);
      }
      const auto job =
          std::make_shared<const Job>(Job{snapshot, ready.effect, preparing ? deadline_ : kNever});
      // The coordinator may die between the intent, the effect and the outcome.
      coordinator_.process.Later(world_.random.Between(10, 200), [self = shared_from_this(), job] {
        self->Perform(job, [self, job](cutover::EffectOutcome outcome) {
          self->coordinator_.process.Later(self->world_.random.Between(5, 60),
                                           [self, job, outcome = std::move(outcome)] {
                                             self->reports_.push_back({job->effect, outcome});
                                             self->Wake(0);
                                           });
        });
      });
    }
  }
  ready_ = std::move(later);
  if (commit) {
    Commit(*commit);
  }
}

absl::Status CutoverRun::CommitInStore(Store& store, const cutover::State& after) const {
  auto present = cutover::DecodeOperation(store.cutover);
  const auto* stored = present.ok() ? std::get_if<cutover::StoredCutover>(&*present) : nullptr;
  if (stored == nullptr || stored->state.plan.id != after.plan.id) {
    return absl::FailedPreconditionError("not the one that is under way");
  }
  if (stored->state.phase != Phase::kPreparing) {
    return absl::OkStatus();
  }
  auto records = cutover::ApplyCommit(after.plan, store.records, 0);
  if (!records.ok()) {
    return records.status();
  }
  store.records = *std::move(records);
  store.cutover = cutover::EncodeOperation(
      cutover::StoredCutover{.state = after, .started_us = cutover_.started_us});
  if (after.plan.kind == cutover::Kind::kWrites) {
    world_.oracle.Committed(after.plan.raise_counters);
  }
  return absl::OkStatus();
}

void CutoverRun::Commit(const Effect& effect) {
  const cutover::Transition after =
      cutover::Step(cutover_.state, Event::Outcome(effect, Result::kOk));
  const absl::Status status =
      coordinator_.Transact([&](Store& store) { return CommitInStore(store, after.state); });
  Result result = Result::kOk;
  if (!status.ok()) {
    // Asking the store may fail too.
    const auto present = cutover::DecodeOperation(world_.store.cutover);
    const auto* stored = present.ok() ? std::get_if<cutover::StoredCutover>(&*present) : nullptr;
    const bool committed =
        stored != nullptr && stored->state.plan.id == cutover_.state.plan.id &&
        (stored->state.phase == Phase::kCommitted || stored->state.phase == Phase::kDone);
    result = world_.random.OneIn(3) ? Result::kUnknown : committed ? Result::kOk : Result::kFailed;
  }
  Feed(Event::Outcome(effect, result, std::string(status.message())));
  Persist();
  Dispatch();
}

void CutoverRun::Finish() {
  const absl::Status status = coordinator_.Transact([&](Store& store) {
    if (store.cutover.empty()) {
      return absl::OkStatus();
    }
    store.cutover.clear();
    store.ended.push_back(cutover_.state);
    return absl::OkStatus();
  });
  if (!status.ok()) {
    Wake(kRetryMin);
    return;
  }
  over_ = true;
  const cutover::Plan& plan = cutover_.state.plan;
  ++world_.counts.cutovers[absl::StrCat(plan.kind == cutover::Kind::kReads ? "reads " : "writes ",
                                        plan.reversal ? "reversed" : "switched", ": ",
                                        cutover::PhaseName(cutover_.state.phase))];
  coordinator_.CutoverEnded();
}

}  // namespace sluice::simulate
