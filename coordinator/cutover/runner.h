// Runner: starts cutovers, goes on with those of an earlier coordinator, and ends them together.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/cutover/effects.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/cutover/run.h"

namespace sluice::cutover {

// Thread-safe.
class Runner {
 public:
  Runner(Ledger& ledger, Effects& effects, DriverOptions options = {})
      : ledger_(ledger), effects_(effects), options_(options) {}
  ~Runner() { Stop(); }
  Runner(const Runner&) = delete;
  Runner& operator=(const Runner&) = delete;

  // Stores the cutover and sets it going. `keep` is kept until it has ended. The errors of
  // ValidatePlan and Ledger::Begin: then nothing has happened, and what the store may have kept of
  // it is taken back in the background.
  absl::StatusOr<std::shared_ptr<Run>> Begin(Plan plan, std::shared_ptr<void> keep);
  // Goes on with a cutover that was read back from the store.
  std::shared_ptr<Run> Resume(StoredCutover cutover, std::shared_ptr<void> keep);

  // What a cutover is at, "preparing, waiting for close_gate of commerce/0: …"; empty when it is
  // not under way here.
  [[nodiscard]] std::string Describe(absl::string_view cutover_id) const;

  // The cutover of this workflow that is under way; nullptr when there is none.
  [[nodiscard]] std::shared_ptr<Run> Find(absl::string_view workflow) const;

  // As Run::Stop, of all; none can begin afterwards.
  void Stop();

 private:
  void Adopt(std::shared_ptr<Run> run);

  Ledger& ledger_;
  Effects& effects_;
  const DriverOptions options_;
  mutable absl::Mutex mutex_;
  std::vector<std::shared_ptr<Run>> runs_ ABSL_GUARDED_BY(mutex_);
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::cutover
