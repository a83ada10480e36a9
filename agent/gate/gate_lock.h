// The named locks of gates: how they are called, and how they are taken from who holds them.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/gate/gate_record.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// SQL expressions for the names of a gate's lock and of those of its helpers.
std::string GateLockName(const GateId& id);
std::string HelperLockName(const std::string& lock, size_t number);

// Waits up to `seconds` for the lock.
absl::StatusOr<bool> TryLock(mysql::Connection& connection, const std::string& lock,
                             double seconds);

// Which of the locks are free, which it takes, without waiting.
absl::StatusOr<std::vector<bool>> TryLocks(mysql::Connection& connection,
                                           const std::vector<std::string>& locks);

// A named lock of mysqld that an earlier process or attempt may hold.
struct NamedLock {
  std::string sql;                                 // an expression for its name
  std::string what;                                // it is of, for people
  absl::Duration patience = absl::ZeroDuration();  // before its holder is ended
};

// Of a gate, for people.
std::string LockedBy(const GateId& id);

// Gets the lock, by ending the session that holds it. ABORTED when that does not end by the
// deadline.
absl::Status TakeNamedLock(mysql::Connection& connection, const NamedLock& lock,
                           absl::Time deadline);

absl::Status ReleaseLocks(mysql::Connection& connection, const std::vector<std::string>& locks);

// Ends the helpers of the gates, whose locks the session holds. Once a gate is locked no new helper
// of an earlier attempt begins: each takes its own lock first and then looks whose the gate is.
absl::Status EndHelpers(mysql::Connection& connection, const std::vector<GateId>& ids,
                        absl::Time deadline);

}  // namespace sluice::gate
