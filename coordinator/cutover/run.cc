// The loop of one cutover: outcomes in, durable state, effects out.

#include "coordinator/cutover/run.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/check.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/message.h"
#include "coordinator/cutover/crash_points.h"

namespace sluice::cutover {
namespace {

// An effect waits for its server, so each of them gets a thread: those of a mysqld's shards must
// all be at its agent for that to do them together.
constexpr uint32_t kWorkersMax = 1024;
// Who looks on from outside may see an older state; of a cutover of hundreds of shards a copy
// for each event would cost more than the event.
constexpr absl::Duration kPublishEvery = absl::Milliseconds(100);

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

// While a server is away for hours its step is tried every second: of the attempts that fail for
// one reason the timeline has the first, the second, the fourth, the eighth, …
bool IsNews(const State& state, const Effect& effect, const EffectOutcome& outcome) {
  if (outcome.result == Result::kOk || std::has_single_bit(effect.attempt)) {
    return true;
  }
  return std::none_of(state.slots.begin(), state.slots.end(), [&](const Slot& slot) {
    return slot.effect.kind == effect.kind && slot.effect.index == effect.index &&
           WithoutNumbers(slot.message) == WithoutNumbers(outcome.message);
  });
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

Run::Run(Ledger& ledger, Effects& effects, DriverOptions options, StoredCutover cutover,
         const std::vector<Effect>& issued, std::shared_ptr<void> keep)
    : ledger_(ledger),
      effects_(effects),
      options_(options),
      begun_us_(cutover.started_us),
      driver_(std::move(cutover), issued, options, absl::Now()),
      keep_(std::move(keep)) {
  Publish();
  for (uint32_t i = 0; i < WorkersFor(driver_.state().plan); ++i) {
    workers_.emplace_back([this] { Work(); });
  }
  thread_ = std::jthread([this] { Drive(); });
}

Run::~Run() {
  Stop();
}

void Run::Stop() {
  stopping_.store(true);
  reports_.Close();
  jobs_.Close();
  if (thread_.joinable()) {
    thread_.join();
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
  const State& state = driver_.state();
  published_version_ = driver_.version();
  published_phase_ = state.phase;
  published_held_ = WaitsForRelease(state);
  publish_at_ = absl::Now() + kPublishEvery;
  const absl::MutexLock lock(&mutex_);
  published_ = state;
}

// At once where somebody may be waiting for it.
void Run::PublishNews() {
  if (driver_.state().phase != published_phase_ ||
      WaitsForRelease(driver_.state()) != published_held_ ||
      (driver_.version() != published_version_ && absl::Now() >= publish_at_)) {
    Publish();
  }
}

// What the effects need of the state, the same one for all that are begun while that stays as it
// is.
std::shared_ptr<const State> Run::HandOut() {
  const State& now = driver_.state();
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
    report.parts = PartsOf(report.step, report.outcome, begun_us_);
    SLUICE_CRASH_POINT(CrashPointName(kind, Boundary::kDone));
    reports_.Push(std::move(report));
  }
}

void Run::Drive() {
  while (!driver_.state().finished() && !stopping()) {
    Persist();
    Dispatch();
    PublishNews();
    if (!driver_.state().finished()) {
      TakeReports();
    }
  }
  if (driver_.state().finished()) {
    Finish();
  }
  const absl::MutexLock lock(&mutex_);
  stopped_ = !over_;
}

absl::Time Run::NextWake() const {
  const absl::Time wake = driver_.NextWake();
  return driver_.version() == published_version_ ? wake : std::min(wake, publish_at_);
}

// Waits for something to happen and takes all that has.
void Run::TakeReports() {
  std::optional<Report> report = reports_.Pop(NextWake());
  while (report) {
    TakeReport(*std::move(report));
    report = reports_.Pop(absl::InfinitePast());
  }
  driver_.PassDeadline(absl::Now());
}

void Run::TakeReport(Report report) {
  if (!report.abort.empty()) {
    driver_.Take(Event::Abort(std::move(report.abort)), absl::Now());
    return;
  }
  NoteFence(report);
  if (report.outcome.result != Result::kOk) {
    SLUICE_LOG(kWarning, "cutover step failed",
               {{"cutover", driver_.state().plan.id},
                {"step", report.step.name},
                {"shard", report.step.shard},
                {"attempt", report.effect.attempt},
                {"reason", report.outcome.message}});
  }
  if (IsNews(driver_.state(), report.effect, report.outcome)) {
    steps_.push_back(std::move(report.step));
  }
  std::move(report.parts.begin(), report.parts.end(), std::back_inserter(steps_));
  driver_.Take(Event::Outcome(report.effect, report.outcome.result,
                              std::move(report.outcome.message), std::move(report.outcome.value)),
               absl::Now());
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

void Run::Persist() {
  bool again = true;
  while (again && driver_.MustSave()) {
    const absl::Status saved = Save();
    again = !saved.ok() && driver_.NotSaved(saved.message(), absl::Now());
  }
}

absl::Status Run::Save() {
  absl::Status saved = ledger_.Save(driver_.cutover(), steps_);
  {
    const absl::MutexLock lock(&mutex_);
    store_failure_ = driver_.UndoesUnknown() ? std::string(saved.message()) : "";
  }
  if (!saved.ok()) {
    SLUICE_LOG(kError, "cutover state not stored",
               {{"cutover", driver_.state().plan.id}, {"reason", saved}});
    return saved;
  }
  steps_.clear();
  driver_.Saved();
  return saved;
}

void Run::Dispatch() {
  const absl::Time deadline = driver_.EffectsDeadline();
  const Driver::Due due = driver_.TakeDue(absl::Now());
  for (const Effect& effect : due.effects) {
    jobs_.Push({.effect = effect, .state = HandOut(), .deadline = deadline});
  }
  if (due.commit) {
    Commit(*due.commit);
  }
}

// The state after the commit is the commit's record, so that nothing stands between them.
void Run::Commit(const Effect& effect) {
  SLUICE_CRASH_POINT(CrashPointName(EffectKind::kCommit, Boundary::kIntent));
  const absl::Time started = absl::Now();
  const Plan& plan = driver_.state().plan;
  const Transition after = Step(driver_.state(), Event::Outcome(effect, Result::kOk));
  const absl::Status status =
      ledger_.Commit({.state = after.state, .started_us = driver_.cutover().started_us}, steps_);
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
  driver_.Take(Event::Outcome(effect, outcome.result, outcome.message), absl::Now());
  Persist();
  Dispatch();
}

void Run::Finish() {
  const State& state = driver_.state();
  if (state.phase == Phase::kDone && fence_to_us_ != 0) {
    steps_.push_back({.name = "fence",
                      .shard = "",
                      .started_us = fence_from_us_,
                      .took_us = fence_to_us_ - fence_from_us_,
                      .detail = "from the hold to the rules of the new side"});
  }
  SLUICE_LOG(kInfo, "cutover over",
             {{"cutover", state.plan.id},
              {"workflow", state.plan.workflow},
              {"outcome", PhaseName(state.phase)},
              {"fence_us", fence_to_us_ != 0 ? fence_to_us_ - fence_from_us_ : 0},
              {"reason", state.failure}});
  absl::Duration delay = options_.retry_min;
  while (!stopping()) {
    const absl::Status status =
        ledger_.Finish(driver_.cutover(), steps_, absl::ToUnixMicros(absl::Now()));
    if (status.ok()) {
      break;
    }
    SLUICE_LOG(kError, "cutover result not stored",
               {{"cutover", state.plan.id}, {"reason", status}});
    reports_.Pop(absl::Now() + delay);
    delay = std::min(delay * 2, options_.retry_max);
  }
  keep_.reset();
  const absl::MutexLock lock(&mutex_);
  published_ = state;
  over_ = true;
}

}  // namespace sluice::cutover
