// WorkerPool: a bounded queue before a fixed number of threads.

#include "common/rpc/worker_pool.h"

#include <utility>

namespace sluice::rpc {

WorkerPool::~WorkerPool() {
  std::vector<std::jthread> threads;
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
    threads.swap(threads_);
  }
}

void WorkerPool::Post(std::function<void()> job) {
  const absl::MutexLock lock(&mutex_);
  jobs_.push_back(std::move(job));
  // An idle thread that was woken but has not taken its job yet still counts as idle.
  if (jobs_.size() > static_cast<size_t>(idle_) &&
      threads_.size() < static_cast<size_t>(threads_max_)) {
    threads_.emplace_back([this] { Run(); });
  }
}

void WorkerPool::Run() {
  while (true) {
    std::function<void()> job;
    {
      const absl::MutexLock lock(&mutex_);
      ++idle_;
      mutex_.Await(absl::Condition(this, &WorkerPool::HasWorkOrClosed));
      --idle_;
      if (jobs_.empty()) {
        return;
      }
      job = std::move(jobs_.front());
      jobs_.pop_front();
    }
    job();
  }
}

}  // namespace sluice::rpc
