// GateKeeper: opens and closes the gates of this agent's mysqld.

#include "agent/gate/gate_keeper.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/marker_name.h"
#include "agent/gate/observe.h"
#include "agent/sidecar/journal.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr int kLostSessionTries = 2;

// One request's way through a locked gate. Owned by one thread.
class Transition {
 public:
  Transition(agent::SessionPool& pool, GateWork& work, const GateChange& change)
      : pool_(pool), work_(work), change_(change), session_(work.gate.session()) {}

  absl::StatusOr<GateOutcome> Run(absl::Time deadline) {
    const absl::Time began = absl::Now();
    SLUICE_RETURN_IF_ERROR(
        CheckEpoch(change_.id, work_.row, change_.epoch, StateName(change_.wanted)));
    SLUICE_ASSIGN_OR_RETURN(const auto names,
                            ObserveTables(session_, change_.id.database, change_.tables));
    SLUICE_ASSIGN_OR_RETURN(const Plan plan, PlanGate(change_.id.database, names, change_.wanted));
    if (!change_.cutover_id.empty()) {
      SLUICE_RETURN_IF_ERROR(sidecar::WriteJournal(session_, change_.cutover_id,
                                                   change_.id.workflow, change_.journal));
      SLUICE_CRASH_POINT("gate.after_journal");
    }
    if (!plan.empty()) {
      // From here on every older request is refused, whatever becomes of this one.
      SLUICE_RETURN_IF_ERROR(Record(kChanging, session_.connection_id()));
      SLUICE_CRASH_POINT("gate.after_intent");
      SLUICE_RETURN_IF_ERROR(Carry(plan, deadline));
    }
    SLUICE_ASSIGN_OR_RETURN(GateOutcome outcome, Settle());
    outcome.took = absl::Now() - began;
    for (const std::string& statement : plan.after) {
      // The gate stands; a view that is left over is dropped by the next change.
      if (const auto dropped = session_.Execute(statement); !dropped.ok()) {
        SLUICE_LOG(kWarning, "view of a gate is left over",
                   {{"statement", statement}, {"error", dropped.status()}});
      }
    }
    return outcome;
  }

 private:
  absl::Status Record(absl::string_view state, uint64_t connection_id) {
    return WriteGateRow(session_, change_.id,
                        {.state = std::string(state),
                         .wanted = std::string(StateName(change_.wanted)),
                         .epoch = change_.epoch,
                         .connection_id = connection_id,
                         .tables = change_.tables});
  }

  absl::Status Carry(const Plan& plan, absl::Time deadline) {
    const absl::Duration bound = std::min(change_.lock_wait, deadline - absl::Now());
    BoundedStatement statement{
        .sql = {}, .database = change_.id.database, .names = {}, .bound = bound};
    for (const std::string& table : change_.tables) {
      statement.names.push_back(table);
      statement.names.push_back(ClosedName(table));
    }
    std::vector<std::string> steps = plan.before;
    if (!plan.rename.empty()) {
      steps.push_back(plan.rename);
    }
    for (std::string& step : steps) {
      statement.sql = std::move(step);
      SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome, RunBounded(pool_, session_, statement));
      if (!outcome.status.ok()) {
        SLUICE_RETURN_IF_ERROR(AfterFailure(outcome, bound));
      }
    }
    SLUICE_CRASH_POINT("gate.after_rename");
    return absl::OkStatus();
  }

  // OK when the statement took effect in spite of its error: the names tell.
  absl::Status AfterFailure(const BoundedOutcome& outcome, absl::Duration bound) {
    if (!session_.healthy()) {
      return outcome.status;
    }
    SLUICE_ASSIGN_OR_RETURN(const auto names,
                            ObserveTables(session_, change_.id.database, change_.tables));
    const State state = StateOf(names);
    if (state == change_.wanted) {
      return absl::OkStatus();
    }
    SLUICE_RETURN_IF_ERROR(Record(StateName(state), 0));
    if (!absl::IsCancelled(outcome.status) && !absl::IsAborted(outcome.status)) {
      return Annotate(outcome.status, absl::StrCat("gate of ", change_.id.workflow));
    }
    return WithSubject(
        absl::AbortedError(absl::StrCat(
            "gate of ", change_.id.workflow, ": locks on ", change_.id.database, ".",
            absl::StrJoin(change_.tables, ","), " not granted within ", absl::FormatDuration(bound),
            "; held by ", DescribeBlockers(outcome.blockers))),
        change_.id.workflow);
  }

  // The gate has the wanted state: marker, position, outcome.
  absl::StatusOr<GateOutcome> Settle() {
    if (!change_.marker_id.empty()) {
      SLUICE_RETURN_IF_ERROR(
          Annotate(session_
                       .Execute(absl::StrCat(
                           "INSERT INTO _sluice.marker (marker_id, workflow, created_at)"
                           " VALUES (",
                           mysql::QuoteString(MarkerName(change_.marker_id, change_.id.database)),
                           ", ", mysql::QuoteString(change_.id.workflow),
                           ", UTC_TIMESTAMP(6)) ON DUPLICATE KEY UPDATE"
                           " marker_id = marker.marker_id"))
                       .status(),
                   "writing the marker"));
    }
    SLUICE_CRASH_POINT("gate.after_marker");
    GateOutcome outcome{.state = change_.wanted, .gtid_executed = {}, .took = {}};
    SLUICE_ASSIGN_OR_RETURN(outcome.gtid_executed,
                            session_.QueryScalar("SELECT @@GLOBAL.gtid_executed"));
    if (!RecordedAlready()) {
      SLUICE_RETURN_IF_ERROR(Record(StateName(change_.wanted), 0));
    }
    SLUICE_CRASH_POINT("gate.after_outcome");
    return outcome;
  }

  // The row of an earlier run of this same request, with its outcome.
  [[nodiscard]] bool RecordedAlready() const {
    return work_.row.has_value() && work_.row->state == StateName(change_.wanted) &&
           work_.row->epoch == change_.epoch && work_.row->tables == change_.tables;
  }

  agent::SessionPool& pool_;
  GateWork& work_;
  const GateChange& change_;
  mysql::Connection& session_;
};

