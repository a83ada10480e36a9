// Gate: whether a mysqld, as it is measured now, lets work go on that can wait.

#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/throttle/judge.h"
#include "agent/throttle/sampler.h"

namespace sluice::throttle {

// The subject of a refusal that is to be asked again (schemas/data.capnp).
inline constexpr char kThrottledSubject[] = "throttled";

// Shared by all who wait for the same limits. Thread-safe.
class Gate {
 public:
  // The sampler outlives it.
  Gate(Sampler& sampler, const Limits& limits);
  Gate(const Gate&) = delete;
  Gate& operator=(const Gate&) = delete;

  // Empty: open. Else why it is closed.
  std::string Why() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Mutex mutex_;
  Sampler::Interest interest_;
  Judge judge_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::throttle
