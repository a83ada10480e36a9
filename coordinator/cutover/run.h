// Run: one cutover under way: the machine, driven by outcomes and the clock.

#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/base/mailbox.h"
#include "coordinator/cutover/driver.h"
#include "coordinator/cutover/effects.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/cutover/machine.h"

namespace sluice::cutover {

// One thread owns the state; effects run on a few workers and answer into its mailbox. The state is
// durable before effects where MustStore says so. Await and Current are thread-safe.
class Run {
 public:
  // `keep` is kept until the end. `issued`: effects of a cutover whose first state is stored
  // already; of a recovered one they are found by the machine.
  Run(Ledger& ledger, Effects& effects, DriverOptions options, StoredCutover cutover,
      const std::vector<Effect>& issued, std::shared_ptr<void> keep);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;
  ~Run();  // Stop()

  // The final state. DEADLINE_EXCEEDED says what is waited for; CANCELLED when the coordinator
  // stops first: the next one goes on.
  absl::StatusOr<State> Await(absl::Time deadline) const;
  // The state when it is over or waits for a person's go-ahead. Errors as of Await.
  absl::StatusOr<State> AwaitHeld(absl::Time deadline) const;
  // Undoes it, unless it is about to be committed.
  void Abort(std::string why);
  // As it was a moment ago.
  [[nodiscard]] State Current() const;
  // "waiting for …", for people: an effect, or the store.
  [[nodiscard]] std::string WaitsFor() const;
  [[nodiscard]] bool over() const;

  // Leaves the cutover where it is, as a crash would, and joins. Effects under way are waited for:
  // close what they wait on first.
  void Stop();

 private:
  struct Job {
    Effect effect;
    std::shared_ptr<const State> state;
    absl::Time deadline;
  };
  struct Report {
    Effect effect;
    EffectOutcome outcome;
    store::CutoverStep step;
    Steps parts;        // of the step, a proxy each
    std::string abort;  // not empty: not of an effect, but a person's word
  };

  void Drive();
  void Work();
  void TakeReports();
  void TakeReport(Report report);
  void Persist();
  absl::Status Save();
  void Dispatch();
  void Commit(const Effect& effect);
  void Finish();
  [[nodiscard]] std::shared_ptr<const State> HandOut();
  void Publish();
  void PublishNews();
  void NoteFence(const Report& report);
  [[nodiscard]] absl::Time NextWake() const;
  [[nodiscard]] bool stopping() const { return stopping_.load(); }
  [[nodiscard]] bool OverOrStopped() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return over_ || stopped_;
  }
  [[nodiscard]] bool HeldOrOver() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return OverOrStopped() || WaitsForRelease(published_);
  }
  absl::StatusOr<State> Answer() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::string Waits() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  Ledger& ledger_;
  Effects& effects_;
  const DriverOptions options_;
  const int64_t begun_us_;  // since 1970

  // Of the driving thread.
  Driver driver_;
  Steps steps_;  // not stored yet
  int64_t fence_from_us_ = 0;
  int64_t fence_to_us_ = 0;
  std::shared_ptr<void> keep_;
  std::shared_ptr<const State> handed_out_;  // the last of HandOut
  Phase published_phase_ = Phase::kNew;
  bool published_held_ = false;
  uint64_t published_version_ = 0;
  absl::Time publish_at_ = absl::InfinitePast();

  Mailbox<Job> jobs_;
  Mailbox<Report> reports_;
  std::atomic<bool> stopping_ = false;

  mutable absl::Mutex mutex_;
  State published_ ABSL_GUARDED_BY(mutex_);
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  std::string store_failure_ ABSL_GUARDED_BY(mutex_);  // of the last attempt to write to it

  std::vector<std::jthread> workers_;
  std::jthread thread_;
};

}  // namespace sluice::cutover
