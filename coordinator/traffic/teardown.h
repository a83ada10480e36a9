// Teardown: the decided end of a workflow (complete or cancel), carried out to the last step.

#pragma once

#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/cutover/codec.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/plans.h"

namespace sluice::traffic {

struct TeardownOptions {
  absl::Duration retry_min = absl::Milliseconds(50);
  absl::Duration retry_max = absl::Seconds(2);
};

// Makes the decision durable: the phase of both records and what is to be done, in one transaction.
// From then on it only goes forward. FAILED_PRECONDITION when another command's state stands there.
absl::Status DecideTeardown(store::Store& store, const cutover::Records& records,
                            const cutover::StoredTeardown& teardown);

// What becomes of the tables of the side that is given up.
workflow::DropMode ModeOf(const cutover::StoredTeardown& teardown);

// One thread runs the steps in order, each until it succeeds; each can be repeated from the start
// by a new coordinator. Tables are dropped only on proof that the other side serves. Await is
// thread-safe.
class Teardown {
 public:
  // `exclusion` is kept until the end.
  Teardown(const Dependencies& parts, cutover::Records records, cutover::StoredTeardown teardown,
           Exclusion exclusion, TeardownOptions options = {});
  Teardown(const Teardown&) = delete;
  Teardown& operator=(const Teardown&) = delete;
  ~Teardown();  // Stop()

  // OK when nothing is left of the workflow. An error that waiting does not cure comes back at
  // once, DEADLINE_EXCEEDED says what it is at; it goes on in either case. CANCELLED when the
  // coordinator stops first.
  absl::Status Await(absl::Time deadline) const;
  [[nodiscard]] bool over() const;
  // Whether it is that workflow's and ends it just so, whatever the epoch.
  [[nodiscard]] bool IsOf(absl::string_view workflow, cutover::StoredTeardown teardown) const;
  // Leaves the rest to the next coordinator and joins. Close the agents first.
  void Stop();

 private:
  struct Step {
    const char* crash_point;
    absl::Status (Teardown::*run)();
  };

  void Drive();
  bool RunStep(const Step& step);
  void Note(const Step& step, const absl::Status& status);
  bool Pause(absl::Duration delay);
  [[nodiscard]] std::vector<Step> Steps() const;

  absl::Status DeleteReverseStreams();
  absl::Status DeleteForwardStreams();
  absl::Status DeleteAllStreams();
  absl::Status DropTables();
  absl::Status ReleaseGates();
  absl::Status EndGates(const std::vector<cutover::Side>& sides, workflow::DropMode mode);
  absl::Status NoteServingTables();
  absl::Status RemoveRules();
  absl::Status Forget();
  absl::Status ForgetPartial();
  absl::Status ForgetRecords(store::StoreTransaction& transaction) const;
  absl::Status DeleteStreams(const std::string& workflow, const std::vector<cutover::Side>& sides);

  [[nodiscard]] bool completing() const {
    return teardown_.kind == cutover::TeardownKind::kComplete;
  }
  [[nodiscard]] bool partial() const { return workflow::IsPartial(records_.original); }
  // The side that serves, and the one whose tables go.
  [[nodiscard]] const std::vector<cutover::Side>& serving() const {
    return completing() ? direction_.to : direction_.from;
  }
  [[nodiscard]] const std::vector<cutover::Side>& leaving() const {
    return completing() ? direction_.from : direction_.to;
  }
  [[nodiscard]] bool Settled() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return over_ || stopped_ || !failure_.ok();
  }

  const Dependencies& parts_;
  const cutover::Records records_;
  const cutover::StoredTeardown teardown_;
  const TeardownOptions options_;
  const Direction direction_;
  const std::string key_;
  Exclusion exclusion_;  // of the driving thread

  mutable absl::Mutex mutex_;
  std::string at_ ABSL_GUARDED_BY(mutex_);
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // the last one that waiting does not cure
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool over_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread driver_;
};

}  // namespace sluice::traffic
