// The two ways a command line can be wrong, and how the program ends for each.

#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::cli {

inline constexpr int kExitDone = 0;
inline constexpr int kExitFailed = 1;
inline constexpr int kExitUsage = 2;

// INVALID_ARGUMENT: the line can't be understood.
absl::Status UsageError(absl::string_view message);

// FAILED_PRECONDITION: understood, but the value is not acceptable.
absl::Status Refusal(absl::string_view message);

[[nodiscard]] bool IsUsageError(const absl::Status& status);

}  // namespace sluice::cli
