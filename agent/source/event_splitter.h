// NextEvent: cuts a run of binlog events into single ones. Pure.

#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::source {

// The first event of `events`, which hold whole events without checksum one after the other.
// INVALID_ARGUMENT when its header or body is cut off.
absl::StatusOr<absl::string_view> NextEvent(absl::string_view events);

}  // namespace sluice::source
