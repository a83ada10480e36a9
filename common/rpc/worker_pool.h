// WorkerPool: threads that run posted jobs; more are started while all are busy.

#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sluice::rpc {

// A job never waits while fewer than threads_max jobs run, so a blocking job does not starve
// others. Threads stay until the pool is destroyed. Thread-safe.
class WorkerPool {
 public:
  explicit WorkerPool(int threads_max) : threads_max_(threads_max) {}
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;
  // Runs what was posted, then joins the threads.
  ~WorkerPool();

  // REQUIRES: the pool is not being destroyed.
  void Post(std::function<void()> job) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  bool HasWorkOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !jobs_.empty();
  }

  const int threads_max_;
  absl::Mutex mutex_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  int idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::rpc
