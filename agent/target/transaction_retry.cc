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

}  // namespace

bool HasMoved(const absl::Status& failure) {
  return MysqlErrnoOf(failure) == kNoSuchTable;
}

absl::Status RollBackForRetry(StreamStore& store, const absl::Notification& stopping,
                              const absl::Status& failure, int attempt) {
  store.Rollback();
  const unsigned number = MysqlErrnoOf(failure);
  if (attempt >= kAttemptsMax || (number != kLockWaitTimeout && number != kDeadlock)) {
    return failure;
  }
  return stopping.WaitForNotificationWithTimeout(kDelay)
             ? absl::CancelledError("the stream is being stopped")
             : absl::OkStatus();
}

absl::Status PrepareRetry(const RetryContext& context, const absl::Status& failure, int attempt) {
  if (!HasMoved(failure)) {
    return RollBackForRetry(context.store, context.stopping, failure, attempt);
  }
  context.store.Rollback();
  if (attempt >= kAttemptsMax) {
    return failure;
  }
  if (context.stopping.WaitForNotificationWithTimeout(kDelay)) {
    return absl::CancelledError("the stream is being stopped");
  }
  return context.plans.Reload(context.connection);
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
