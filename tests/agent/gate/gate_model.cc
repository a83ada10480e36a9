// GateModel: a mysqld with one gate, as the gate's machine sees it, and what may go wrong with it.

#include "tests/agent/gate/gate_model.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace sluice::gate {
namespace {

TableNames NamesAt(Start start, const std::string& table) {
  TableNames names;
  names.table = table;
  const bool under_name = start == Start::kOpen || start == Start::kServer;
  names.name = under_name                  ? Object::kTable
               : start == Start::kGuarded  ? Object::kGuard
               : start == Start::kReadable ? Object::kGateView
                                           : Object::kAbsent;
  names.closed = under_name ? Object::kAbsent : Object::kTable;
  return names;
}

}  // namespace

void GateModel::Require(bool holds, const std::string& rule) {
  if (!holds) {
    broken.push_back(rule);
  }
}

Observation GateModel::Observe() const {
  Observation seen;
  for (const std::string& table : tables) {
    seen.tables.push_back(schema.Names(table));
  }
  seen.read_only = read_only;
  seen.read_only_persisted = read_only_persisted;
  return seen;
}

void GateModel::ObserveServer(Observation& seen) const {
  seen.read_only = read_only;
  seen.read_only_persisted = read_only_persisted;
  if (sibling.has_value() && KeepsServerClosed(*sibling)) {
    seen.kept_by = {"other"};
  }
}

State GateModel::Stands() const {
  return StateOf(Observe(), row);
}

absl::Status GateModel::RunSql(const GateChange& change, const std::string& sql) {
  Require(row.has_value() && row->state == kChanging && row->epoch == change.epoch,
          absl::StrCat("no statement without its intent: ", sql));
  const State before = Stands();
  const bool of_server = sql == kCloseServer || sql == kForgetServer || sql == kOpenServer;
  Require(!of_server || holds_server, "without the server's lock: " + sql);
  // An intent that is written behind the look is obeyed when the lock is free again.
  const bool others_closed =
      sibling.has_value() && KeepsServerClosed(*sibling) && sibling->state != kChanging;
  if (sql == kCloseServer) {
    Require(obstacles.empty(), "closed a server that serves more");
    read_only = read_only_persisted = true;
    ++moves;
  } else if (sql == kForgetServer) {
    Require(!others_closed, "another gate has closed the server");
    read_only_persisted = false;
  } else if (sql == kOpenServer) {
    read_only = false;
    ++moves;
  } else {
    const std::string error = schema.Run(sql);
    Require(error.empty(), error);
    ++commits;
    moves += absl::StartsWith(sql, "RENAME") ? 1U : 0U;
  }
  const State after = Stands();
  Require(StateOf(Observe().tables) != State::kMixed, "tables disagree after " + sql);
  const bool opened = before != State::kOpen && after == State::kOpen;
  Require(!opened || change.wanted == State::kOpen || !comes_through.empty(),
          "opened by a request to close: " + sql);
  Require(!opened || change.cutover_id.empty() || journal.contains(change.cutover_id),
          "opened before the journal: " + sql);
  return absl::OkStatus();
}

