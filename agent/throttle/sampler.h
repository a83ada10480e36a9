// Sampler: looks at the agent's mysqld for those who throttle by it.

#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/throttle/judge.h"
#include "agent/throttle/measure.h"
#include "common/mysql/connection.h"

namespace sluice::throttle {

struct SamplerOptions {
  mysql::ConnectionOptions connection;  // to the agent's own mysqld
  std::function<Reading()> lag;         // of this mysqld's replicas, or its own; must not block
  absl::Duration period = absl::Milliseconds(250);
};

// Measures only while somebody is interested, and only what they have limits for, on a thread and a
// session of its own whose calls have time-outs. A sample that does not come grows old, which those
// who judge it see. Thread-safe.
class Sampler {
 public:
  explicit Sampler(SamplerOptions options);
  Sampler(const Sampler&) = delete;
  Sampler& operator=(const Sampler&) = delete;
  ~Sampler();  // Stop()

  // As long as it lives, what `limits` name is measured. The sampler outlives it.
  class Interest {
   public:
    Interest(Sampler& sampler, const Limits& limits);
    Interest(const Interest&) = delete;
    Interest& operator=(const Interest&) = delete;
    ~Interest();

    // The newest sample since this began; of the infinite past when there is none yet.
    [[nodiscard]] Sample Newest() const;

   private:
    Sampler& sampler_;
    const Limits limits_;
    const absl::Time since_;
  };

  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Wanted {
    bool lag = false;
    bool threads = false;
    bool disk = false;
    std::set<std::string> queries;
  };
  struct Measured {
    Sample sample;  // without a query
    std::map<std::string, Reading> queries;
  };

  void Run();
  Measured Measure(const Wanted& wanted);
  absl::Status Connect();
  void Disconnect() ABSL_LOCKS_EXCLUDED(mutex_);
  Wanted WantedNow() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const SamplerOptions options_;
  DiskMeter disk_;  // of the thread

  mutable absl::Mutex mutex_;
  std::set<const Limits*> interests_ ABSL_GUARDED_BY(mutex_);
  Measured newest_ ABSL_GUARDED_BY(mutex_);
  bool changed_ ABSL_GUARDED_BY(mutex_) = false;  // somebody's interest is new
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  // Changed by the thread only; the lock is for those who interrupt it.
  std::unique_ptr<mysql::Connection> connection_ ABSL_GUARDED_BY(mutex_);

  std::jthread thread_;  // last: starts when everything else stands
};

}  // namespace sluice::throttle