absl::Status CheckChange(const GateChange& change) {
  if (change.tables.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("gate of ", change.id.workflow, ": no tables named"));
  }
  if (change.wanted != State::kOpen && change.wanted != State::kClosed &&
      change.wanted != State::kReadable) {
    return absl::InvalidArgumentError(absl::StrCat("gate of ", change.id.workflow,
                                                   ": can't be set to ", StateName(change.wanted)));
  }
  if (change.marker_id.size() > kMarkerIdBytesMax || absl::StrContains(change.marker_id, "@")) {
    return absl::InvalidArgumentError(absl::StrCat("gate of ", change.id.workflow, ": \"",
                                                   change.marker_id, "\" can't be a marker"));
  }
  return absl::OkStatus();
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

absl::StatusOr<GateOutcome> GateKeeper::SetOnce(const GateChange& change, absl::Time deadline) {
  return WithGate(change.id, deadline, [&](GateWork& work) -> absl::StatusOr<GateOutcome> {
    return Transition(pool_, work, change).Run(deadline);
  });
}

absl::StatusOr<GateOutcome> GateKeeper::Set(const GateChange& change, absl::Time deadline) {
  SLUICE_RETURN_IF_ERROR(CheckChange(change));
  {
    // A late request of an old epoch must not end the session of a newer one.
    SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool_.Borrow());
    SLUICE_ASSIGN_OR_RETURN(const auto row, ReadGateRow(*session, change.id));
    SLUICE_RETURN_IF_ERROR(CheckEpoch(change.id, row, change.epoch, StateName(change.wanted)));
  }
  absl::StatusOr<GateOutcome> outcome;
  for (int i = 0; i < kLostSessionTries; ++i) {
    outcome = SetOnce(change, deadline);
    if (!absl::IsUnavailable(outcome.status()) || absl::Now() >= deadline) {
      break;
    }
  }
  if (outcome.ok()) {
    SLUICE_LOG(kInfo, "gate set",
               {{"workflow", change.id.workflow},
                {"database", change.id.database},
                {"state", StateName(outcome->state)},
                {"epoch", change.epoch},
                {"took", outcome->took}});
  }
  return outcome;
}

absl::StatusOr<GateReading> GateKeeper::Read(const GateId& id,
                                             const std::vector<std::string>& tables,
                                             absl::Time deadline) {
  if (tables.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("gate of ", id.workflow, ": no tables named"));
  }
  return WithGate(id, deadline, [&](GateWork& work) -> absl::StatusOr<GateReading> {
    SLUICE_ASSIGN_OR_RETURN(const auto names,
                            ObserveTables(work.gate.session(), id.database, tables));
    return GateReading{.state = StateOf(names),
                       .epoch = work.row.has_value() ? work.row->epoch : 0};
  });
}

}  // namespace sluice::gate
