// BackgroundCall: one call at a time in a thread of its own, its result taken later.

#pragma once

#include <functional>
#include <optional>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "common/base/check.h"

namespace sluice::target {

// Start and Take belong to one thread; the call itself runs in another one.
template <typename T>
class BackgroundCall {
 public:
  BackgroundCall() : worker_([this] { Work(); }) {}
  BackgroundCall(const BackgroundCall&) = delete;
  BackgroundCall& operator=(const BackgroundCall&) = delete;
  // Waits for a call that runs; make it end first where it may take long.
  ~BackgroundCall() {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  // REQUIRES: nothing is started.
  void Start(std::function<T()> call) {
    SLUICE_CHECK(!started_);
    started_ = true;
    const absl::MutexLock lock(&mutex_);
    call_ = std::move(call);
  }

  [[nodiscard]] bool started() const { return started_; }

  // Waits for the result. REQUIRES: started().
  T Take() {
    SLUICE_CHECK(started_);
    started_ = false;
    const absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &BackgroundCall::HasResult));
    T result = *std::move(result_);
    result_.reset();
    return result;
  }

 private:
  bool HasResult() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return result_.has_value(); }
  bool HasCallOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return call_ != nullptr || closed_;
  }

  void Work() {
    while (true) {
      std::function<T()> call;
      {
        const absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &BackgroundCall::HasCallOrClosed));
        if (closed_) {
          return;
        }
        call = std::exchange(call_, nullptr);
      }
      T result = call();
      const absl::MutexLock lock(&mutex_);
      result_.emplace(std::move(result));
    }
  }

  bool started_ = false;
  absl::Mutex mutex_;
  std::function<T()> call_ ABSL_GUARDED_BY(mutex_);
  std::optional<T> result_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread worker_;  // last: starts when everything else stands
};

}  // namespace sluice::target
