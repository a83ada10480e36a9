// Usage errors and refusals as statuses.

#include "coordinator/cli/failure.h"

namespace sluice::cli {

absl::Status UsageError(absl::string_view message) {
  return absl::InvalidArgumentError(message);
}

absl::Status Refusal(absl::string_view message) {
  return absl::FailedPreconditionError(message);
}

bool IsUsageError(const absl::Status& status) {
  return absl::IsInvalidArgument(status);
}

}  // namespace sluice::cli
