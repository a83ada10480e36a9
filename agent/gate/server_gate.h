// The server as a gate: whether a mysqld is read-only, and whether it can be closed as a whole.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "agent/gate/gate_machine.h"
#include "agent/session/session_pool.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// Fills read_only and read_only_persisted.
absl::Status ReadServerState(mysql::Connection& connection, Observation& observation);

// Why read_only would stop what is not of this gate, or would not stop what it is to stop; each
// with what to do about it. Empty: the server can be closed as a whole. Accounts of localhost that
// may write to a read-only server are taken for administrators', and trusted. What can't be seen is
// an obstacle too. Looks by a session that begins now: an older one lacks what was granted since.
absl::StatusOr<std::vector<std::string>> FindServerObstacles(
    agent::SessionPool& pool, const GateId& id, const std::vector<std::string>& tables);

// XA transactions that have begun: what they wrote is committed whether or not the server is
// read-only. None can begin to write once it is. Names it too when mysqld does not watch them all.
absl::StatusOr<std::vector<std::string>> FindOpenXa(mysql::Connection& connection);

// After a start of the agent, or of a mysqld that takes over as PRIMARY: the record of a gate that
// has closed the server replicates, read_only does not. Closes the server again where it says so.
absl::Status KeepServerClosed(mysql::Connection& connection);

// Lets go of a server that a gate has closed; its configuration says again how it starts.
absl::Status OpenServer(mysql::Connection& connection);

}  // namespace sluice::gate
