// Agent: carries out the effects of the gate's machine, one after the other, as GateKeeper does.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "integration/simulate/agent.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {

using gate::GateEffect;
using gate::GateEffectKind;
using gate::GateEvent;

struct Agent::GateRun {
  gate::GateState state;
  Micros deadline = 0;
  Respond respond;
  SessionId session = 0;
  bool reserved = false;
};

void Agent::SetGate(const gate::GateChange& change, Micros deadline, Respond respond) {
  auto run = std::make_shared<GateRun>();
  run->deadline = deadline;
  run->respond = std::move(respond);
  world_.trace.Note(process.name(), "set gate", gate::StateName(change.wanted), " epoch ",
                    change.epoch);
  if (!ready()) {
    return run->respond({.status = absl::UnavailableError("not ready yet")});
  }
  Proceed(run, gate::Begin(change));
}

void Agent::Proceed(const GateRunPointer& run, gate::GateTransition transition) {
  run->state = std::move(transition.state);
  if (!transition.effect) {
    EndGate(run);
    const bool done = run->state.phase == gate::GatePhase::kDone;
    world_.trace.Note(process.name(), done ? "gate set" : "gate not set",
                      done ? "" : run->state.failure.message());
    if (done) {
      CountGate(run->state);
    }
    run->respond({.status = done ? absl::OkStatus() : run->state.failure});
    return;
  }
  const GateEffect effect = *std::move(transition.effect);
  world_.MayStandStill(*this);
  const Micros thinks = world_.random.Between(20, 300);
  process.Later(thinks, [this, run, effect] {
    Perform(run, effect, [this, run](GateEvent event) {
      if (!event.status.ok() && run->session != 0 && !mysqld_.Alive(run->session)) {
        event.status = absl::UnavailableError(event.status.message());
      }
      event.left = absl::Microseconds(run->deadline - world_.scheduler.now());
      Proceed(run, gate::Step(std::move(run->state), event));
    });
  });
}

void Agent::CountGate(const gate::GateState& state) {
  const bool opens = state.change.wanted == gate::State::kOpen;
  if (!opens && state.kind == gate::GateKind::kServer) {
    ++world_.counts.gates["closed as a whole mysqld"];
  } else if (opens && gate::FencesServer(state.row)) {
    ++world_.counts.gates["opened as a whole mysqld"];
  } else {
    ++world_.counts.gates[opens ? "opened table by table" : "closed table by table"];
  }
}

void Agent::EndGate(const GateRunPointer& run) {
  if (run->session != 0) {
    mysqld_.Close(run->session);
    sessions_.erase(run->session);
    run->session = 0;
  }
  gate_busy_ = gate_busy_ && !run->reserved;
  run->reserved = false;
}

void Agent::Perform(const GateRunPointer& run, const GateEffect& effect, const Told& told) {
  GateEvent event;
  const bool reads = effect.kind == GateEffectKind::kReadRecord;
  if (!mysqld_.process.up() ||
      (!reads && effect.kind != GateEffectKind::kLock && !mysqld_.Alive(run->session))) {
    event.status = absl::UnavailableError("the session is lost");
    return told(event);
  }
  switch (effect.kind) {
    case GateEffectKind::kReadRecord:
      event.row = mysqld_.data().gate;
      return told(event);
    case GateEffectKind::kLock:
      return LockGate(run, told);
    case GateEffectKind::kObserve:
      if (effect.look_at_server) {
        event.observation = LookAtServer();
      }
      for (const char* table : kTableNames) {
        event.observation.tables.push_back(mysqld_.data().schema.Names(table));
      }
      return told(event);
    case GateEffectKind::kLockServer:
      return LockServerFor(run, told);
    case GateEffectKind::kUnlockServer:
      mysqld_.GiveServerLock(run->session);
      return told(event);
    case GateEffectKind::kVerify:
      return told(event);
    case GateEffectKind::kReadPosition:
      event.position = mysqld_.data().executed.Text();
      return told(event);
    case GateEffectKind::kRun:
      return RunStatement(run, effect, told);
    default:
      break;
  }
  const gate::GateChange& change = run->state.change;
  WriteAsGate(
      run,
      [effect, change]() -> absl::StatusOr<Tx> {
        Tx tx;
        switch (effect.kind) {
          case GateEffectKind::kWriteJournal:
            tx.rest = [id = change.cutover_id](Data& data) { data.journal.insert(id); };
            break;
          case GateEffectKind::kWriteMarker:
            tx.marker = change.marker_id;
            break;
          case GateEffectKind::kTidy:
            tx.rest = [sql = effect.sql](Data& data) { data.schema.Run(sql); };
            break;
          default:
            tx.rest = [row = effect.row](Data& data) { data.gate = row; };
            break;
        }
        return tx;
      },
      told);
}

