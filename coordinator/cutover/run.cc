// The loop of one cutover: outcomes in, durable state, effects out.

#include "coordinator/cutover/run.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "coordinator/cutover/crash_points.h"

namespace sluice::cutover {
namespace {

// An effect waits for its server, so each of them gets a thread: those of a mysqld's shards must
// all be at its agent for that to do them together.
constexpr uint32_t kWorkersMax = 1024;
// Who looks on from outside may see an older state; of a cutover of hundreds of shards a copy
// for each event would cost more than the event.
constexpr absl::Duration kPublishEvery = absl::Milliseconds(10);

uint32_t WorkersFor(const Plan& plan) {
  const size_t widest = std::max({plan.sources.size(), plan.targets.size(), plan.streams.size()});
  // Twice: undoing must not queue behind effects that are still waiting. And the rules.
  return std::min(kWorkersMax, static_cast<uint32_t>(2 * widest) + 2);
}

store::CutoverStep StepOf(const Plan& plan, const Effect& effect, absl::Time started,
                          const EffectOutcome& outcome) {
  const Side* side = SideOf(plan, effect);
  store::CutoverStep step;
  step.name = std::string(EffectName(effect.kind));
  step.shard = side == nullptr ? "" : absl::StrCat(side->keyspace, "/", side->shard);
  step.started_us = absl::ToUnixMicros(started);
  step.took_us = absl::ToInt64Microseconds(absl::Now() - started);
  step.detail = outcome.result == Result::kOk
                    ? outcome.message
                    : absl::StrCat("attempt ", effect.attempt, ": ", outcome.message);
  return step;
}

// On one shard, before anybody is held. However many there are, only a few at a time use up the
// servers.
bool IsEarly(EffectKind kind) {
  return kind == EffectKind::kPrepareReverse || kind == EffectKind::kRaiseCounters ||
         kind == EffectKind::kProbeGate || kind == EffectKind::kCheckStream;
}

// A proxy may have had the epoch for long; nothing of a cutover lies before its beginning.
Steps PartsOf(const store::CutoverStep& step, const EffectOutcome& outcome, int64_t begun_us) {
  Steps parts;
  for (const ProxyPart& part : outcome.proxies) {
    const int64_t from_us = absl::ToUnixMicros(part.started);
    const int64_t to_us = from_us + absl::ToInt64Microseconds(part.took);
    store::CutoverStep each;
    each.name = step.name;
    each.started_us = std::max(from_us, begun_us);
    each.took_us = std::max<int64_t>(to_us - each.started_us, 0);
    each.detail = part.detail;
    each.proxy = part.proxy;
    parts.push_back(std::move(each));
  }
  return parts;
}

}  // namespace

Run::Run(Ledger& ledger, Effects& effects, RunOptions options, StoredCutover cutover,
         const std::vector<Effect>& issued, std::shared_ptr<void> keep)
    : ledger_(ledger),
      effects_(effects),
      options_(options),
      cutover_(std::move(cutover)),
      keep_(std::move(keep)),
      stored_undoes_(UndoneWhenRecovered(cutover_.state)) {
  const bool recovered = issued.empty();
  // Until a person has said go, there is no hurry.
  if (cutover_.state.plan.await_release ? AllDone(cutover_.state, EffectKind::kAwaitRelease)
                                        : !recovered) {
    StartClock();
  }
  for (const Effect& effect : issued) {
    Queue(effect);
  }
  Publish();
  for (uint32_t i = 0; i < WorkersFor(cutover_.state.plan); ++i) {
    workers_.emplace_back([this] { Work(); });
  }
  driver_ = std::jthread([this, recovered] { Drive(recovered); });
}

Run::~Run() {
  Stop();
}

void Run::Stop() {
  stopping_.store(true);
  reports_.Close();
  jobs_.Close();
  if (driver_.joinable()) {
    driver_.join();
  }
  workers_.clear();
}

absl::StatusOr<State> Run::Await(absl::Time deadline) const {
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(absl::Condition(this, &Run::OverOrStopped), deadline);
  return Answer();
}

absl::StatusOr<State> Run::AwaitHeld(absl::Time deadline) const {
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(absl::Condition(this, &Run::HeldOrOver), deadline);
  if (!over_ && !stopped_ && WaitsForRelease(published_)) {
    return published_;
  }
  return Answer();
}

absl::StatusOr<State> Run::Answer() const {
  if (over_) {
    return published_;
  }
  const std::string what =
      absl::StrCat("cutover ", published_.plan.id, " of ", published_.plan.workflow, " is ",
                   PhaseName(published_.phase), " and goes on by itself, ", Waits());
  return stopped_ ? absl::CancelledError(absl::StrCat("the coordinator is stopping; ", what))
                  : absl::DeadlineExceededError(what);
}

void Run::Abort(std::string why) {
  Report report;
  report.abort = std::move(why);
  reports_.Push(std::move(report));
}

void Run::StartClock() {
  deadline_ = absl::Now() + absl::Milliseconds(cutover_.state.plan.timeout_ms);
}

std::string Run::WaitsFor() const {
  const absl::MutexLock lock(&mutex_);
  return Waits();
}

std::string Run::Waits() const {
  return store_failure_.empty()
             ? WaitingFor(published_)
             : absl::StrCat("waiting for the coordinator's store, which can't be written: ",
                            store_failure_);
}

State Run::Current() const {
  const absl::MutexLock lock(&mutex_);
  return published_;
}

bool Run::over() const {
  const absl::MutexLock lock(&mutex_);
  return OverOrStopped();
}

void Run::Publish() {
  unpublished_ = false;
  published_phase_ = cutover_.state.phase;
  published_held_ = WaitsForRelease(cutover_.state);
  publish_at_ = absl::Now() + kPublishEvery;
  const absl::MutexLock lock(&mutex_);
  published_ = cutover_.state;
}

// At once where somebody may be waiting for it.
void Run::PublishNews() {
  if (cutover_.state.phase != published_phase_ ||
      WaitsForRelease(cutover_.state) != published_held_ ||
      (unpublished_ && absl::Now() >= publish_at_)) {
    Publish();
  }
}

// What the effects need of the state, the same one for all that are begun while that stays as it
// is.
std::shared_ptr<const State> Run::HandOut() {
  const State& now = cutover_.state;
  if (handed_out_ == nullptr || handed_out_->phase != now.phase ||
      handed_out_->positions != now.positions) {
    State state;
    state.plan = now.plan;
    state.phase = now.phase;
    state.positions = now.positions;
    handed_out_ = std::make_shared<const State>(std::move(state));
  }
  return handed_out_;
}

void Run::Work() {
  while (std::optional<Job> job = jobs_.Pop()) {
    if (stopping()) {
      return;
    }
    const EffectKind kind = job->effect.kind;
    SLUICE_CRASH_POINT(CrashPointName(kind, Boundary::kIntent));
    const absl::Time started = absl::Now();
    Report report;
    report.effect = job->effect;
    report.outcome = effects_.Run(*job->state, job->effect, job->deadline);
    report.step = StepOf(job->state->plan, job->effect, started, report.outcome);
    report.parts = PartsOf(report.step, report.outcome, cutover_.started_us);
    SLUICE_CRASH_POINT(CrashPointName(kind, Boundary::kDone));
    reports_.Push(std::move(report));
  }
}

void Run::Drive(bool recovered) {
  if (recovered) {
    Feed(Event::Recovered());
  }
  while (!cutover_.state.finished() && !stopping()) {
    Persist();
    Dispatch();
    PublishNews();
    if (!cutover_.state.finished()) {
      TakeReports();
    }
  }
  if (cutover_.state.finished()) {
    Finish();
  }
  const absl::MutexLock lock(&mutex_);
  stopped_ = !over_;
}

absl::Time Run::NextWake() const {
  absl::Time wake = std::min(deadline_, store_again_);
  if (unpublished_) {
    wake = std::min(wake, publish_at_);
  }
  for (const Ready& ready : ready_) {
    wake = std::min(wake, ready.due);
  }
  return wake;
}

// Waits for something to happen and takes all that has.
void Run::TakeReports() {
  std::optional<Report> report = reports_.Pop(NextWake());
  while (report) {
    TakeReport(*std::move(report));
    report = reports_.Pop(absl::InfinitePast());
  }
  if (absl::Now() >= deadline_) {
    deadline_ = absl::InfiniteFuture();
    Feed(Event::Deadline());
  }
}

void Run::TakeReport(Report report) {
  if (!report.abort.empty()) {
    Feed(Event::Abort(std::move(report.abort)));
    return;
  }
  NoteFence(report);
  if (IsEarly(report.effect.kind)) {
    --early_at_work_;
  }
  if (report.effect.kind == EffectKind::kAwaitRelease && report.outcome.result == Result::kOk) {
    StartClock();
  }
  if (report.outcome.result != Result::kOk) {
    SLUICE_LOG(kWarning, "cutover step failed",
               {{"cutover", cutover_.state.plan.id},
                {"step", report.step.name},
                {"shard", report.step.shard},
                {"attempt", report.effect.attempt},
                {"reason", report.outcome.message}});
  }
  steps_.push_back(std::move(report.step));
  std::move(report.parts.begin(), report.parts.end(), std::back_inserter(steps_));
  Feed(Event::Outcome(report.effect, report.outcome.result, std::move(report.outcome.message),
                      std::move(report.outcome.value)));
}

// What the clients feel at most: from the hold to the rules of the new side.
void Run::NoteFence(const Report& report) {
  if (report.effect.kind == EffectKind::kHoldRules && fence_from_us_ == 0) {
    fence_from_us_ = report.step.started_us;
  }
  if (fence_from_us_ != 0 && report.effect.kind == EffectKind::kRouteRules &&
      report.outcome.result == Result::kOk) {
    fence_to_us_ = report.step.started_us + report.step.took_us;
  }
}

void Run::Feed(const Event& event) {
  Transition transition = Step(std::move(cutover_.state), event);
  cutover_.state = std::move(transition.state);
  dirty_ = true;
  unpublished_ = true;
  // What undoing has overtaken and nobody has begun must not be begun.
  const auto overtaken = [&](const Ready& ready) {
    return std::none_of(cutover_.state.slots.begin(), cutover_.state.slots.end(),
                        [&](const Slot& slot) {
                          return slot.effect == ready.effect && slot.progress == Progress::kIssued;
                        });
  };
  if (cutover_.state.phase == Phase::kUndoing) {
    std::erase_if(ready_, overtaken);
    std::erase_if(waves_, overtaken);
  }
  for (const Effect& effect : transition.effects) {
    Queue(effect);
  }
}

void Run::Queue(const Effect& effect) {
  absl::Time due = absl::InfinitePast();
  if (effect.attempt > 1) {
    const uint32_t doublings = std::min(effect.attempt - 2, 16U);
    due = absl::Now() + std::min(options_.retry_min * (1 << doublings), options_.retry_max);
  }
  ready_.push_back({.effect = effect, .due = due});
}

void Run::Persist() {
  const auto must_store = [&] {
    std::vector<Effect> effects;
    for (const Ready& ready : ready_) {
      effects.push_back(ready.effect);
    }
    // That it is taken back is known before the first step of that may be taken.
    return dirty_ && (UndoesUnknown() || MustStore(cutover_.state, effects));
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
      Feed(Event::Outcome(ready.effect, Result::kFailed,
                          absl::StrCat("its intent could not be stored: ", saved.message())));
    }
  }
}

