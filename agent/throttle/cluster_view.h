// ClusterView: what throttles need to know from the coordinator.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/throttle/judge.h"
#include "schemas/control.capnp.h"

namespace sluice::throttle {

// How this agent's own mysqld stands in its shards.
struct OwnRole {
  bool known = false;  // it was looked at
  bool primary = false;
  int64_t lag_ms = -1;  // of a replica; -1 unknown
};

// Kept up to date by each of the coordinator's answers to this agent's reports. Thread-safe.
class ClusterView {
 public:
  // One view for each of the agent's tablets. A replica copies the whole mysqld, so that one which
  // is behind in a shard is behind by what all of them write: the worst counts for all.
  void Told(const std::vector<schemas::ClusterView::Reader>& views, absl::Time now)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Why no workflow at all may copy: the operator's switch, or that it is not known yet how that
  // stands. A coordinator that falls silent leaves it as it was.
  [[nodiscard]] std::string WhyNone() const ABSL_LOCKS_EXCLUDED(mutex_);

  // How far replicas are behind: this mysqld where it is one, else the last one of its shards; 0
  // when they have none. Without a value when one of them can't be measured, or the coordinator,
  // who knows them, is silent.
  [[nodiscard]] Reading Lag(const OwnRole& own, absl::Time now) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct State {
    std::string throttled;
    int64_t lag_ms = 0;
    std::string replica;
    std::string problem;
    absl::Time at;
  };
  mutable absl::Mutex mutex_;
  std::optional<State> state_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::throttle
