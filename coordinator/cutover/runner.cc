// Keeping track of the runs.

#include "coordinator/cutover/runner.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::cutover {

absl::StatusOr<std::shared_ptr<Run>> Runner::Begin(Plan plan, std::shared_ptr<void> keep) {
  SLUICE_RETURN_IF_ERROR(ValidatePlan(plan));
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) {
      return absl::CancelledError("the coordinator is stopping");
    }
  }
  State state;
  state.plan = std::move(plan);
  Transition begun = Step(std::move(state), Event::Begin());
  StoredCutover cutover = {.state = std::move(begun.state),
                           .started_us = absl::ToUnixMicros(absl::Now())};
  if (const absl::Status status = ledger_.Begin(cutover); !status.ok()) {
    // What the store may have kept must not stand there with nobody to end it.
    if (!absl::IsFailedPrecondition(status)) {
      Resume(std::move(cutover), std::move(keep));
    }
    return status;
  }
  auto run = std::make_shared<Run>(ledger_, effects_, options_, std::move(cutover),
                                   std::move(begun.effects), std::move(keep));
  Adopt(run);
  return run;
}

std::shared_ptr<Run> Runner::Resume(StoredCutover cutover, std::shared_ptr<void> keep) {
  auto run = std::make_shared<Run>(ledger_, effects_, options_, std::move(cutover),
                                   std::vector<Effect>(), std::move(keep));
  Adopt(run);
  return run;
}

void Runner::Adopt(std::shared_ptr<Run> run) {
  std::vector<std::shared_ptr<Run>> over;
  {
    const absl::MutexLock lock(&mutex_);
    if (stopped_) {
      over.push_back(std::move(run));
    } else {
      for (std::shared_ptr<Run>& each : runs_) {
        if (each->over()) {
          over.push_back(std::move(each));
        }
      }
      std::erase(runs_, nullptr);
      runs_.push_back(std::move(run));
    }
  }
  for (const std::shared_ptr<Run>& each : over) {
    each->Stop();
  }
}

std::string Runner::Describe(absl::string_view cutover_id) const {
  std::vector<std::shared_ptr<Run>> runs;
  {
    const absl::MutexLock lock(&mutex_);
    runs = runs_;
  }
  for (const std::shared_ptr<Run>& run : runs) {
    const State state = run->Current();
    if (state.plan.id == cutover_id && !run->over()) {
      return absl::StrCat(PhaseName(state.phase), ", ", run->WaitsFor());
    }
  }
  return {};
}

std::shared_ptr<Run> Runner::Find(absl::string_view workflow) const {
  const absl::MutexLock lock(&mutex_);
  for (const std::shared_ptr<Run>& run : runs_) {
    if (!run->over() && run->Current().plan.workflow == workflow) {
      return run;
    }
  }
  return nullptr;
}

void Runner::Stop() {
  std::vector<std::shared_ptr<Run>> runs;
  {
    const absl::MutexLock lock(&mutex_);
    stopped_ = true;
    runs.swap(runs_);
  }
  for (const std::shared_ptr<Run>& run : runs) {
    run->Stop();
  }
}

}  // namespace sluice::cutover
