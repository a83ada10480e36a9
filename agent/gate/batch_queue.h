// BatchQueue: requests to change gates, of which those that come while others are at work are done
// together.

#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/gate/gate_machine.h"

namespace sluice::gate {

// Lives on the stack of the thread that asks.
struct GateRequest {
  GateChange change;
  absl::Time deadline;

  // The queue's.
  bool begun = false;
  std::optional<absl::StatusOr<GateOutcome>> result = std::nullopt;
};

// Nobody waits for company: who finds his workflow idle begins at once, alone, on his own thread.
// What has come when he is done is one batch, on the thread of one of them. Workflows do not wait
// for each other. Thread-safe.
class BatchQueue {
 public:
  // Calls Deliver for each of the requests before it returns.
  using Work = std::function<void(const std::vector<GateRequest*>& batch)>;

  // Tables of one batch, unless a single gate has more: those who wait behind its statement wait
  // for all of them.
  static constexpr size_t kTablesMax = 256;

  explicit BatchQueue(Work work) : work_(std::move(work)) {}
  BatchQueue(const BatchQueue&) = delete;
  BatchQueue& operator=(const BatchQueue&) = delete;

  // REQUIRES: no other request of the same gate is in the queue. DEADLINE_EXCEEDED when its time is
  // up before it is begun.
  absl::StatusOr<GateOutcome> Run(GateRequest& request) ABSL_LOCKS_EXCLUDED(mutex_);

  // Its thread returns with it at once, while the batch goes on.
  void Deliver(GateRequest& request, absl::StatusOr<GateOutcome> result)
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Requests of the workflow that are not begun.
  [[nodiscard]] size_t Waiting(const std::string& workflow) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Lane {
    bool at_work = false;
    std::deque<GateRequest*> waiting;
  };

  std::vector<GateRequest*> Take(Lane& lane, GateRequest& own)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Work work_;
  absl::Mutex mutex_;
  std::map<std::string, Lane> lanes_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::gate