absl::Status Run::Save() {
  absl::Status saved = ledger_.Save(cutover_, steps_);
  store_again_ = absl::InfiniteFuture();
  {
    const absl::MutexLock lock(&mutex_);
    store_failure_ = UndoesUnknown() ? std::string(saved.message()) : "";
  }
  if (!saved.ok()) {
    SLUICE_LOG(kError, "cutover state not stored",
               {{"cutover", cutover_.state.plan.id}, {"reason", saved}});
    return saved;
  }
  steps_.clear();
  dirty_ = false;
  stored_undoes_ = UndoneWhenRecovered(cutover_.state);
  return saved;
}

// A new coordinator would go on with what is being taken back.
bool Run::UndoesUnknown() const {
  return cutover_.state.phase == Phase::kUndoing && !stored_undoes_;
}

// What the store knows leads a new coordinator the same way, so it need not know more. But for a
// cutover that waits for a person: it would go on to its end, while requests that take it back are
// under way. Nobody is held, so undoing can wait for the store.
void Run::PutOffUnlessStored() {
  if (!UndoesUnknown()) {
    return;
  }
  const absl::Time due = absl::Now() + options_.retry_max;
  store_again_ = due;
  for (Ready& ready : ready_) {
    ready.due = std::max(ready.due, due);
  }
}

