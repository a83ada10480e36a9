// GateKeeper: opens and closes the gates of this agent's mysqld.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/gate/batch_queue.h"
#include "agent/gate/gate_machine.h"
#include "agent/gate/gate_row.h"
#include "agent/gate/locked_gate.h"
#include "agent/gate/planner.h"
#include "agent/gate/server_gate.h"
#include "agent/session/session_pool.h"

namespace sluice::gate {

struct GateReading {
  State state = State::kMixed;
  uint64_t epoch = 0;  // 0: never recorded
  GateKind kind = GateKind::kTables;
  std::vector<std::string> kept_by = {};  // as of GateOutcome
};

// What runs on a locked gate; `row` is the record as it stood when the lock was got.
struct GateWork {
  LockedGate& gate;
  std::optional<GateRow> row;
};

// One change at a time per gate: within the process by waiting, against other or former processes
// by ending their session. It runs the effects of the gates' machines, which decide; changes of
// several gates of a workflow that come while others are at work are one batch. Thread-safe.
class GateKeeper {
 public:
  explicit GateKeeper(agent::SessionPool& pool)
      : pool_(pool),
        queue_([this](const std::vector<GateRequest*>& requests) { RunBatch(requests); }) {}
  GateKeeper(const GateKeeper&) = delete;
  GateKeeper& operator=(const GateKeeper&) = delete;

  // Brings the gate to a state, as gate_machine.h decides; repeatable. FAILED_PRECONDITION for an
  // older epoch than recorded (both named), names in the way, a cascade that reaches behind the
  // gate, or a server that can't be closed as a whole; NOT_FOUND for a missing table; ABORTED when
  // the locks were not granted within lock_wait (blockers named; nothing changed); UNAVAILABLE when
  // mysqld was lost (the outcome is then unknown: repeat or Read).
  absl::StatusOr<GateOutcome> Set(const GateChange& change, absl::Time deadline);

  // Puts up the guards of PlanGuards if the gate is closed; repeatable.
  absl::Status Guard(const GateId& id, absl::Time deadline);

  // Why FindServerObstacles would refuse to close this mysqld.
  absl::StatusOr<std::vector<std::string>> ServerObstacles(const ServerQuestion& asked);

  // For a gate whose record does not keep the server closed any more: opens it unless other gates
  // keep it closed.
  absl::Status OpenServer(GateWork& work, const GateId& id, absl::Time deadline);

  // What the names say now, after any unfinished change of the gate has been ended or awaited.
  absl::StatusOr<GateReading> Read(const GateId& id, const std::vector<std::string>& tables,
                                   absl::Time deadline);

  // Runs `work` alone on the gate. DEADLINE_EXCEEDED when another request keeps it busy.
  template <typename Work>
  auto WithGate(const GateId& id, absl::Time deadline, Work work)
      -> decltype(work(std::declval<GateWork&>())) {
    const Reservation reservation(*this, id, deadline);
    if (!reservation.held()) {
      return absl::DeadlineExceededError("another request is at work on the gate of " +
                                         id.workflow);
    }
    auto gate = LockedGate::Acquire(pool_, id, deadline);
    if (!gate.ok()) {
      return gate.status();
    }
    auto row = ReadGateRow(gate->session(), id);
    if (!row.ok()) {
      return row.status();
    }
    GateWork locked{.gate = *gate, .row = *std::move(row)};
    return work(locked);
  }

  [[nodiscard]] agent::SessionPool& pool() const { return pool_; }

 private:
  // Keeps other threads of this process away from a gate.
  class Reservation {
   public:
    Reservation(GateKeeper& keeper, const GateId& id, absl::Time deadline);
    Reservation(const Reservation&) = delete;
    Reservation& operator=(const Reservation&) = delete;
    ~Reservation();
    [[nodiscard]] bool held() const { return held_; }

   private:
    GateKeeper& keeper_;
    std::pair<std::string, std::string> key_;
    bool held_ = false;
  };

  // Of a request that has ended, one of `joined`.
  static absl::StatusOr<GateOutcome> OutcomeOf(const GateState& state, absl::Duration took,
                                               size_t joined);
  void RunBatch(const std::vector<GateRequest*>& requests);

  agent::SessionPool& pool_;
  BatchQueue queue_;
  absl::Mutex mutex_;
  std::set<std::pair<std::string, std::string>> busy_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::gate