// Who holds the lock is ended first.
void Agent::LockGate(const GateRunPointer& run, const Told& told) {
  if (run->session != 0) {
    mysqld_.Close(run->session);
    sessions_.erase(run->session);
    run->session = 0;
  }
  const auto wait = [&] { process.Later(kMilli, [this, run, told] { LockGate(run, told); }); };
  GateEvent event;
  if (!mysqld_.process.up()) {
    event.status = absl::UnavailableError("mysqld is down");
    return told(event);
  }
  const bool late = world_.scheduler.now() >= run->deadline;
  if (!run->reserved && gate_busy_) {
    if (late) {
      event.status = absl::DeadlineExceededError("another request is at work on the gate");
      return told(event);
    }
    return wait();
  }
  gate_busy_ = run->reserved = true;
  const SessionId session = Connect();
  if (mysqld_.gate_lock() != 0) {
    mysqld_.Kill(mysqld_.gate_lock());
  }
  if (!mysqld_.TakeGateLock(session)) {
    mysqld_.Close(session);
    if (late) {
      event.status = absl::AbortedError("a session of an earlier attempt has not ended yet");
      return told(event);
    }
    return wait();
  }
  run->session = session;
  event.row = mysqld_.data().gate;
  event.connection_id = session;
  told(event);
}

void Agent::LockServerFor(const GateRunPointer& run, const Told& told) {
  const Micros began = world_.scheduler.now();
  LockServer({.session = run->session, .patience_until = began, .until = run->deadline},
             [this, began, told](const absl::Status& status) {
               GateEvent event;
               event.status = status;
               event.waited = absl::Microseconds(world_.scheduler.now() - began);
               event.observation = LookAtServer();
               told(event);
             });
}

void Agent::WriteAsGate(const GateRunPointer& run, std::function<absl::StatusOr<Tx>()> make,
                        const Told& told) {
  mysqld_.Commit(run->session, std::move(make), Guard([told](const absl::Status& status) {
                   GateEvent event;
                   event.status = status;
                   told(event);
                 }));
}

// RENAME waits for all who use the tables. The server goes on with it when the agent is gone.
void Agent::RunStatement(const GateRunPointer& run, const GateEffect& effect, const Told& told) {
  const SessionId session = run->session;
  const Done answer = Guard([told](const absl::Status& status) {
    GateEvent event;
    event.status = status;
    told(event);
  });
  if (effect.sql == gate::kCloseServer || effect.sql == gate::kForgetServer ||
      effect.sql == gate::kOpenServer) {
    return ChangeServer(session, effect, answer);
  }
  const auto make = [this, sql = effect.sql]() -> absl::StatusOr<Tx> {
    gate::SchemaModel after = mysqld_.data().schema;
    const std::string error = after.Run(sql);
    if (!error.empty()) {
      return absl::FailedPreconditionError(error);
    }
    Tx tx;
    tx.rest = [sql](Data& data) { data.schema.Run(sql); };
    return tx;
  };
  if (!absl::StartsWith(effect.sql, "RENAME")) {
    mysqld_.Commit(session, make, answer);
    return;
  }
  mysqld_.LockTables(
      session, true, absl::ToInt64Microseconds(effect.bound),
      [this, session, make, answer](const absl::Status& locked) {
        if (!locked.ok()) {
          return answer(locked);
        }
        // Some milliseconds for the files.
        mysqld_.process.Later(
            world_.random.Between(kMilli, 6 * kMilli), [this, session, make, answer] {
              mysqld_.Commit(session, make, [this, session, answer](const absl::Status& status) {
                mysqld_.UnlockTables(session);
                answer(status);
              });
            });
      });
}

}  // namespace sluice::simulate
