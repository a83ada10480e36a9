// Call: a command put to the coordinator.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/rpc/client.h"
#include "coordinator/cli/command.h"
#include "schemas/admin.capnp.h"

namespace sluice::cli {

// REQUIRES: the command is one for the coordinator.
void FillRequest(const Command& command, schemas::AdminRequest::Builder request);

// How long the command waits for its answer.
absl::Duration TimeoutOf(const Command& command);

// The answer's JSON. Errors are the coordinator's, or say that it does not answer, with its URL and
// what the operator can do.
absl::StatusOr<std::string> Call(rpc::Client& client, const Command& command);

}  // namespace sluice::cli
