// The server as a gate: whether a mysqld is read-only, and whether it can be closed as a whole.

#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/gate/gate_machine.h"
#include "agent/session/session_pool.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// The named lock under which the whole server is closed or opened; it ends with its session.
// Owned by one thread; the session outlives it.
class ServerLock {
 public:
  // Ends the session that holds it for longer than `patience`, and waits until that is gone: where
  // that is zero, the caller makes sure that it is none of this process. ABORTED when it does not
  // end by the deadline.
  static absl::StatusOr<ServerLock> Acquire(mysql::Connection& session, absl::Time deadline,
                                            absl::Duration patience = absl::ZeroDuration());

  ServerLock(ServerLock&& other) noexcept : session_(std::exchange(other.session_, nullptr)) {}
  ServerLock& operator=(ServerLock&&) = delete;
  ~ServerLock();

 private:
  explicit ServerLock(mysql::Connection& session) : session_(&session) {}

  mysql::Connection* session_;  // null after a move
};

// Fills read_only and read_only_persisted, and kept_by with the databases of all gates but `except`
// that keep the server closed.
absl::Status ReadServerState(mysql::Connection& connection, const GateId& except,
                             Observation& observation);
// The same for several gates by one look, one observation each.
absl::Status ReadServerStates(mysql::Connection& connection, const std::vector<GateId>& excepts,
                              const std::vector<Observation*>& observations);

// Whether a mysqld can be closed as a whole for a gate.
struct ServerQuestion {
  GateId id;
  std::vector<std::string> tables;
  std::vector<std::string> beside;  // other databases of the server, whose gates close with it
};

// Why read_only would stop what is not of this gate or those beside it, or would not stop what it
// is to stop; each with what to do about it. Empty: the server can be closed as a whole. Of the
// databases beside it nothing is looked at: that is for the questions of their gates. Accounts of
// localhost that may write to a read-only server are taken for administrators', and trusted. What
// can't be seen is an obstacle too. Looks by a session that begins now: an older one lacks what was
// granted since.
absl::StatusOr<std::vector<std::string>> FindServerObstacles(agent::SessionPool& pool,
                                                             const ServerQuestion& asked);

// XA transactions that have begun: what they wrote is committed whether or not the server is
// read-only. None can begin to write once it is. Names it too when mysqld does not watch them all.
absl::StatusOr<std::vector<std::string>> FindOpenXa(mysql::Connection& connection);

// After a start of the agent, or of a mysqld that takes over as PRIMARY: the record of a gate that
// has closed the server replicates, read_only does not. Closes the server again while any record
// keeps it closed.
absl::Status KeepServerClosed(mysql::Connection& connection);

}  // namespace sluice::gate
