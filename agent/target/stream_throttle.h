// StreamThrottle: when the copy of one stream, or its applying, waits.

#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "agent/target/stream_board.h"
#include "agent/throttle/cluster_view.h"
#include "agent/throttle/gate.h"
#include "common/tuning/tuning.h"

namespace sluice::target {

// What an agent's streams share; outlives them.
struct Throttles {
  throttle::Sampler& sampler;  // of the agent's own mysqld
  const throttle::ClusterView& cluster;
};

// Closed by the operator's switch for this stream, by the one for all, by the target's mysqld, or
// by the source, which tells with its answers. While nothing is copied, and applying is not
// throttled, it costs nothing. The board shows the reason for which something waits. Thread-safe.
class StreamThrottle {
 public:
  // Without `shared` only the switch for this stream counts.
  StreamThrottle(const Throttles* shared, StreamBoard& board) : shared_(shared), board_(board) {}
  StreamThrottle(const StreamThrottle&) = delete;
  StreamThrottle& operator=(const StreamThrottle&) = delete;

  // The operator's switch: the reason, or empty.
  void SetByHand(const std::string& reason) ABSL_LOCKS_EXCLUDED(mutex_);

  // From here on the target is measured, and the source's word counts anew.
  void Begin(const stream::Tuning& tuning) ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing waits any more; unless applying is throttled, nothing is measured.
  void EndCopy() ABSL_LOCKS_EXCLUDED(mutex_);
  void End() ABSL_LOCKS_EXCLUDED(mutex_);

  // What the source said last; empty: it is open.
  void HeardFromSource(const std::string& reason) ABSL_LOCKS_EXCLUDED(mutex_);

  // Whether writing copied rows must wait here, whatever the source says. Shows it.
  bool CopyMustWait() ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether a copy must not go on, be it for the source. Shows it.
  bool CopyIsClosed() ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits while applying is throttled: not at all unless the workflow wants it, and no longer than
  // until the stream lags as much as the workflow allows, or somebody waits for a marker.
  void AwaitApply(const absl::Notification& stopping) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  std::string WhyHere() const ABSL_LOCKS_EXCLUDED(mutex_);
  std::string WhyAtAll() const ABSL_LOCKS_EXCLUDED(mutex_);

  const Throttles* const shared_;
  StreamBoard& board_;

  mutable absl::Mutex mutex_;
  std::string by_hand_ ABSL_GUARDED_BY(mutex_);
  std::string source_ ABSL_GUARDED_BY(mutex_);
  std::shared_ptr<throttle::Gate> gate_ ABSL_GUARDED_BY(mutex_);
  bool apply_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Duration apply_lag_max_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::target
