// Releases: the go-ahead of a person for cutovers that are prepared and wait for it.

#pragma once

#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace sluice::cutover {

// Thread-safe.
class Releases {
 public:
  // OK when the cutover is released, also when it was before. ABORTED at the deadline, CANCELLED
  // when the coordinator is stopping or the wait was ended.
  absl::Status Await(const std::string& cutover_id, absl::Time deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);
  void Release(const std::string& cutover_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends the wait of a cutover that is undone.
  void Cancel(const std::string& cutover_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // Ends all waits, for good.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  std::set<std::string> released_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> cancelled_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::cutover
