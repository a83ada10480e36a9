// The machine that changes one gate: Step(state, event) -> (state, effect). Pure: no clock,
// session, thread or random number, so that tests can break it off everywhere.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/gate/blocker.h"
#include "agent/gate/gate_record.h"
#include "agent/gate/planner.h"

namespace sluice::gate {

struct GateChange {
  GateId id;
  std::vector<std::string> tables;
  State wanted = State::kClosed;  // kOpen, kClosed or kReadable
  uint64_t epoch = 0;
  absl::Duration lock_wait = absl::Seconds(1);
  std::string marker_id;   // empty: no marker row; else as in marker_name.h
  std::string cutover_id;  // not empty: the journal's record of it is written before the change
  std::string journal;
  // How an open gate is closed. One that is closed is opened by whichever way it was closed.
  GateKind kind = GateKind::kTables;
  std::vector<std::string> beside =
      {};  // kServer: the server's other databases, which close with it
};

struct GateOutcome {
  State state = State::kMixed;
  // Of one that is open by itself: databases whose gates still keep the server read-only, so that
  // it is readable. The last of them opens it.
  std::vector<std::string> kept_by = {};
  std::string gtid_executed;  // read in the session of the change, after it and its marker
  absl::Duration took;
};

// A foreign key by which rows of a gate's table change when those of another table do.
struct Cascade {
  std::string table;  // of the gate, by its open name
  std::string constraint;
  std::string parent;  // "database.table", not of the gate
};

// What mysqld says before a change.
struct Observation {
  std::vector<TableNames> tables;
  std::vector<Cascade> cascades;  // where the effect looks for them
  // Of the server, where the effect looks at it: it is read-only, and will be after a restart.
  bool read_only = false;
  bool read_only_persisted = false;
  std::vector<std::string> server_obstacles;  // why it can't be closed as a whole
  std::vector<std::string> kept_by;           // databases whose other gates keep it closed
};

// What the machine asks of the session, one at a time. Each may be repeated when nobody knows how
// it ended, except for kRun: its outcome is looked up.
enum class GateEffectKind {
  kReadRecord,  // by any session: a late request must not end the session of a newer one
  kLock,        // the gate's named lock, whoever holds it is ended first; then the record
  kObserve,     // what stands under the names
  kWriteJournal,
  kWriteIntent,  // `row`, durable before the first statement
  kRun,          // `sql`, ended when it has waited for locks for `bound`
  kLockServer,   // the server's named lock, waited for up to `bound`; then how the server stands
  kUnlockServer,
  kVerify,  // what comes through a server that is read-only: XA transactions from before
  kWriteMarker,
  kReadPosition,
  kWriteOutcome,  // `row`
  kTakeBack,      // `row`: what stands, after a statement that failed
  kTidy,          // `sql`; of no account
};

// "read_record", "lock", …: for tests and logs.
absl::string_view GateEffectName(GateEffectKind kind);

struct GateEffect {
  GateEffectKind kind = GateEffectKind::kReadRecord;
  std::string sql;
  absl::Duration bound;
  GateRow row;
  bool last = false;                // kRun: the gate has its state afterwards
  bool waits_for_writers = false;   // kRun: its locks are those of everybody who writes
  bool look_for_cascades = false;   // kObserve
  bool look_at_server = false;      // kObserve
  bool look_for_obstacles = false;  // kLockServer, where the server is not read-only yet
};

// How an effect ended. UNAVAILABLE: the session was lost, and nobody knows whether it took effect.
// CANCELLED and ABORTED of kRun and kLockServer: it did not get its locks.
struct GateEvent {
  absl::Status status;
  absl::Duration left;         // to the request's deadline
  std::optional<GateRow> row;  // kReadRecord, kLock
  uint64_t connection_id = 0;  // kLock
  Observation observation;     // kObserve; kVerify: its server_obstacles; kLockServer: the server's
  std::vector<Blocker> blockers;  // kRun
  absl::Duration waited;          // kLockServer: for the lock
  std::string position;           // kReadPosition
};

enum class GatePhase {
  kChecking,      // kReadRecord is under way
  kLocking,       // kLock
  kLooking,       // kObserve
  kJournaling,    // kWriteJournal
  kIntending,     // kWriteIntent
  kMoving,        // kRun
  kTakingServer,  // kLockServer
  kGivingServer,  // kUnlockServer
  kVerifying,     // kVerify
  kAsking,        // kObserve after a statement that failed
  kTakingBack,    // kTakeBack
  kMarking,       // kWriteMarker
  kPlacing,       // kReadPosition
  kRecording,     // kWriteOutcome
  kTidying,       // kTidy
  kDone,
  kFailed,
};

// One request. A value that may be thrown away at any time: what counts is durable in mysqld.
struct GateState {
  GateChange change;
  GatePhase phase = GatePhase::kChecking;
  uint32_t attempt = 1;        // of getting through on one session
  std::optional<GateRow> row;  // as found under the lock
  uint64_t connection_id = 0;
  GateKind kind = GateKind::kTables;  // by which the gate is closed when this is over
  std::vector<std::string> steps;     // the last of them is the one that counts
  size_t next_step = 0;
  // After the steps the server is closed, or opened unless other gates keep it closed; what that
  // takes is decided under its lock.
  bool changes_server = false;
  bool holds_server = false;
  absl::Duration server_wait;  // of lock_wait, for the server's lock
  absl::Duration bound;        // of the step under way
  std::vector<std::string> tidying;
  size_t next_tidying = 0;
  bool gives_up = false;  // the steps take back what the request has done
  absl::Status failure;   // kTakingBack, kFailed: the answer
  GateOutcome outcome;    // kDone

  [[nodiscard]] bool finished() const {
    return phase == GatePhase::kDone || phase == GatePhase::kFailed;
  }
};

struct GateTransition {
  GateState state;
  std::optional<GateEffect> effect;  // none: finished
};

// The server is read-only while any gate's record keeps it closed (KeepsServerClosed): who closes
// it has written his intent before he takes the server's lock, and who opens it looks at the
// records and opens under that lock. So an opening never undoes another gate's closing.
//
// A server closes at once for everybody but those with CONNECTION_ADMIN, and stays so after a
// restart.
inline constexpr absl::string_view kCloseServer = "SET PERSIST read_only = ON";
// What the configuration says of restarts holds again, as before the gate was closed.
inline constexpr absl::string_view kForgetServer = "RESET PERSIST IF EXISTS read_only";
// OFF would take super_read_only along: of a server that was made to follow another one after the
// records were looked at.
inline constexpr absl::string_view kOpenServer = "SET GLOBAL read_only = @@GLOBAL.super_read_only";

// A session that is lost is followed by another one that often, all in all.
inline constexpr uint32_t kGateAttemptsMax = 2;

// Begins a request. INVALID_ARGUMENT becomes of one that says nothing, or nonsense.
GateTransition Begin(GateChange change);
// The answer to the effect of the last transition. REQUIRES: !state.finished().
GateTransition Step(GateState state, const GateEvent& event);

// Whether the record says that the server was, or was to be, closed as a whole.
bool FencesServer(const std::optional<GateRow>& row);
// Whether an agent that finds its mysqld to be the PRIMARY must close it: the record of a gate that
// has closed the server replicates, read_only does not. kept_by names every gate.
bool MustCloseAgain(const Observation& server);
// What the names say, and whether the server is closed as a whole.
State StateOf(const Observation& observation, const std::optional<GateRow>& row);

}  // namespace sluice::gate
