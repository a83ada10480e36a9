// Watch: a workflow's status again and again until its copy is done.

#pragma once

#include "absl/status/status.h"
#include "common/rpc/client.h"
#include "coordinator/cli/command.h"
#include "coordinator/cli/run.h"

namespace sluice::cli {

// On a terminal the status is redrawn in its place; elsewhere a line is written for each look (with
// --format json the whole document), and the status at the end. A coordinator that is away for a
// while is waited for. FAILED_PRECONDITION when the copy does not go on: a stream failed, or all
// are stopped.
absl::Status Watch(rpc::Client& client, const Command& command, const Environment& environment);

}  // namespace sluice::cli