absl::Status GateModel::Do(const GateChange& change, const GateEffect& effect, GateEvent& event) {
  const bool newer = row.has_value() && row->epoch > change.epoch;
  switch (effect.kind) {
    case GateEffectKind::kReadRecord:
      event.row = row;
      break;
    case GateEffectKind::kLock:
      event.connection_id = ++sessions;
      holds_server = false;
      event.row = row;
      break;
    case GateEffectKind::kObserve:
      event.observation = Observe();
      if (effect.look_for_cascades) {
        event.observation.cascades = cascades;
      }
      event.observation.read_only = event.observation.read_only_persisted = false;
      if (effect.look_at_server) {
        ObserveServer(event.observation);
      }
      break;
    case GateEffectKind::kLockServer:
      Require(row.has_value() && row->state == kChanging && row->epoch == change.epoch,
              "the server's lock without an intent");
      holds_server = true;
      ObserveServer(event.observation);
      if (effect.look_for_obstacles && !read_only) {
        event.observation.server_obstacles = obstacles;
      }
      break;
    case GateEffectKind::kUnlockServer:
      Require(holds_server, "gives back what it has not");
      holds_server = false;
      break;
    case GateEffectKind::kWriteJournal:
      journal[change.cutover_id] = change.journal;
      ++commits;
      break;
    case GateEffectKind::kWriteIntent:
    case GateEffectKind::kTakeBack:
      Require(!newer, "an older request writes the record");
      row = effect.row;
      ++commits;
      break;
    case GateEffectKind::kRun:
      return RunSql(change, effect.sql);
    case GateEffectKind::kVerify:
      event.observation.server_obstacles = comes_through;
      break;
    case GateEffectKind::kWriteMarker:
      Require(comes_through.empty(), "a marker before all that comes through the gate");
      Require(change.wanted == State::kOpen || Stands() != State::kOpen,
              "a marker before the gate is closed");
      commits += markers.insert(change.marker_id).second ? 1U : 0U;
      break;
    case GateEffectKind::kReadPosition:
      event.position = absl::StrCat(commits);
      break;
    case GateEffectKind::kWriteOutcome:
      Require(!newer, "an older request writes the record");
      row = effect.row;
      ++commits;
      Require(StateName(Stands()) == row->state, "the record says what does not stand");
      Require(change.marker_id.empty() || markers.contains(change.marker_id),
              "the outcome before the marker");
      break;
    case GateEffectKind::kTidy: {
      const std::string error = schema.Run(effect.sql);
      Require(error.empty(), error);
      break;
    }
  }
  return absl::OkStatus();
}

GateEvent GateModel::Answer(const GateChange& change, const GateEffect& effect, Fault fault) {
  GateEvent event;
  event.left = absl::Seconds(10);
  const bool does =
      fault == Fault::kNone || fault == Fault::kLostAfter || fault == Fault::kCrashAfter;
  if (does) {
    event.status = Do(change, effect, event);
    done.emplace_back(GateEffectName(effect.kind));
  }
  switch (fault) {
    case Fault::kNone:
      break;
    case Fault::kRefused:
      event.status = absl::InternalError("mysqld says no");
      break;
    case Fault::kNoLocks:
      event.status = absl::CancelledError("waited for locks");
      break;
    default:
      holds_server = false;  // it ends with the session
      event = {};
      event.left = absl::Seconds(10);
      event.status = absl::UnavailableError("lost");
      break;
  }
  return event;
}

GateModel GateAt(Start start) {
  GateModel model;
  model.tables = {"a", "b"};
  model.schema = SchemaModel({NamesAt(start, "a"), NamesAt(start, "b")});
  const bool server = start == Start::kServer;
  model.read_only = model.read_only_persisted = server;
  const State recorded = start == Start::kOpen                 ? State::kOpen
                         : start == Start::kReadable || server ? State::kReadable
                                                               : State::kClosed;
  model.row = GateRow{.state = std::string(StateName(recorded)),
                      .wanted = "closed",
                      .epoch = kStartEpoch,
                      .connection_id = 0,
                      .tables = model.tables,
                      .kind = server ? GateKind::kServer : GateKind::kTables};
  return model;
}

GateChange ChangeTo(State wanted, uint64_t epoch, GateKind kind) {
  GateChange change;
  change.id = {.workflow = "k.w", .database = "d"};
  change.tables = {"a", "b"};
  change.wanted = wanted;
  change.epoch = epoch;
  change.kind = kind;
  if (wanted == State::kOpen) {
    change.cutover_id = absl::StrCat("c", epoch);
    change.journal = "{}";
  } else {
    change.marker_id = absl::StrCat("m", epoch);
  }
  return change;
}

bool StandsAs(const GateModel& model, const GateChange& change) {
  const State stands = model.Stands();
  const bool by_server = model.row->kind == GateKind::kServer;
  return stands == change.wanted ||
         (by_server && change.wanted == State::kClosed && stands == State::kReadable);
}

Drive RunRequest(GateModel& model, const GateChange& change, FaultAt at) {
  Drive drive;
  GateTransition transition = Begin(change);
  while (transition.effect.has_value()) {
    const bool here = drive.effects++ == at.effect;
    const Fault fault = here ? at.fault : Fault::kNone;
    const GateEvent event = model.Answer(change, *transition.effect, fault);
    if (fault == Fault::kCrashBefore || fault == Fault::kCrashAfter) {
      drive.crashed = true;
      drive.state = std::move(transition.state);
      return drive;
    }
    transition = Step(std::move(transition.state), event);
  }
  drive.state = std::move(transition.state);
  return drive;
}

}  // namespace sluice::gate
