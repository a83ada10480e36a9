// LockedGate: one session of mysqld that alone may change a gate, and the sessions that help it.

#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/gate/gate_row.h"
#include "agent/session/session_pool.h"

namespace sluice::gate {

// A named lock of mysqld that an earlier process or attempt may hold.
struct NamedLock {
  std::string sql;                                 // an expression for its name
  std::string what;                                // it is of, for people
  absl::Duration patience = absl::ZeroDuration();  // before its holder is ended
};

// Gets the lock, by ending the session that holds it. ABORTED when that does not end by the
// deadline.
absl::Status TakeNamedLock(mysql::Connection& connection, const NamedLock& lock,
                           absl::Time deadline);

// A further session for work on a locked gate. It holds a named lock of its own, so that who gets
// the gate next finds and ends it as well. Owned by one thread; may be destroyed after its gate.
class GateHelper {
 public:
  GateHelper(GateHelper&&) noexcept = default;
  GateHelper& operator=(GateHelper&&) = delete;
  ~GateHelper();

  [[nodiscard]] mysql::Connection& session() { return **session_; }

 private:
  friend class LockedGate;
  GateHelper(agent::Session session, std::string lock)
      : session_(std::make_unique<agent::Session>(std::move(session))), lock_(std::move(lock)) {}

  std::unique_ptr<agent::Session> session_;  // null after a move
  std::string lock_;
};

// Holds a named lock of mysqld for the gate, which ends with the session. So whoever gets it knows
// that no statement of an earlier attempt, of this process or of one that died or hangs, can still
// take effect. Unlike a recorded connection id it is right after a restart of mysqld too.
// Owned by one thread.
class LockedGate {
 public:
  // Ends the session that holds the gate and its helpers, if any, and waits until they are gone.
  // The caller makes sure that this process itself is not at work on the gate. ABORTED when the
  // session does not end by the deadline.
  static absl::StatusOr<LockedGate> Acquire(agent::SessionPool& pool, const GateId& id,
                                            absl::Time deadline);

  LockedGate(LockedGate&&) noexcept = default;
  LockedGate& operator=(LockedGate&&) = delete;
  ~LockedGate();

  [[nodiscard]] mysql::Connection& session() { return **session_; }

  // Each `number` below kHelpersMax is one helper at a time. UNAVAILABLE when the gate is not this
  // one's any more: somebody has ended its session.
  static constexpr size_t kHelpersMax = 7;
  absl::StatusOr<GateHelper> Help(agent::SessionPool& pool, size_t number);

 private:
  LockedGate(agent::Session session, std::string lock)
      : session_(std::make_unique<agent::Session>(std::move(session))), lock_(std::move(lock)) {}

  std::unique_ptr<agent::Session> session_;  // null after a move
  std::string lock_;
};

}  // namespace sluice::gate
