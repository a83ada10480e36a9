// sd_notify by hand: tells the supervisor that the process is ready or stopping.

#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice {

// Sends `state` ("READY=1", "STATUS=…") to the datagram socket named by $NOTIFY_SOCKET (a path, or
// @name for the abstract namespace). OK and nothing sent when the variable is not set.
absl::Status NotifySupervisor(absl::string_view state);

absl::Status NotifyReady();
absl::Status NotifyStopping();

}  // namespace sluice
