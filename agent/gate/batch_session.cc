// BatchSession: carries out the effects of a batch of gates in one session of mysqld.

#include "agent/gate/batch_session.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/gate_row.h"
#include "agent/gate/marker_name.h"
#include "agent/gate/observe.h"
#include "agent/gate/server_gate.h"
#include "agent/sidecar/journal.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

// The others of a batch wait no longer for one gate whose former session does not end.
constexpr absl::Duration kFormerSessionMax = absl::Milliseconds(300);
// Who waited for transactions for long still needs this for the statement itself.
constexpr absl::Duration kCloseServerMin = absl::Milliseconds(20);

// Whether somebody was in the way of the gate's tables, and who. A session that has sat on them for
// as long as the statement has waited is in its way, or would be next; one that came later is gone
// soon.
bool IsBlocked(const std::string& database, const BoundedOutcome& outcome, absl::Duration waited,
               std::vector<Blocker>& blockers) {
  bool blocked = outcome.waits_at == "" || outcome.waits_at == database;
  for (size_t i = 0; i < outcome.blockers.size(); ++i) {
    const std::vector<LockPlace>& places = outcome.places[i];
    const bool here = std::any_of(places.begin(), places.end(), [&](const LockPlace& place) {
      return place.empty() || place == database;
    });
    if (here) {
      blockers.push_back(outcome.blockers[i]);
      blocked = blocked || absl::Milliseconds(outcome.blockers[i].age_ms) >= waited;
    }
  }
  return blocked;
}

}  // namespace

std::vector<GateId> BatchSession::Ids(const Members& members) const {
  std::vector<GateId> ids;
  ids.reserve(members.size());
  for (const size_t member : members) {
    ids.push_back(change(member).id);
  }
  return ids;
}

bool BatchSession::HoldsAll(const Members& members) const {
  return std::all_of(members.begin(), members.end(),
                     [this](size_t member) { return gates_.Holds(change(member).id); });
}

void BatchSession::Release(const std::vector<size_t>& members) {
  UnlockServer(members);
  gates_.Release(Ids(members));
}

BatchAnswer BatchSession::Run(const JoinedEffect& effect) {
  BatchAnswer answer;
  answer.members.resize(effect.members.size());
  const bool had_session = gates_.alive();
  absl::Status status = Dispatch(effect, answer);
  answer.session_lost = had_session && !gates_.alive();
  if (answer.session_lost) {
    UnlockServer({server_users_.begin(), server_users_.end()});
  }
  if (!status.ok() && answer.session_lost) {
    status = absl::UnavailableError(status.message());
  }
  const absl::Time now = absl::Now();
  for (size_t at = 0; at < effect.members.size(); ++at) {
    const size_t member = effect.members[at];
    GateEvent& event = answer.members[at].event;
    event.status = status.ok() ? event.status : status;
    event.left = deadlines_[member] - now;
    if (effect.kind == GateEffectKind::kLock) {
      began_[member] = now;
    }
    if (effect.kind != GateEffectKind::kTidy) {
      took_[member] = now - began_[member];
    }
  }
  return answer;
}

absl::Status BatchSession::Dispatch(const JoinedEffect& effect, BatchAnswer& answer) {
  if (effect.kind == GateEffectKind::kReadRecord) {
    return ReadRecords(effect.members, answer);
  }
  if (effect.kind == GateEffectKind::kLock) {
    return Lock(effect.members, answer);
  }
  if (!HoldsAll(effect.members)) {
    return absl::UnavailableError("the session that held the gate is gone");
  }
  switch (effect.kind) {
    case GateEffectKind::kObserve:
      return Observe(effect.members, answer);
    case GateEffectKind::kWriteJournal:
      SLUICE_RETURN_IF_ERROR(WriteJournals(effect.members, answer));
      SLUICE_CRASH_POINT("gate.after_journal");
      return absl::OkStatus();
    case GateEffectKind::kWriteIntent:
      SLUICE_RETURN_IF_ERROR(WriteRecords(effect.members));
      SLUICE_CRASH_POINT("gate.after_intent");
      return absl::OkStatus();
    case GateEffectKind::kRun:
      return RunStatement(effect, answer);
    case GateEffectKind::kLockServer:
      SLUICE_RETURN_IF_ERROR(LockServer(effect, answer));
      SLUICE_CRASH_POINT("server.locked");
      return absl::OkStatus();
    case GateEffectKind::kUnlockServer:
      UnlockServer(effect.members);
      SLUICE_CRASH_POINT("server.unlocked");
      return absl::OkStatus();
    case GateEffectKind::kVerify: {
      SLUICE_ASSIGN_OR_RETURN(const std::vector<std::string> open_xa, FindOpenXa(session()));
      for (MemberAnswer& each : answer.members) {
        each.event.observation.server_obstacles = open_xa;
      }
      return absl::OkStatus();
    }
    case GateEffectKind::kWriteMarker:
      return WriteMarkers(effect.members);
    case GateEffectKind::kReadPosition:
      SLUICE_CRASH_POINT("gate.after_marker");
      return ReadPosition(answer);
    case GateEffectKind::kWriteOutcome:
      SLUICE_RETURN_IF_ERROR(WriteRecords(effect.members));
      SLUICE_CRASH_POINT("gate.after_outcome");
      return absl::OkStatus();
    case GateEffectKind::kTakeBack:
      return WriteRecords(effect.members);
    case GateEffectKind::kTidy:
      return session().Execute(effect.sql).status();
    case GateEffectKind::kReadRecord:
    case GateEffectKind::kLock:
      break;
  }
  return absl::InternalError("unknown effect of a gate");
}