void Run::Dispatch() {
  const absl::Time now = absl::Now();
  const bool preparing = cutover_.state.phase == Phase::kPreparing;
  std::vector<Ready> later;
  std::optional<Effect> commit;
  std::vector<Ready> due = std::exchange(waves_, {});
  due.insert(due.end(), ready_.begin(), ready_.end());
  for (const Ready& ready : due) {
    if (ready.due > now) {
      later.push_back(ready);
    } else if (MustWait(ready.effect)) {
      waves_.push_back(ready);
    } else if (ready.effect.kind == EffectKind::kCommit) {
      commit = ready.effect;
    } else {
      early_at_work_ += IsEarly(ready.effect.kind) ? 1U : 0U;
      jobs_.Push({.effect = ready.effect,
                  .state = HandOut(),
                  .deadline = preparing ? deadline_ : absl::InfiniteFuture()});
    }
  }
  ready_ = std::move(later);
  if (commit) {
    Commit(*commit);
  }
}

// It is looked at again when one of those at work has ended.
bool Run::MustWait(const Effect& effect) const {
  return IsEarly(effect.kind) && early_at_work_ >= std::max(cutover_.state.plan.parallelism, 1U);
}

// The state after the commit is the commit's record, so that nothing stands between them.
void Run::Commit(const Effect& effect) {
  SLUICE_CRASH_POINT(CrashPointName(EffectKind::kCommit, Boundary::kIntent));
  const absl::Time started = absl::Now();
  const Plan& plan = cutover_.state.plan;
  const Transition after = Step(cutover_.state, Event::Outcome(effect, Result::kOk));
  const absl::Status status =
      ledger_.Commit({.state = after.state, .started_us = cutover_.started_us}, steps_);
  EffectOutcome outcome;
  if (!status.ok()) {
    const absl::StatusOr<bool> committed = ledger_.IsCommitted(plan);
    outcome.result = !committed.ok() ? Result::kUnknown
                     : *committed    ? Result::kOk
                                     : Result::kFailed;
    outcome.message = std::string(status.message());
  }
  SLUICE_CRASH_POINT(CrashPointName(EffectKind::kCommit, Boundary::kDone));
  if (status.ok()) {
    steps_.clear();
  }
  steps_.push_back(StepOf(plan, effect, started, outcome));
  Feed(Event::Outcome(effect, outcome.result, outcome.message));
  Persist();
  Dispatch();
}

