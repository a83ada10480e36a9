// LockedGates: one session of mysqld that alone may change several gates.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/gate/gate_record.h"
#include "agent/session/session_pool.h"

namespace sluice::gate {

// Holds a named lock of mysqld for each of its gates, as LockedGate does for one. A session that is
// lost takes all of them with it. Owned by one thread.
class LockedGates {
 public:
  explicit LockedGates(agent::SessionPool& pool) : pool_(pool) {}
  LockedGates(const LockedGates&) = delete;
  LockedGates& operator=(const LockedGates&) = delete;
  ~LockedGates();

  // Takes the gates as LockedGate::Acquire does, those that are held already excepted, in a new
  // session where the last one was lost. One status for each: ABORTED where the session that holds
  // it does not end by the deadline, which takes none of the others away. After a loss only the
  // lost session is ended: whoever else has got a gate meanwhile is newer, and UNAVAILABLE says so.
  std::vector<absl::Status> Take(const std::vector<GateId>& ids, absl::Time deadline);

  // Others may take these from now on. Those that are not held are passed over.
  void Release(const std::vector<GateId>& ids);

  [[nodiscard]] bool Holds(const GateId& id) const;
  // False: there is no session, or it was lost.
  [[nodiscard]] bool alive() const { return session_ != nullptr && (*session_)->healthy(); }
  // REQUIRES: one gate at least was taken.
  [[nodiscard]] mysql::Connection& session() { return **session_; }

 private:
  absl::Status TakeFrom(const GateId& id, const std::string& lock, absl::Time deadline);
  absl::Status TakeAll(const std::vector<GateId>& ids, absl::Time deadline,
                       const std::function<void(size_t, absl::Status)>& tell);

  agent::SessionPool& pool_;
  std::unique_ptr<agent::Session> session_;
  uint64_t lost_ = 0;           // the connection before this one
  std::set<std::string> held_;  // names of locks
};

}  // namespace sluice::gate
