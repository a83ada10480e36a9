// Values of flags: durations, lists, tablet types, booleans, workflow names. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/routing/target.h"

namespace sluice::cli {

// "30s", "500ms", "1m30s". A usage error when it is no duration; refused below `min` or above a
// day. `flag` is named in the message.
absl::StatusOr<absl::Duration> ParseDurationFlag(absl::string_view flag, absl::string_view text,
                                                 absl::Duration min);

// A whole number from 1 to `max`. A usage error when it is no number; refused out of bounds.
absl::StatusOr<uint32_t> ParseNumberFlag(absl::string_view flag, absl::string_view text,
                                         uint32_t max);

// "a, b,c" without the blanks and the empty ones.
std::vector<std::string> ParseList(absl::string_view text);

// "replica,rdonly", also behind "in_order:". Refused, naming it, when a type is unknown.
absl::StatusOr<std::vector<routing::TabletType>> ParseTabletTypes(absl::string_view text);

// As after "=": true, false, 1, 0, t, f, without regard to case.
std::optional<bool> ParseBool(absl::string_view text);

// "customer.move" in its two parts, cut at the first dot; nullopt unless both are there.
struct WorkflowName {
  std::string keyspace;
  std::string workflow;
};
std::optional<WorkflowName> SplitWorkflow(absl::string_view text);

}  // namespace sluice::cli
