// Which failures are worth another attempt.

#include "agent/target/transaction_retry.h"

#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

constexpr unsigned kLockWaitTimeout = 1205;
constexpr unsigned kDeadlock = 1213;
constexpr unsigned kNoSuchTable = 1146;
constexpr unsigned kOptionPreventsStatement = 1290;
constexpr unsigned kReadOnlyTransaction = 1792;
constexpr unsigned kReadOnlyMode = 1836;
constexpr int kAttemptsMax = 20;
constexpr absl::Duration kDelay = absl::Milliseconds(50);

bool IsLockConflict(const absl::Status& failure) {
  const unsigned number = MysqlErrnoOf(failure);
  return number == kLockWaitTimeout || number == kDeadlock;
}

// Rolls back, then waits for the next attempt where the failure is worth one.
absl::Status RollBackAndWait(StreamStore& store, const absl::Notification& stopping,
                             const absl::Status& failure, int attempt, bool worth_another) {
  store.Rollback();
  if (attempt >= kAttemptsMax || !worth_another) {
    return failure;
  }
  return stopping.WaitForNotificationWithTimeout(kDelay)
             ? absl::CancelledError("the stream is being stopped")
             : absl::OkStatus();
}

}  // namespace

bool HasMoved(const absl::Status& failure) {
  return MysqlErrnoOf(failure) == kNoSuchTable;
}

absl::Status RollBackForRetry(StreamStore& store, const absl::Notification& stopping,
                              const absl::Status& failure, int attempt) {
  return RollBackAndWait(store, stopping, failure, attempt, IsLockConflict(failure));
}

absl::Status PrepareRetry(const RetryContext& context, const absl::Status& failure, int attempt) {
  const bool moved = HasMoved(failure);
  SLUICE_RETURN_IF_ERROR(RollBackAndWait(context.store, context.stopping, failure, attempt,
                                         moved || IsLockConflict(failure)));
  return moved ? context.plans.Reload(context.connection) : absl::OkStatus();
}

absl::Status RunWithRetries(const RetryContext& context,
                            const std::function<absl::Status()>& transaction) {
  for (int attempt = 1;; ++attempt) {
    absl::Status status = transaction();
    if (status.ok()) {
      return status;
    }
    SLUICE_RETURN_IF_ERROR(PrepareRetry(context, status, attempt));
  }
}

bool IsTransient(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kNotFound:    // a session that the source has ended
    case absl::StatusCode::kOutOfRange:  // a batch number that it does not keep
      return true;
    default:
      break;
  }
  const unsigned number = MysqlErrnoOf(status);
  return number == kOptionPreventsStatement || number == kReadOnlyTransaction ||
         number == kReadOnlyMode;
}

}  // namespace sluice::target
