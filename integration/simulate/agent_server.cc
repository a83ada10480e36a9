// Agent: looks at its mysqld, and at what is of the whole server, as agent/health's Monitor,
// agent/gate's KeepServerClosed and BatchSession do.

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "integration/simulate/agent.h"
#include "integration/simulate/world.h"

namespace sluice::simulate {

namespace {

constexpr Micros kLookEvery = kSecond;
constexpr Micros kPatience = 3 * kSecond;
constexpr Micros kLockWait = 10 * kSecond;
constexpr Micros kCloseAgainWait = 50 * kSecond;  // lock_wait_timeout
constexpr Micros kWritersLookAgain = 10 * kMilli;
constexpr Micros kCloseServerMin = 20 * kMilli;

}  // namespace

void Agent::Begin() {
  Look();
  process.Later(world_.random.Between(kLookEvery, kLookEvery + 50 * kMilli), [this] { Begin(); });
}

void Agent::TakeUpStreams() {
  resumed_ = false;
  Look();
}

// A look that fails leaves it open whether mysqld is the PRIMARY.
void Agent::Look() {
  if (!mysqld_.process.up()) {
    resumed_ = false;
    return;
  }
  if (!mysqld_.LooksPrimary()) {
    if (reign_ != 0) {
      StopStreams();
    }
    reign_ = 0;
    taken_ = resumed_ = false;
    world_.MayComplain(mysqld_);
    return;
  }
  if (reign_ != mysqld_.uuid()) {
    reign_ = mysqld_.uuid();
    taken_ = resumed_ = false;
  }
  if (taken_) {
    return Resume();
  }
  if (std::exchange(taking_, true)) {
    return;
  }
  const uint32_t reign = reign_;
  process.Later(world_.random.Between(kMilli, 30 * kMilli), [this, reign] {
    BecomePrimary([this, reign](const absl::Status& status) {
      taking_ = false;
      if (status.ok() && reign_ == reign) {
        taken_ = true;
        Resume();
      }
    });
  });
}

void Agent::Resume() {
  if (!std::exchange(resumed_, true)) {
    for (const auto& [id, row] : mysqld_.data().streams) {
      if (row.running && row.error.empty() && mysqld_.serves()) {
        StartTask(id);
      }
    }
  }
  mysqld_.Guarded();
  world_.Serves(mysqld_);
}

gate::Observation Agent::LookAtServer() const {
  gate::Observation seen;
  seen.read_only = mysqld_.read_only();
  seen.read_only_persisted = mysqld_.read_only_persisted();
  return seen;
}

void Agent::BecomePrimary(const Done& done) {
  if (!mysqld_.process.up()) {
    return done(absl::UnavailableError("mysqld is down"));
  }
  const SessionId session = Connect();
  const Done over = [this, session, done](const absl::Status& status) {
    mysqld_.Close(session);
    sessions_.erase(session);
    done(status);
  };
  const auto must_close = [this] {
    gate::Observation seen = LookAtServer();
    if (mysqld_.data().gate && gate::KeepsServerClosed(*mysqld_.data().gate)) {
      seen.kept_by = {kDatabase};
    }
    return gate::MustCloseAgain(seen);
  };
  if (!must_close()) {
    return over(absl::OkStatus());
  }
  const Micros now = world_.scheduler.now();
  LockServer({.session = session, .patience_until = now + kPatience, .until = now + kLockWait},
             [this, session, over, must_close](const absl::Status& locked) {
               if (!locked.ok() || !must_close()) {
                 return over(locked);
               }
               world_.MayStandStill(*this);
               process.Later(world_.random.Between(20, 300),
                             [this, session, over] { CloseAgain(session, over); });
             });
}

void Agent::CloseAgain(SessionId session, const Done& done) {
  ++world_.counts.gates["closed again by the agent of a new PRIMARY"];
  mysqld_.CloseServer({.session = session, .bound = kCloseAgainWait}, Guard(done));
}

void Agent::LockServer(const ServerLockWait& wait, const Done& done) {
  if (!mysqld_.process.up() || !mysqld_.Alive(wait.session)) {
    return done(absl::UnavailableError("the session is lost"));
  }
  if (mysqld_.TakeServerLock(wait.session)) {
    return done(absl::OkStatus());
  }
  const Micros now = world_.scheduler.now();
  if (now >= wait.until) {
    return done(absl::AbortedError("an earlier attempt has not ended yet"));
  }
  if (now >= wait.patience_until) {
    mysqld_.Kill(mysqld_.server_lock());
  }
  process.Later(kMilli, [this, wait, done] { LockServer(wait, done); });
}

void Agent::AwaitWriters(SessionId session, Micros until, const Done& done) {
  if (!mysqld_.process.up() || !mysqld_.HasWriters(session)) {
    return done(absl::OkStatus());
  }
  if (world_.scheduler.now() + kWritersLookAgain > until) {
    return done(absl::CancelledError("transactions that have written are open"));
  }
  process.Later(kWritersLookAgain,
                [this, session, until, done] { AwaitWriters(session, until, done); });
}

// The server goes on with a statement when the agent is gone.
void Agent::ChangeServer(SessionId session, const gate::GateEffect& effect, const Done& done) {
  world_.MayFailOver(mysqld_);
  if (effect.sql == gate::kForgetServer || effect.sql == gate::kOpenServer) {
    mysqld_.process.Later(world_.random.Between(50, 500), [this, session, done, effect] {
      if (!mysqld_.Alive(session)) {
        return done(absl::UnavailableError("the session was ended"));
      }
      if (effect.sql == gate::kForgetServer) {
        mysqld_.ForgetServer();
      } else {
        mysqld_.OpenServer(!absl::EndsWith(effect.sql, "OFF"));
      }
      done(absl::OkStatus());
    });
    return;
  }
  const Micros until = world_.scheduler.now() + absl::ToInt64Microseconds(effect.bound);
  const Done close = [this, session, until, effect, done](const absl::Status& status) {
    if (!status.ok() || !mysqld_.process.up()) {
      return done(status.ok() ? absl::UnavailableError("mysqld is down") : status);
    }
    mysqld_.CloseServer({.session = session,
                         .bound = std::max(until - world_.scheduler.now(), kCloseServerMin),
                         .persists = absl::StrContains(effect.sql, "PERSIST")},
                        done);
  };
  effect.waits_for_writers ? AwaitWriters(session, until, close) : close(absl::OkStatus());
}

}  // namespace sluice::simulate
