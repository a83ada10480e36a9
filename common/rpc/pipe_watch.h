// PipeWatch: knows whether a socket is connected, since when it is not, and when it can be closed.

#pragma once

#include <nng/nng.h>

#include <deque>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace sluice::rpc {

// Thread-safe. Must outlive the socket's closing.
class PipeWatch {
 public:
  PipeWatch() = default;
  PipeWatch(const PipeWatch&) = delete;
  PipeWatch& operator=(const PipeWatch&) = delete;

  // To be called before the socket has endpoints.
  absl::Status Attach(nng_socket socket);

  // Waits for a connection: OK, UNAVAILABLE once there has been none for `patience` since the last
  // one was lost (at once if that is past), DEADLINE_EXCEEDED, or CANCELLED after Quiesce.
  absl::Status AwaitConnected(absl::Time deadline, absl::Duration patience)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends waits and refuses new connections. Returns when the socket can be closed: nng 1.5 may hang
  // in nng_close while a connection is being started.
  void Quiesce() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  static void OnEvent(nng_pipe pipe, nng_pipe_ev event, void* self);
  bool Starting(int pipe) ABSL_LOCKS_EXCLUDED(mutex_);  // false: refuse it
  void Added(int pipe) ABSL_LOCKS_EXCLUDED(mutex_);
  void Removed(int pipe) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Settled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return cancelled_ || !pipes_.empty();
  }

  bool NoneStarting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return starting_.empty(); }

  absl::Mutex mutex_;
  absl::flat_hash_set<int> starting_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_set<int> pipes_ ABSL_GUARDED_BY(mutex_);
  // The two events of a short-lived pipe may come in the wrong order.
  std::deque<int> removed_early_ ABSL_GUARDED_BY(mutex_);
  absl::Time down_since_ ABSL_GUARDED_BY(mutex_) = absl::Now();
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::rpc
