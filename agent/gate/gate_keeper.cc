// GateKeeper: opens and closes the gates of this agent's mysqld.

#include "agent/gate/gate_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/gate/batch_session.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/gate_batch.h"
#include "agent/gate/observe.h"
#include "agent/gate/server_gate.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr absl::Duration kGuardLockWait = absl::Seconds(1);

// Kept by who changes the whole server; no gate has this name.
GateId ServerTurn() {
  return {};
}

}  // namespace

GateKeeper::Reservation::Reservation(GateKeeper& keeper, const GateId& id, absl::Time deadline)
    : keeper_(keeper), key_(id.workflow, id.database) {
  const absl::MutexLock lock(&keeper_.mutex_);
  const auto free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(keeper_.mutex_) {
    return !keeper_.busy_.contains(key_);
  };
  held_ = keeper_.mutex_.AwaitWithDeadline(absl::Condition(&free), deadline);
  if (held_) {
    keeper_.busy_.insert(key_);
  }
}

GateKeeper::Reservation::~Reservation() {
  if (held_) {
    const absl::MutexLock lock(&keeper_.mutex_);
    keeper_.busy_.erase(key_);
  }
}

absl::StatusOr<GateOutcome> GateKeeper::Set(const GateChange& change, absl::Time deadline) {
  const Reservation reservation(*this, change.id, deadline);
  if (!reservation.held()) {
    return absl::DeadlineExceededError("another request is at work on the gate of " +
                                       change.id.workflow);
  }
  GateRequest request{.change = change, .deadline = deadline};
  return queue_.Run(request);
}

absl::StatusOr<GateOutcome> GateKeeper::OutcomeOf(const GateState& state, absl::Duration took,
                                                  size_t joined) {
  if (state.phase == GatePhase::kFailed) {
    return state.failure;
  }
  GateOutcome outcome = state.outcome;
  outcome.took = took;
  SLUICE_LOG(kInfo, "gate set",
             {{"workflow", state.change.id.workflow},
              {"database", state.change.id.database},
              {"state", StateName(outcome.state)},
              {"kind", GateKindName(state.kind)},
              {"epoch", state.change.epoch},
              {"gates", joined},
              {"took", outcome.took}});
  return outcome;
}

void GateKeeper::RunBatch(const std::vector<GateRequest*>& requests) {
  std::vector<GateChange> changes;
  std::vector<absl::Time> deadlines;
  std::vector<size_t> at_work;
  for (const GateRequest* request : requests) {
    at_work.push_back(changes.size());
    changes.push_back(request->change);
    deadlines.push_back(request->deadline);
  }
  GateBatch batch(std::move(changes));
  // Gates of this process take turns; whoever else holds the server's lock is of another one.
  const auto turn = [this](absl::Time until) -> std::shared_ptr<void> {
    auto reservation = std::make_shared<Reservation>(*this, ServerTurn(), until);
    return reservation->held() ? reservation : nullptr;
  };
  BatchSession session(pool_, batch, std::move(deadlines), turn);
  // Each is told as soon as it is over; its gate is free by then.
  const auto tell = [&] {
    const auto over = std::stable_partition(at_work.begin(), at_work.end(),
                                            [&](size_t i) { return !batch.state(i).finished(); });
    const std::vector<size_t> finished(over, at_work.end());
    at_work.erase(over, at_work.end());
    session.Release(finished);
    for (const size_t i : finished) {
      queue_.Deliver(*requests[i], OutcomeOf(batch.state(i), session.took(i), requests.size()));
    }
  };
  tell();
  while (const auto effect = batch.Next()) {
    batch.Answer(*effect, session.Run(*effect));
    tell();
  }
}

absl::StatusOr<GateReading> GateKeeper::Read(const GateId& id,
                                             const std::vector<std::string>& tables,
                                             absl::Time deadline) {
  if (tables.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("gate of ", id.workflow, ": no tables named"));
  }
  return WithGate(id, deadline, [&](GateWork& work) -> absl::StatusOr<GateReading> {
    Observation observation;
    SLUICE_ASSIGN_OR_RETURN(observation.tables,
                            ObserveTables(work.gate.session(), id.database, tables));
    SLUICE_RETURN_IF_ERROR(ReadServerState(work.gate.session(), id, observation));
    GateReading reading = {.state = StateOf(observation, work.row)};
    if (work.row.has_value()) {
      reading.epoch = work.row->epoch;
      reading.kind = work.row->kind;
    }
    if (observation.read_only) {
      reading.kept_by = std::move(observation.kept_by);
    }
    return reading;
  });
}

absl::StatusOr<std::vector<std::string>> GateKeeper::ServerObstacles(const ServerQuestion& asked) {
  return FindServerObstacles(pool_, asked);
}

absl::Status GateKeeper::OpenServer(GateWork& work, const GateId& id, absl::Time deadline) {
  const Reservation turn(*this, ServerTurn(), deadline);
  if (!turn.held()) {
    return absl::AbortedError("another gate of this mysqld is being changed");
  }
  SLUICE_ASSIGN_OR_RETURN(const ServerLock lock,
                          ServerLock::Acquire(work.gate.session(), deadline));
  Observation server;
  SLUICE_RETURN_IF_ERROR(ReadServerState(work.gate.session(), id, server));
  if (!server.kept_by.empty()) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(work.gate.session().Execute(kForgetServer).status());
  SLUICE_CRASH_POINT("server.ending");
  return work.gate.session().Execute(kOpenServer).status();
}

absl::Status GateKeeper::Guard(const GateId& id, absl::Time deadline) {
  return WithGate(id, deadline, [&](GateWork& work) -> absl::Status {
    if (!work.row.has_value() || work.row->state != StateName(State::kClosed)) {
      return absl::OkStatus();
    }
    mysql::Connection& session = work.gate.session();
    SLUICE_ASSIGN_OR_RETURN(const auto names,
                            ObserveTables(session, id.database, work.row->tables));
    for (const std::string& sql : PlanGuards(id.database, names)) {
      const BoundedStatement statement{.sql = sql,
                                       .database = id.database,
                                       .names = work.row->tables,
                                       .bound = std::min(kGuardLockWait, deadline - absl::Now())};
      SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome, RunBounded(pool_, session, statement));
      SLUICE_RETURN_IF_ERROR(Annotate(outcome.status, "guarding the name of a closed table"));
    }
    return absl::OkStatus();
  });
}

}  // namespace sluice::gate
