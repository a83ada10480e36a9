// CutoverRun: outcomes in, durable state, effects out.

#include "integration/simulate/cutover_run.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {

using cutover::Effect;
using cutover::Event;
using cutover::Phase;
using cutover::Result;

namespace {

constexpr Micros kNever = std::numeric_limits<Micros>::max();
constexpr cutover::DriverOptions kOptions;

}  // namespace

CutoverRun::CutoverRun(Coordinator& coordinator, cutover::StoredCutover cutover,
                       const std::vector<Effect>& issued)
    : coordinator_(coordinator),
      world_(coordinator.world()),
      driver_(std::move(cutover), issued, kOptions, Clock()) {}

Micros CutoverRun::Now() const {
  return world_.scheduler.now();
}

void CutoverRun::Abort(const std::string& why) {
  Take(Event::Abort(why));
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
    Take(Event::Outcome(report.effect, report.outcome.result, report.outcome.message,
                        report.outcome.value));
  }
  driver_.PassDeadline(Clock());
  if (!state().finished()) {
    Persist();
    Dispatch();
  }
  if (state().finished()) {
    Finish();
    return;
  }
  const absl::Time next = driver_.NextWake();
  if (next != absl::InfiniteFuture() && next != next_wake_) {
    next_wake_ = next;
    Wake(std::max(absl::ToInt64Microseconds(next - Clock()), Micros{1}));
  }
}

void CutoverRun::Take(const Event& event) {
  const Phase before = state().phase;
  driver_.Take(event, Clock());
  if (state().phase != before) {
    world_.trace.Note("cutover " + state().plan.id, cutover::PhaseName(state().phase),
                      state().failure);
  }
}

void CutoverRun::Persist() {
  bool again = true;
  while (again && driver_.MustSave()) {
    const absl::Status saved = Save();
    again = !saved.ok() && driver_.NotSaved(saved.message(), Clock());
  }
}

absl::Status CutoverRun::Save() {
  absl::Status saved = coordinator_.Transact([&](Store& store) {
    store.cutover = cutover::EncodeOperation(driver_.cutover());
    return absl::OkStatus();
  });
  if (saved.ok()) {
    driver_.Saved();
  }
  return saved;
}

void CutoverRun::Dispatch() {
  const absl::Time until = driver_.EffectsDeadline();
  const Micros deadline = until == absl::InfiniteFuture() ? kNever : absl::ToUnixMicros(until);
  const cutover::Driver::Due due = driver_.TakeDue(Clock());
  std::shared_ptr<const cutover::State> snapshot;
  if (!due.effects.empty()) {
    snapshot = std::make_shared<const cutover::State>(state());
  }
  for (const Effect& effect : due.effects) {
    const auto job = std::make_shared<const Job>(Job{snapshot, effect, deadline});
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
  if (due.commit) {
    Commit(*due.commit);
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
      cutover::StoredCutover{.state = after, .started_us = driver_.cutover().started_us});
  if (after.plan.kind == cutover::Kind::kWrites) {
    world_.oracle.Committed(after.plan.raise_counters);
  }
  return absl::OkStatus();
}

void CutoverRun::Commit(const Effect& effect) {
  const cutover::Transition after = cutover::Step(state(), Event::Outcome(effect, Result::kOk));
  const absl::Status status =
      coordinator_.Transact([&](Store& store) { return CommitInStore(store, after.state); });
  Result result = Result::kOk;
  if (!status.ok()) {
    // Asking the store may fail too.
    const auto present = cutover::DecodeOperation(world_.store.cutover);
    const auto* stored = present.ok() ? std::get_if<cutover::StoredCutover>(&*present) : nullptr;
    const bool committed =
        stored != nullptr && stored->state.plan.id == state().plan.id &&
        (stored->state.phase == Phase::kCommitted || stored->state.phase == Phase::kDone);
    result = world_.random.OneIn(3) ? Result::kUnknown : committed ? Result::kOk : Result::kFailed;
  }
  Take(Event::Outcome(effect, result, std::string(status.message())));
  Persist();
  Dispatch();
}

void CutoverRun::Finish() {
  const absl::Status status = coordinator_.Transact([&](Store& store) {
    if (store.cutover.empty()) {
      return absl::OkStatus();
    }
    store.cutover.clear();
    store.ended.push_back(state());
    return absl::OkStatus();
  });
  if (!status.ok()) {
    Wake(absl::ToInt64Microseconds(kOptions.retry_min));
    return;
  }
  over_ = true;
  const cutover::Plan& plan = state().plan;
  ++world_.counts.cutovers[absl::StrCat(plan.kind == cutover::Kind::kReads ? "reads " : "writes ",
                                        plan.reversal ? "reversed" : "switched", ": ",
                                        cutover::PhaseName(state().phase))];
  coordinator_.CutoverEnded();
}

}  // namespace sluice::simulate
