// The order in which one gate's change is made, and what becomes of it when a session is lost.

#include "agent/gate/gate_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/marker_name.h"
#include "common/base/check.h"
#include "common/base/status.h"

namespace sluice::gate {
namespace {

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

GateTransition Ask(GateState state, GatePhase phase, GateEffect effect) {
  state.phase = phase;
  return {.state = std::move(state), .effect = std::move(effect)};
}

GateEffect Of(GateEffectKind kind) {
  GateEffect effect;
  effect.kind = kind;
  return effect;
}

GateTransition Fail(GateState state, absl::Status why) {
  state.phase = GatePhase::kFailed;
  state.failure = std::move(why);
  return {.state = std::move(state), .effect = std::nullopt};
}

GateTransition Lock(GateState state) {
  state.failure = absl::OkStatus();
  state.gives_up = false;
  state.holds_server = false;  // it ended with its session
  state.server_wait = absl::ZeroDuration();
  return Ask(std::move(state), GatePhase::kLocking, Of(GateEffectKind::kLock));
}

// Nobody knows what became of the last effect: another session, which first makes sure that the
// lost one has ended, looks. What was done is not done again, since the names and records tell.
GateTransition AfterLoss(GateState state, const GateEvent& event) {
  const bool again = absl::IsUnavailable(event.status) && state.attempt < kGateAttemptsMax &&
                     event.left > absl::ZeroDuration();
  if (!again) {
    return Fail(std::move(state), event.status);
  }
  ++state.attempt;
  return Lock(std::move(state));
}

GateTransition Observe(GateState state, GatePhase phase) {
  GateEffect effect = Of(GateEffectKind::kObserve);
  effect.look_for_cascades = phase == GatePhase::kLooking && state.change.wanted != State::kOpen;
  effect.look_at_server = FencesServer(state.row) || state.change.kind == GateKind::kServer ||
                          state.change.wanted == State::kOpen;
  return Ask(std::move(state), phase, std::move(effect));
}

GateRow RowOf(const GateState& state, absl::string_view recorded, GateKind kind,
              uint64_t connection_id) {
  return {.state = std::string(recorded),
          .wanted = std::string(StateName(state.change.wanted)),
          .epoch = state.change.epoch,
          .connection_id = connection_id,
          .tables = state.change.tables,
          .kind = kind};
}

// As which the gate is recorded once it stands: who is kept from writing may still read a server
// that is read-only.
GateRow OutcomeRow(const GateState& state) {
  const State stands = state.kind == GateKind::kServer ? State::kReadable : state.change.wanted;
  return RowOf(state, StateName(stands), state.kind, 0);
}

// Without the server's lock nobody knows for how long it is closed, or open.
bool Reached(const GateState& state, const Observation& observation) {
  const State stands = StateOf(observation, state.row);
  if (state.kind == GateKind::kServer) {
    return state.holds_server && stands == State::kReadable && observation.read_only_persisted;
  }
  return stands == state.change.wanted;
}

// A cascade is no statement on the table, so no name stops it.
absl::Status CheckCascades(const GateState& state, const Observation& observation) {
  if (observation.cascades.empty()) {
    return absl::OkStatus();
  }
  return WithSubject(
      absl::FailedPreconditionError(absl::StrCat(
          "gate of ", state.change.id.workflow, ": ",
          absl::StrJoin(observation.cascades, "; ",
                        [](std::string* out, const Cascade& each) {
                          absl::StrAppend(
                              out, "rows of ", each.table, " change with those of ", each.parent,
                              ", which is not behind the gate (foreign key ", each.constraint, ")");
                        }),
          "; drop the key, or move that table too")),
      observation.cascades.front().table);
}

absl::Status PlanServer(GateState& state, const Observation& observation) {
  // The names stay; what an interrupted change has left beside them goes.
  auto open = PlanGate(state.change.id.database, observation.tables, State::kOpen);
  if (!open.ok()) {
    return open.status();
  }
  state.kind = GateKind::kServer;
  state.steps = std::move(open->before);
  state.changes_server = true;
  return absl::OkStatus();
}

// From what stands to the statements; sets kind, steps and tidying.
absl::Status MakePlan(GateState& state, const Observation& observation) {
  const bool closing = state.change.wanted != State::kOpen;
  const bool fenced =
      FencesServer(state.row) && (observation.read_only || observation.read_only_persisted);
  state.kind = GateKind::kTables;
  state.steps.clear();
  state.next_step = 0;
  state.changes_server = false;
  state.tidying.clear();
  state.next_tidying = 0;
  auto plan = PlanGate(state.change.id.database, observation.tables, state.change.wanted);
  if (!plan.ok()) {
    return plan.status();
  }
  const bool open = StateOf(observation.tables) == State::kOpen;
  if (closing && open && fenced) {
    state.kind = GateKind::kServer;
    // An intent alone may have been overtaken by an opening that had looked before it.
    const bool recorded = state.row->state == StateName(State::kReadable);
    state.changes_server = !recorded || !observation.read_only || !observation.read_only_persisted;
    return absl::OkStatus();
  }
  if (closing && open && state.change.kind == GateKind::kServer) {
    absl::Status status = PlanServer(state, observation);
    return status.ok() ? CheckCascades(state, observation) : status;
  }
  state.steps = std::move(plan->before);
  if (!plan->rename.empty()) {
    state.steps.push_back(std::move(plan->rename));
  }
  state.tidying = std::move(plan->after);
  const bool changes = !state.steps.empty() || fenced;
  state.changes_server = fenced;
  if (!fenced && observation.read_only) {
    state.outcome.kept_by = observation.kept_by;
  }
  return closing && changes ? CheckCascades(state, observation) : absl::OkStatus();
}

// Its statements run while the server may still be closed, so the record says so to the end.
GateKind KindOfIntent(const GateState& state) {
  return FencesServer(state.row) ? GateKind::kServer : state.kind;
}

GateTransition Settle(GateState state) {
  if (!state.change.marker_id.empty()) {
    return Ask(std::move(state), GatePhase::kMarking, Of(GateEffectKind::kWriteMarker));
  }
  return Ask(std::move(state), GatePhase::kPlacing, Of(GateEffectKind::kReadPosition));
}

GateTransition OnStepsDone(GateState state) {
  if (state.gives_up) {
    return Observe(std::move(state), GatePhase::kAsking);  // the server is open again
  }
  if (state.kind == GateKind::kServer) {
    return Ask(std::move(state), GatePhase::kVerifying, Of(GateEffectKind::kVerify));
  }
  return Settle(std::move(state));
}

GateTransition OnStatementFailed(GateState state, const absl::Status& why,
                                 const std::vector<Blocker>& blockers) {
  if (state.gives_up) {
    // The reason for that is the one that counts.
  } else if (state.phase == GatePhase::kTakingServer &&
             (absl::IsCancelled(why) || absl::IsAborted(why))) {
    state.failure =
        WithSubject(absl::AbortedError(absl::StrCat("gate of ", state.change.id.workflow, " in ",
                                                    state.change.id.database,
                                                    ": another gate of this mysqld"
                                                    " was being changed for ",
                                                    absl::FormatDuration(state.bound))),
                    state.change.id.workflow);
  } else if (absl::IsCancelled(why) || absl::IsAborted(why)) {
    state.failure = WithSubject(
        absl::AbortedError(absl::StrCat(
            "gate of ", state.change.id.workflow, ": locks on ", state.change.id.database, ".",
            absl::StrJoin(state.change.tables, ","), " not granted within ",
            absl::FormatDuration(state.bound), "; held by ", DescribeBlockers(blockers))),
        state.change.id.workflow);
  } else {
    state.failure = Annotate(why, absl::StrCat("gate of ", state.change.id.workflow));
  }
  return Observe(std::move(state), GatePhase::kAsking);
}

bool OpensServer(const GateState& state) {
  return state.gives_up || state.kind != GateKind::kServer;
}

GateTransition TakeServer(GateState state, absl::Duration left) {
  state.changes_server = false;
  state.bound = std::min(state.change.lock_wait, left);
  GateEffect effect = Of(GateEffectKind::kLockServer);
  effect.bound = std::max(state.bound, absl::ZeroDuration());
  effect.look_for_obstacles = !OpensServer(state);
  return Ask(std::move(state), GatePhase::kTakingServer, std::move(effect));
}

GateTransition RunNext(GateState state, absl::Duration left) {
  if (state.next_step == state.steps.size()) {
    if (state.changes_server) {
      return TakeServer(std::move(state), left);
    }
    return state.holds_server
               ? Ask(std::move(state), GatePhase::kGivingServer, Of(GateEffectKind::kUnlockServer))
               : OnStepsDone(std::move(state));
  }
  state.bound = std::min(state.change.lock_wait - state.server_wait, left);
  if (state.bound <= absl::ZeroDuration()) {
    return OnStatementFailed(std::move(state), absl::CancelledError("no time left"), {});
  }
  GateEffect effect = Of(GateEffectKind::kRun);
  effect.sql = state.steps[state.next_step];
  effect.bound = state.bound;
  effect.last = state.next_step + 1 == state.steps.size() && !state.changes_server;
  effect.waits_for_writers = effect.sql == kCloseServer;
  return Ask(std::move(state), GatePhase::kMoving, std::move(effect));
}

// Nobody else changes the server now, and no intent that is written from here on has been obeyed.
GateTransition OnServerTaken(GateState state, const GateEvent& event) {
  const Observation& server = event.observation;
  state.holds_server = true;
  state.server_wait = event.waited;
  state.steps.clear();
  state.next_step = 0;
  if (!OpensServer(state)) {
    if (!server.server_obstacles.empty()) {
      state.gives_up = true;
      state.failure = WithSubject(
          absl::FailedPreconditionError(absl::StrCat(
              "gate of ", state.change.id.workflow, ": this mysqld can't be closed as a whole: ",
              absl::StrJoin(server.server_obstacles, "; "), ". Close the tables instead")),
          state.change.id.workflow);
      return Observe(std::move(state), GatePhase::kAsking);
    }
    if (!server.read_only || !server.read_only_persisted) {
      state.steps = {std::string(kCloseServer)};
    }
  } else if (server.kept_by.empty()) {
    state.steps = {std::string(kForgetServer), std::string(kOpenServer)};
  } else if (!state.gives_up) {
    state.outcome.kept_by = server.kept_by;
  }
  return RunNext(std::move(state), event.left);
}

GateTransition Tidy(GateState state) {
  if (state.next_tidying == state.tidying.size()) {
    state.phase = GatePhase::kDone;
    const bool kept = state.change.wanted == State::kOpen && !state.outcome.kept_by.empty();
    state.outcome.state = kept ? State::kReadable : state.change.wanted;
    return {.state = std::move(state), .effect = std::nullopt};
  }
  GateEffect effect = Of(GateEffectKind::kTidy);
  effect.sql = state.tidying[state.next_tidying++];
  return Ask(std::move(state), GatePhase::kTidying, std::move(effect));
}

GateTransition Intend(GateState state) {
  if (state.steps.empty() && !state.changes_server) {
    return OnStepsDone(std::move(state));
  }
  // From here on every older request is refused, whatever becomes of this one.
  GateEffect effect = Of(GateEffectKind::kWriteIntent);
  effect.row = RowOf(state, kChanging, KindOfIntent(state), state.connection_id);
  return Ask(std::move(state), GatePhase::kIntending, std::move(effect));
}

GateTransition OnObserved(GateState state, const GateEvent& event) {
  if (absl::Status planned = MakePlan(state, event.observation); !planned.ok()) {
    return Fail(std::move(state), std::move(planned));
  }
  if (!state.change.cutover_id.empty()) {
    return Ask(std::move(state), GatePhase::kJournaling, Of(GateEffectKind::kWriteJournal));
  }
  return Intend(std::move(state));
}

// What an XA transaction wrote would come behind the marker, so the server opens again.
GateTransition OnVerified(GateState state, const GateEvent& event) {
  if (event.observation.server_obstacles.empty()) {
    return Settle(std::move(state));
  }
  state.failure = WithSubject(
      absl::AbortedError(absl::StrCat("gate of ", state.change.id.workflow, ": ",
                                      absl::StrJoin(event.observation.server_obstacles, "; "))),
      state.change.id.workflow);
  state.steps.clear();
  state.next_step = 0;
  state.changes_server = true;
  state.gives_up = true;
  return Intend(std::move(state));
}

// A statement has failed, and here is what stands: it may have taken effect all the same.
GateTransition OnAsked(GateState state, const GateEvent& event) {
  if (!state.gives_up && Reached(state, event.observation)) {
    state.failure = absl::OkStatus();
    state.next_step = state.steps.size();
    state.changes_server = state.changes_server && !state.holds_server;
    return RunNext(std::move(state), event.left);
  }
  const State stands = StateOf(event.observation, state.row);
  const bool settled = state.holds_server && event.observation.read_only_persisted;
  if (FencesServer(state.row) && stands == State::kReadable && !settled) {
    // Closed by another gate, perhaps, or half open; the intent says what counts.
    return Fail(state, state.failure);
  }
  const bool fenced = FencesServer(state.row) &&
                      (event.observation.read_only || event.observation.read_only_persisted);
  GateEffect effect = Of(GateEffectKind::kTakeBack);
  effect.row = RowOf(state, StateName(stands), fenced ? GateKind::kServer : GateKind::kTables, 0);
  return Ask(std::move(state), GatePhase::kTakingBack, std::move(effect));
}

GateTransition OnPlaced(GateState state, const GateEvent& event) {
  state.outcome.gtid_executed = event.position;
  GateEffect effect = Of(GateEffectKind::kWriteOutcome);
  effect.row = OutcomeRow(state);
  if (state.row == effect.row) {
    return Tidy(std::move(state));  // an earlier run of this same request has recorded it
  }
  return Ask(std::move(state), GatePhase::kRecording, std::move(effect));
}

GateTransition OnRecord(GateState state, const GateEvent& event) {
  absl::Status allowed =
      CheckEpoch(state.change.id, event.row, state.change.epoch, StateName(state.change.wanted));
  if (!allowed.ok()) {
    return Fail(std::move(state), std::move(allowed));
  }
  if (state.phase == GatePhase::kChecking) {
    return Lock(std::move(state));
  }
  state.row = event.row;
  state.connection_id = event.connection_id;
  return Observe(std::move(state), GatePhase::kLooking);
}

GateTransition OnSuccess(GateState state, const GateEvent& event) {
  switch (state.phase) {
    case GatePhase::kChecking:
    case GatePhase::kLocking:
      return OnRecord(std::move(state), event);
    case GatePhase::kLooking:
      return OnObserved(std::move(state), event);
    case GatePhase::kJournaling:
      return Intend(std::move(state));
    case GatePhase::kIntending:
      state.row = RowOf(state, kChanging, KindOfIntent(state), state.connection_id);
      return RunNext(std::move(state), event.left);
    case GatePhase::kMoving:
      ++state.next_step;
      return RunNext(std::move(state), event.left);
    case GatePhase::kTakingServer:
      return OnServerTaken(std::move(state), event);
    case GatePhase::kGivingServer:
      state.holds_server = false;
      return OnStepsDone(std::move(state));
    case GatePhase::kVerifying:
      return OnVerified(std::move(state), event);
    case GatePhase::kAsking:
      return OnAsked(std::move(state), event);
    case GatePhase::kTakingBack:
      return Fail(state, state.failure);
    case GatePhase::kMarking:
      return Ask(std::move(state), GatePhase::kPlacing, Of(GateEffectKind::kReadPosition));
    case GatePhase::kPlacing:
      return OnPlaced(std::move(state), event);
    case GatePhase::kRecording:
    case GatePhase::kTidying:
      return Tidy(std::move(state));
    case GatePhase::kDone:
    case GatePhase::kFailed:
      break;
  }
  SLUICE_CHECK(false && "a finished request gets no answers");
}

}  // namespace

absl::string_view GateEffectName(GateEffectKind kind) {
  switch (kind) {
    case GateEffectKind::kReadRecord:
      return "read_record";
    case GateEffectKind::kLock:
      return "lock";
    case GateEffectKind::kObserve:
      return "observe";
    case GateEffectKind::kWriteJournal:
      return "write_journal";
    case GateEffectKind::kWriteIntent:
      return "write_intent";
    case GateEffectKind::kRun:
      return "run";
    case GateEffectKind::kLockServer:
      return "lock_server";
    case GateEffectKind::kUnlockServer:
      return "unlock_server";
    case GateEffectKind::kVerify:
      return "verify";
    case GateEffectKind::kWriteMarker:
      return "write_marker";
    case GateEffectKind::kReadPosition:
      return "read_position";
    case GateEffectKind::kWriteOutcome:
      return "write_outcome";
    case GateEffectKind::kTakeBack:
      return "take_back";
    case GateEffectKind::kTidy:
      return "tidy";
  }
  return "?";
}

GateTransition Begin(GateChange change) {
  GateState state;
  state.change = std::move(change);
  if (absl::Status valid = CheckChange(state.change); !valid.ok()) {
    return Fail(std::move(state), std::move(valid));
  }
  return Ask(std::move(state), GatePhase::kChecking, Of(GateEffectKind::kReadRecord));
}

GateTransition Step(GateState state, const GateEvent& event) {
  SLUICE_CHECK((!state.finished()) && "a finished request gets no answers");
  if (event.status.ok()) {
    return OnSuccess(std::move(state), event);
  }
  switch (state.phase) {
    case GatePhase::kTidying:
      // The gate stands; a view that is left over is dropped by the next change.
      return Tidy(std::move(state));
    case GatePhase::kMoving:
    case GatePhase::kTakingServer:
      if (!absl::IsUnavailable(event.status)) {
        return OnStatementFailed(std::move(state), event.status, event.blockers);
      }
      return AfterLoss(std::move(state), event);
    case GatePhase::kChecking:
      return Fail(std::move(state), event.status);
    default:
      return AfterLoss(std::move(state), event);
  }
}

bool FencesServer(const std::optional<GateRow>& row) {
  return row.has_value() && FencesServer(*row);
}

bool MustCloseAgain(const Observation& server) {
  return !server.kept_by.empty() && !(server.read_only && server.read_only_persisted);
}

State StateOf(const Observation& observation, const std::optional<GateRow>& row) {
  const State state = StateOf(observation.tables);
  const bool fenced = FencesServer(row) || !observation.kept_by.empty();
  return state == State::kOpen && fenced && observation.read_only ? State::kReadable : state;
}

}  // namespace sluice::gate