absl::Status BatchSession::ReadRecords(const Members& members, BatchAnswer& answer) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool_.Borrow());
  SLUICE_ASSIGN_OR_RETURN(auto rows, ReadGateRows(*session, Ids(members)));
  for (size_t at = 0; at < members.size(); ++at) {
    answer.members[at].event.row = std::move(rows[at]);
  }
  return absl::OkStatus();
}

absl::Status BatchSession::Lock(const Members& members, BatchAnswer& answer) {
  absl::Time until = absl::InfiniteFuture();
  for (const size_t member : members) {
    until = std::min(until, deadlines_[member]);
  }
  if (members.size() > 1) {
    until = std::min(until, absl::Now() + kFormerSessionMax);
  }
  const std::vector<absl::Status> taken = gates_.Take(Ids(members), until);
  Members locked;
  for (size_t at = 0; at < members.size(); ++at) {
    answer.members[at].event.status = taken[at];
    if (taken[at].ok()) {
      locked.push_back(members[at]);
    }
  }
  if (locked.empty()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(auto rows, ReadGateRows(session(), Ids(locked)));
  for (size_t at = 0, row = 0; at < members.size(); ++at) {
    GateEvent& event = answer.members[at].event;
    if (event.status.ok()) {
      event.row = std::move(rows[row++]);
      event.connection_id = session().connection_id();
    }
  }
  return absl::OkStatus();
}

absl::Status BatchSession::Observe(const Members& members, BatchAnswer& answer) {
  std::vector<SchemaTables> all;
  std::vector<SchemaTables> cascading;
  std::vector<size_t> cascading_at;
  bool with_columns = false;
  for (size_t at = 0; at < members.size(); ++at) {
    const GateChange& wanted = change(members[at]);
    all.push_back({.database = wanted.id.database, .tables = wanted.tables});
    with_columns = with_columns || wanted.wanted == State::kReadable;
    if (batch_.effect(members[at]).look_for_cascades) {
      cascading.push_back(all.back());
      cascading_at.push_back(at);
    }
  }
  SLUICE_ASSIGN_OR_RETURN(auto observed, ObserveSchemas(session(), all, with_columns));
  for (size_t at = 0; at < members.size(); ++at) {
    answer.members[at].event.observation.tables = std::move(observed[at]);
  }
  if (!cascading.empty()) {
    SLUICE_ASSIGN_OR_RETURN(auto cascades, FindCascadesOf(session(), cascading));
    for (size_t i = 0; i < cascading.size(); ++i) {
      answer.members[cascading_at[i]].event.observation.cascades = std::move(cascades[i]);
    }
  }
  return ObserveServer(members, answer);
}

absl::Status BatchSession::ObserveServer(const Members& members, BatchAnswer& answer) {
  std::vector<GateId> ids;
  std::vector<Observation*> observations;
  for (size_t at = 0; at < members.size(); ++at) {
    const GateEffect& effect = batch_.effect(members[at]);
    if (effect.look_at_server || effect.kind == GateEffectKind::kLockServer) {
      ids.push_back(change(members[at]).id);
      observations.push_back(&answer.members[at].event.observation);
    }
  }
  return ids.empty() ? absl::OkStatus() : ReadServerStates(session(), ids, observations);
}

// Whether the server can be closed is asked for the first gate only, as where each goes by itself
// and finds it closed by the one before; the checks have asked for every one.
absl::Status BatchSession::LockServer(const JoinedEffect& effect, BatchAnswer& answer) {
  const absl::Time began = absl::Now();
  if (!server_lock_.has_value()) {
    absl::Time until = began + effect.bound;
    absl::Time deadline = absl::InfiniteFuture();
    for (const size_t member : effect.members) {
      deadline = std::min(deadline, deadlines_[member]);
    }
    until = std::min(until, deadline);
    server_turn_ = take_server_turn_(until);
    if (server_turn_ == nullptr) {
      return absl::CancelledError("another gate of this mysqld is being changed");
    }
    SLUICE_ASSIGN_OR_RETURN(ServerLock lock, ServerLock::Acquire(session(), deadline));
    server_lock_.emplace(std::move(lock));
  }
  const absl::Duration waited = absl::Now() - began;
  server_users_.insert(effect.members.begin(), effect.members.end());
  SLUICE_RETURN_IF_ERROR(ObserveServer(effect.members, answer));
  std::optional<std::vector<std::string>> obstacles;
  for (size_t at = 0; at < effect.members.size(); ++at) {
    GateEvent& event = answer.members[at].event;
    event.waited = waited;
    if (!batch_.effect(effect.members[at]).look_for_obstacles || event.observation.read_only) {
      continue;
    }
    if (!obstacles.has_value()) {
      const GateChange& own = change(effect.members[at]);
      SLUICE_ASSIGN_OR_RETURN(
          obstacles,
          FindServerObstacles(pool_, {.id = own.id, .tables = own.tables, .beside = own.beside}));
    }
    event.observation.server_obstacles = *obstacles;
  }
  return absl::OkStatus();
}

void BatchSession::UnlockServer(const Members& members) {
  for (const size_t member : members) {
    server_users_.erase(member);
  }
  if (server_users_.empty()) {
    server_lock_.reset();
    server_turn_.reset();
  }
}

// Of a cutover over several shards it is the same record for all of them.
absl::Status BatchSession::WriteJournals(const Members& members, BatchAnswer& answer) {
  for (size_t at = 0; at < members.size(); ++at) {
    const GateChange& own = change(members[at]);
    const auto same =
        std::find_if(members.begin(), members.begin() + static_cast<long>(at), [&](size_t other) {
          const GateChange& theirs = change(other);
          return theirs.cutover_id == own.cutover_id && theirs.id.workflow == own.id.workflow &&
                 theirs.journal == own.journal;
        });
    const auto before = static_cast<size_t>(same - members.begin());
    answer.members[at].event.status =
        before < at
            ? answer.members[before].event.status
            : sidecar::WriteJournal(session(), own.cutover_id, own.id.workflow, own.journal);
    if (!gates_.alive()) {
      return answer.members[at].event.status;
    }
  }
  return absl::OkStatus();
}

absl::Status BatchSession::WriteRecords(const Members& members) {
  std::vector<std::pair<GateId, GateRow>> rows;
  rows.reserve(members.size());
  for (const size_t member : members) {
    rows.emplace_back(change(member).id, batch_.effect(member).row);
  }
  return WriteGateRows(session(), rows);
}

// Each stream finds its own shard's row.
absl::Status BatchSession::WriteMarkers(const Members& members) {
  const std::string rows = absl::StrJoin(members, ", ", [this](std::string* out, size_t member) {
    const GateChange& own = change(member);
    absl::StrAppend(out, "(", mysql::QuoteString(MarkerName(own.marker_id, own.id.database)), ", ",
                    mysql::QuoteString(own.id.workflow), ", UTC_TIMESTAMP(6))");
  });
  return Annotate(
      session()
          .Execute(absl::StrCat("INSERT INTO _sluice.marker (marker_id, workflow, created_at)"
                                " VALUES ",
                                rows, " ON DUPLICATE KEY UPDATE marker_id = marker.marker_id"))
          .status(),
      "writing the marker");
}

absl::Status BatchSession::ReadPosition(BatchAnswer& answer) {
  SLUICE_ASSIGN_OR_RETURN(const std::string position,
                          session().QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  for (MemberAnswer& each : answer.members) {
    each.event.position = position;
  }
  return absl::OkStatus();
}

absl::Status BatchSession::RunStatement(const JoinedEffect& effect, BatchAnswer& answer) {
  const GateEffect& first = batch_.effect(effect.members.front());
  BoundedStatement statement{
      .sql = effect.sql,
      .database = {},
      .names = {},
      .bound = effect.bound,
      .scope = first.waits_for_writers ? LockScope::kServer : LockScope::kNames,
      .may_work_on = !first.waits_for_writers};
  bool last = false;
  for (const size_t member : effect.members) {
    last = last || batch_.effect(member).last;
    SchemaNames& schema = statement.schemas.emplace_back();
    schema.database = change(member).id.database;
    for (const std::string& table : change(member).tables) {
      schema.names.push_back(table);
      schema.names.push_back(ClosedName(table));
    }
  }
  const absl::Time began = absl::Now();
  if (first.waits_for_writers) {
    // read_only lets them go on and fail at their COMMIT; a rename would have waited for them.
    SLUICE_ASSIGN_OR_RETURN(const std::vector<Blocker> writers,
                            AwaitWriters(pool_, statement.schemas, effect.bound));
    if (!writers.empty()) {
      for (MemberAnswer& each : answer.members) {
        each.event.blockers = writers;
      }
      return absl::CancelledError("transactions that have written are open");
    }
    statement.bound = std::max(began + effect.bound - absl::Now(), kCloseServerMin);
  }
  SLUICE_ASSIGN_OR_RETURN(const BoundedOutcome outcome, RunBounded(pool_, session(), statement));
  answer.waited = absl::Now() - began;
  for (size_t at = 0; at < effect.members.size(); ++at) {
    MemberAnswer& own = answer.members[at];
    if (first.waits_for_writers) {
      own.event.blockers = outcome.blockers;
      continue;
    }
    own.blocked = IsBlocked(change(effect.members[at]).id.database, outcome, effect.bound,
                            own.event.blockers);
  }
  if (outcome.status.ok() && last) {
    SLUICE_CRASH_POINT("gate.after_rename");
  } else if (outcome.status.ok() && effect.sql == kForgetServer) {
    SLUICE_CRASH_POINT("server.forgotten");
  }
  return outcome.status;
}

}  // namespace sluice::gate
