// BatchSession: carries out the effects of a batch of gates in one session of mysqld.

#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/gate/gate_batch.h"
#include "agent/gate/locked_gates.h"
#include "agent/gate/server_gate.h"
#include "agent/session/session_pool.h"

namespace sluice::gate {

// Keeps other batches of this process from changing the whole server until it is destroyed; nullptr
// when its turn has not come by then.
using TakeServerTurn = std::function<std::shared_ptr<void>(absl::Time until)>;

// Nothing is done for a gate whose lock the session does not hold, but for what the lock is needed
// for least: reading its record. Owned by one thread.
class BatchSession {
 public:
  // `deadlines`: those of the batch's requests, in their order. The batch outlives the session.
  BatchSession(agent::SessionPool& pool, const GateBatch& batch, std::vector<absl::Time> deadlines,
               TakeServerTurn take_server_turn)
      : pool_(pool),
        batch_(batch),
        deadlines_(std::move(deadlines)),
        take_server_turn_(std::move(take_server_turn)),
        took_(deadlines_.size()),
        began_(deadlines_.size(), absl::Now()),
        gates_(pool) {}

  BatchAnswer Run(const JoinedEffect& effect);

  // Those who have ended give their gates back.
  void Release(const std::vector<size_t>& members);

  // From when the member's gate was locked to its last effect of account.
  [[nodiscard]] absl::Duration took(size_t member) const { return took_[member]; }

 private:
  using Members = std::vector<size_t>;

  // The status of an effect that is one for all members. What they are told goes into `answers`.
  absl::Status Dispatch(const JoinedEffect& effect, BatchAnswer& answer);
  absl::Status ReadRecords(const Members& members, BatchAnswer& answer);
  absl::Status Lock(const Members& members, BatchAnswer& answer);
  absl::Status Observe(const Members& members, BatchAnswer& answer);
  absl::Status ObserveServer(const Members& members, BatchAnswer& answer);
  absl::Status LockServer(const JoinedEffect& effect, BatchAnswer& answer);
  void UnlockServer(const Members& members);
  absl::Status WriteJournals(const Members& members, BatchAnswer& answer);
  absl::Status WriteRecords(const Members& members);
  absl::Status WriteMarkers(const Members& members);
  absl::Status ReadPosition(BatchAnswer& answer);
  absl::Status RunStatement(const JoinedEffect& effect, BatchAnswer& answer);

  [[nodiscard]] const GateChange& change(size_t member) const {
    return batch_.state(member).change;
  }
  [[nodiscard]] std::vector<GateId> Ids(const Members& members) const;
  [[nodiscard]] bool HoldsAll(const Members& members) const;
  [[nodiscard]] mysql::Connection& session() { return gates_.session(); }

  agent::SessionPool& pool_;
  const GateBatch& batch_;
  const std::vector<absl::Time> deadlines_;
  const TakeServerTurn take_server_turn_;
  std::vector<absl::Duration> took_;
  std::vector<absl::Time> began_;
  LockedGates gates_;
  std::set<size_t> server_users_;  // members that hold the server's lock
  std::shared_ptr<void> server_turn_;
  std::optional<ServerLock> server_lock_;  // of the gates' session, which outlives it
};

}  // namespace sluice::gate
