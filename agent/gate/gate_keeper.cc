// GateKeeper: opens and closes the gates of this agent's mysqld.

#include "agent/gate/gate_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/marker_name.h"
#include "agent/gate/observe.h"
#include "agent/gate/server_gate.h"
#include "agent/sidecar/journal.h"
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

absl::StatusOr<Observation> Observe(mysql::Connection& session, const GateChange& change,
                                    const GateEffect& effect) {
  Observation observation;
  SLUICE_ASSIGN_OR_RETURN(observation.tables,
                          ObserveTables(session, change.id.database, change.tables));
  if (effect.look_for_cascades) {
    SLUICE_ASSIGN_OR_RETURN(observation.cascades,
                            FindCascades(session, change.id.database, change.tables));
  }
  if (effect.look_at_server) {
    SLUICE_RETURN_IF_ERROR(ReadServerState(session, change.id, observation));
  }
  return observation;
}

absl::Status WriteMarker(mysql::Connection& session, const GateChange& change) {
  return Annotate(
      session
          .Execute(absl::StrCat(
              "INSERT INTO _sluice.marker (marker_id, workflow, created_at) VALUES (",
              mysql::QuoteString(MarkerName(change.marker_id, change.id.database)), ", ",
              mysql::QuoteString(change.id.workflow),
              ", UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE marker_id = marker.marker_id"))
          .status(),
      "writing the marker");
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

// Runs the effects of one request and reports how they ended. Owned by one thread.
class GateKeeper::Runner {
 public:
  Runner(GateKeeper& keeper, absl::Time deadline)
      : keeper_(keeper), pool_(keeper.pool_), deadline_(deadline) {}

  GateEvent Run(const GateChange& change, const GateEffect& effect) {
    GateEvent event;
    event.status = Dispatch(change, effect, event);
    if (!event.status.ok() && gate_.has_value() && !gate_->session().healthy()) {
      event.status = absl::UnavailableError(event.status.message());
    }
    if (effect.kind != GateEffectKind::kTidy) {
      settled_ = absl::Now();
    } else if (!event.status.ok()) {
      SLUICE_LOG(kWarning, "view of a gate is left over",
                 {{"statement", effect.sql}, {"error", event.status}});
    }
    event.left = deadline_ - absl::Now();
    return event;
  }

  [[nodiscard]] absl::Duration took() const { return settled_ - began_; }

 private:
  absl::Status Dispatch(const GateChange& change, const GateEffect& effect, GateEvent& event) {
    switch (effect.kind) {
      case GateEffectKind::kReadRecord: {
        SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool_.Borrow());
        SLUICE_ASSIGN_OR_RETURN(event.row, ReadGateRow(*session, change.id));
        return absl::OkStatus();
      }
      case GateEffectKind::kLock:
        return Lock(change, event);
      case GateEffectKind::kObserve: {
        SLUICE_ASSIGN_OR_RETURN(event.observation, Observe(session(), change, effect));
        return absl::OkStatus();
      }
      case GateEffectKind::kWriteJournal: {
        SLUICE_RETURN_IF_ERROR(sidecar::WriteJournal(session(), change.cutover_id,
                                                     change.id.workflow, change.journal));
        SLUICE_CRASH_POINT("gate.after_journal");
        return absl::OkStatus();
      }
      case GateEffectKind::kWriteIntent:
        SLUICE_RETURN_IF_ERROR(WriteGateRow(session(), change.id, effect.row));
        SLUICE_CRASH_POINT("gate.after_intent");
        return absl::OkStatus();
      case GateEffectKind::kRun:
        return RunStatement(change, effect, event);
      case GateEffectKind::kLockServer:
        return LockServer(change, effect, event);
      case GateEffectKind::kUnlockServer:
        server_.reset();
        server_turn_.reset();
        return absl::OkStatus();
      case GateEffectKind::kVerify: {
        SLUICE_ASSIGN_OR_RETURN(event.observation.server_obstacles, FindOpenXa(session()));
        return absl::OkStatus();
      }
      case GateEffectKind::kWriteMarker:
        return WriteMarker(session(), change);
      case GateEffectKind::kReadPosition: {
        SLUICE_CRASH_POINT("gate.after_marker");
        SLUICE_ASSIGN_OR_RETURN(event.position,
                                session().QueryScalar("SELECT @@GLOBAL.gtid_executed"));
        return absl::OkStatus();
      }
      case GateEffectKind::kWriteOutcome:
        SLUICE_RETURN_IF_ERROR(WriteGateRow(session(), change.id, effect.row));
        SLUICE_CRASH_POINT("gate.after_outcome");
        return absl::OkStatus();
      case GateEffectKind::kTakeBack:
        return WriteGateRow(session(), change.id, effect.row);
      case GateEffectKind::kTidy:
        return session().Execute(effect.sql).status();
    }
    return absl::InternalError("unknown effect of a gate");
  }

  absl::Status Lock(const GateChange& change, GateEvent& event) {
    server_.reset();
    server_turn_.reset();
    gate_.reset();
    reservation_.emplace(keeper_, change.id, deadline_);
    if (!reservation_->held()) {
      return absl::DeadlineExceededError("another request is at work on the gate of " +
                                         change.id.workflow);
    }
    SLUICE_ASSIGN_OR_RETURN(LockedGate gate, LockedGate::Acquire(pool_, change.id, deadline_));
    gate_.emplace(std::move(gate));
    began_ = absl::Now();
    SLUICE_ASSIGN_OR_RETURN(event.row, ReadGateRow(session(), change.id));
    event.connection_id = session().connection_id();
    return absl::OkStatus();
  }

  // Gates of this process take turns; whoever else holds the lock is of another one, and ended.
  absl::Status LockServer(const GateChange& change, const GateEffect& effect, GateEvent& event) {
    const absl::Time began = absl::Now();
    server_.reset();
    server_turn_.emplace(keeper_, ServerTurn(), std::min(deadline_, began + effect.bound));
    if (!server_turn_->held()) {
      return absl::CancelledError("another gate of this mysqld is being changed");
    }
    SLUICE_ASSIGN_OR_RETURN(ServerLock lock, ServerLock::Acquire(session(), deadline_));
    server_.emplace(std::move(lock));
    event.waited = absl::Now() - began;
    SLUICE_RETURN_IF_ERROR(ReadServerState(session(), change.id, event.observation));
    if (effect.look_for_obstacles && !event.observation.read_only) {
      SLUICE_ASSIGN_OR_RETURN(
          event.observation.server_obstacles,
          FindServerObstacles(pool_,
                              {.id = change.id, .tables = change.tables, .beside = change.beside}));
    }
    return absl::OkStatus();
  }

  absl::Status RunStatement(const GateChange& change, const GateEffect& effect, GateEvent& event) {
    BoundedStatement statement{
        .sql = effect.sql,
        .database = change.id.database,
        .names = {},
        .bound = effect.bound,
        .scope = effect.waits_for_writers ? LockScope::kServer : LockScope::kNames,
        .may_work_on = !effect.waits_for_writers};
    for (const std::string& table : change.tables) {
      statement.names.push_back(table);
      statement.names.push_back(ClosedName(table));
    }
    SLUICE_ASSIGN_OR_RETURN(BoundedOutcome outcome, RunBounded(pool_, session(), statement));
    event.blockers = std::move(outcome.blockers);
    if (outcome.status.ok() && effect.last) {
      SLUICE_CRASH_POINT("gate.after_rename");
    }
    return outcome.status;
  }

  [[nodiscard]] mysql::Connection& session() { return gate_->session(); }

  GateKeeper& keeper_;
  agent::SessionPool& pool_;
  const absl::Time deadline_;
  std::optional<Reservation> reservation_;  // outlives the gate
  std::optional<LockedGate> gate_;
  std::optional<Reservation> server_turn_;  // outlives the server's lock
  std::optional<ServerLock> server_;        // of the gate's session
  absl::Time began_ = absl::Now();
  absl::Time settled_ = began_;
};

absl::StatusOr<GateOutcome> GateKeeper::Set(const GateChange& change, absl::Time deadline) {
  Runner runner(*this, deadline);
  GateTransition transition = Begin(change);
  while (transition.effect.has_value()) {
    const GateEvent event = runner.Run(transition.state.change, *transition.effect);
    transition = Step(std::move(transition.state), event);
  }
  if (transition.state.phase == GatePhase::kFailed) {
    return transition.state.failure;
  }
  GateOutcome outcome = std::move(transition.state.outcome);
  outcome.took = runner.took();
  SLUICE_LOG(kInfo, "gate set",
             {{"workflow", change.id.workflow},
              {"database", change.id.database},
              {"state", StateName(outcome.state)},
              {"kind", GateKindName(transition.state.kind)},
              {"epoch", change.epoch},
              {"took", outcome.took}});
  return outcome;
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
