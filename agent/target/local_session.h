// ConnectLocal: a session of a stream on the agent's own mysqld.

#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// Set up to write rows exactly, with short waits for locks: a stream would rather try again than
// stand in the way of a gate.
absl::StatusOr<std::unique_ptr<mysql::Connection>> ConnectLocal(
    const mysql::ConnectionOptions& options);

}  // namespace sluice::target
