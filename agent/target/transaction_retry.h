// Retrying a transaction of a stream after a deadlock, a lock wait, or a rename of its tables.

#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/synchronization/notification.h"
#include "agent/target/stream_store.h"
#include "agent/target/table_plan.h"
#include "common/mysql/connection.h"

namespace sluice::target {

struct RetryContext {
  mysql::Connection& connection;
  StreamStore& store;
  TablePlans& plans;
  const absl::Notification& stopping;
};

// Rolls back. Returns OK when the transaction may be run again: after a short wait for a deadlock
// or lock wait (1213, 1205). Else, and from the attempts_max-th attempt on, returns the failure;
// CANCELLED when the stream is stopping.
absl::Status RollBackForRetry(StreamStore& store, const absl::Notification& stopping,
                              const absl::Status& failure, int attempt);

// Whether a table has another name now (1146), as when its gate was opened or closed.
bool HasMoved(const absl::Status& failure);

// Rolls back. Returns OK when the transaction may be run again: after a short wait for a deadlock
// or lock wait (1213, 1205), with reloaded plans where a table has another name now (1146). Else,
// and from the attempts_max-th attempt on, returns the failure; CANCELLED when the stream is
// stopping.
absl::Status PrepareRetry(const RetryContext& context, const absl::Status& failure, int attempt);

// Runs `transaction`, which ends in its commit, until it succeeds or PrepareRetry gives up.
absl::Status RunWithRetries(const RetryContext& context,
                            const std::function<absl::Status()>& transaction);

// Whether a stream may go on after this failure by itself, by connecting and reading its state
// anew. All else needs a person.
bool IsTransient(const absl::Status& status);

}  // namespace sluice::target