void Run::Finish() {
  const Plan& plan = cutover_.state.plan;
  if (cutover_.state.phase == Phase::kDone && fence_to_us_ != 0) {
    steps_.push_back({.name = "fence",
                      .shard = "",
                      .started_us = fence_from_us_,
                      .took_us = fence_to_us_ - fence_from_us_,
                      .detail = "from the hold to the rules of the new side"});
  }
  SLUICE_LOG(kInfo, "cutover over",
             {{"cutover", plan.id},
              {"workflow", plan.workflow},
              {"outcome", PhaseName(cutover_.state.phase)},
              {"fence_us", fence_to_us_ != 0 ? fence_to_us_ - fence_from_us_ : 0},
              {"reason", cutover_.state.failure}});
  absl::Duration delay = options_.retry_min;
  while (!stopping()) {
    const absl::Status status = ledger_.Finish(cutover_, steps_, absl::ToUnixMicros(absl::Now()));
    if (status.ok()) {
      break;
    }
    SLUICE_LOG(kError, "cutover result not stored", {{"cutover", plan.id}, {"reason", status}});
    reports_.Pop(absl::Now() + delay);
    delay = std::min(delay * 2, options_.retry_max);
  }
  keep_.reset();
  const absl::MutexLock lock(&mutex_);
  published_ = cutover_.state;
  over_ = true;
}

}  // namespace sluice::cutover
