// Mysqld: sessions, metadata locks and row locks.

#include <algorithm>

#include "integration/simulate/mysqld.h"

namespace sluice::simulate {
namespace {

constexpr Micros kLookEvery = 300;

}  // namespace

SessionId Mysqld::Connect(Account account) {
  const SessionId session = next_session_++;
  sessions_[session].account = account;
  return session;
}

void Mysqld::Close(SessionId session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) {
    return;
  }
  if (found->second.committing) {
    found->second.dying = true;
    return;
  }
  const Session ended = std::move(found->second);
  sessions_.erase(found);
  shared_.erase(session);
  exclusive_ = exclusive_ == session ? 0 : exclusive_;
  gate_lock_ = gate_lock_ == session ? 0 : gate_lock_;
  GiveServerLock(session);
  writing_.erase(session);
  std::vector<Done> lost;
  std::erase_if(waiting_, [&](Waiter& waiter) {
    if (waiter.session == session) {
      lost.push_back(std::move(waiter.done));
    }
    return waiter.session == session;
  });
  for (auto& [row, waiters] : row_waiting_) {
    std::erase_if(waiters, [&](Waiter& waiter) {
      if (waiter.session == session) {
        lost.push_back(std::move(waiter.done));
      }
      return waiter.session == session;
    });
  }
  for (const auto& row : ended.rows) {
    row_owner_.erase(row);
  }
  for (const Done& done : lost) {
    done(absl::UnavailableError("the session was ended"));
  }
  Pump();
  for (const auto& row : ended.rows) {
    PumpRow(row);
  }
}

void Mysqld::UnlockTables(SessionId session) {
  shared_.erase(session);
  exclusive_ = exclusive_ == session ? 0 : exclusive_;
  Pump();
}

void Mysqld::Kill(SessionId session) {
  trace_.Note(name(), "kills session", " ", session);
  Close(session);
}

void Mysqld::LockTables(SessionId session, bool exclusive, Micros bound, Done done) {
  if (!Alive(session)) {
    return done(absl::UnavailableError("the session was ended"));
  }
  if (!exclusive && shared_.contains(session)) {
    return done(absl::OkStatus());
  }
  const uint64_t number = next_waiter_++;
  waiting_.push_back({number, session, exclusive, std::move(done)});
  Pump();
  const auto still = [this, number] {
    return std::find_if(waiting_.begin(), waiting_.end(),
                        [&](const Waiter& each) { return each.number == number; });
  };
  if (still() != waiting_.end()) {
    process.Later(bound, [this, still] {
      const auto waiter = still();
      if (waiter != waiting_.end()) {
        const Done give_up = std::move(waiter->done);
        waiting_.erase(waiter);
        give_up(absl::AbortedError("1205: lock wait timeout"));
        Pump();
      }
    });
  }
}

// First come, first served: who waits for all of it keeps those out who would share it.
void Mysqld::Pump() {
  while (!waiting_.empty() && exclusive_ == 0 && (!waiting_.front().exclusive || shared_.empty())) {
    const Waiter next = std::move(waiting_.front());
    waiting_.pop_front();
    if (next.exclusive) {
      exclusive_ = next.session;
    } else {
      shared_.insert(next.session);
    }
    next.done(absl::OkStatus());
  }
}

void Mysqld::LockRow(SessionId session, uint8_t table, uint32_t key, Micros bound, Done done) {
  if (!Alive(session)) {
    return done(absl::UnavailableError("the session was ended"));
  }
  const std::pair<uint8_t, uint32_t> row = {table, key};
  const auto owner = row_owner_.find(row);
  if (owner != row_owner_.end() && owner->second == session) {
    return done(absl::OkStatus());
  }
  const uint64_t number = next_waiter_++;
  row_waiting_[row].push_back({number, session, true, std::move(done)});
  PumpRow(row);
  process.Later(bound, [this, row, number] {
    std::deque<Waiter>& waiters = row_waiting_[row];
    const auto found = std::find_if(waiters.begin(), waiters.end(),
                                    [&](const Waiter& each) { return each.number == number; });
    if (found != waiters.end()) {
      const Done give_up = std::move(found->done);
      waiters.erase(found);
      give_up(absl::AbortedError("1205: lock wait timeout"));
    }
  });
}

void Mysqld::PumpRow(const std::pair<uint8_t, uint32_t>& row) {
  std::deque<Waiter>& waiters = row_waiting_[row];
  while (!waiters.empty() && !row_owner_.contains(row)) {
    const Waiter next = std::move(waiters.front());
    waiters.pop_front();
    const auto session = sessions_.find(next.session);
    if (session == sessions_.end()) {
      continue;
    }
    row_owner_[row] = next.session;
    session->second.rows.insert(row);
    next.done(absl::OkStatus());
  }
}

bool Mysqld::TakeGateLock(SessionId session) {
  if (gate_lock_ == 0 && Alive(session)) {
    gate_lock_ = session;
  }
  return gate_lock_ == session;
}

bool Mysqld::TakeServerLock(SessionId session) {
  if (server_lock_ == 0 && Alive(session)) {
    server_lock_ = session;
  }
  return server_lock_ == session;
}

void Mysqld::BeginWrite(SessionId session, Action then) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end()) {
    return then();  // what follows finds that
  }
  if (closing_ != 0 && closing_ != session) {
    process.Later(kLookEvery,
                  [this, session, then = std::move(then)] { BeginWrite(session, then); });
    return;
  }
  found->second.wrote = true;
  writing_.insert(session);
  then();
}

bool Mysqld::HasWriters(SessionId but) const {
  return std::any_of(shared_.begin(), shared_.end(), [&](SessionId session) {
    const auto found = sessions_.find(session);
    return session != but && found != sessions_.end() && found->second.wrote;
  });
}

void Mysqld::CloseServer(const Closing& closing, const Done& done) {
  if (!Alive(closing.session)) {
    return done(absl::UnavailableError("the session was ended"));
  }
  closing_ = closing.session;
  AwaitQuiet(closing, scheduler_.now() + closing.bound, done);
}

void Mysqld::AwaitQuiet(const Closing& closing, Micros until, const Done& done) {
  const bool alive = Alive(closing.session);
  const bool commits = std::any_of(pending_.begin(), pending_.end(), [&](const Pending& each) {
    return each.session != closing.session;
  });
  const bool quiet = writing_.empty() && !commits;
  if (alive && !quiet && scheduler_.now() < until) {
    process.Later(kLookEvery, [this, closing, until, done] { AwaitQuiet(closing, until, done); });
    return;
  }
  closing_ = closing_ == closing.session ? 0 : closing_;
  if (!alive || !quiet) {
    return done(alive ? absl::AbortedError("1205: lock wait timeout")
                      : absl::UnavailableError("the session was ended"));
  }
  read_only_ = true;
  trace_.Note(name(), "is read-only");
  // The file is written last. Who is killed meanwhile ends when that is done.
  sessions_.at(closing.session).committing = true;
  process.Later(random_.Between(50, 500), [this, closing, done] {
    persisted_ = persisted_ || closing.persists;
    EndCommit(closing.session);
    done(absl::OkStatus());
  });
}

void Mysqld::OpenServer(bool spares_super_read_only) {
  if (super_read_only_ && spares_super_read_only) {
    return;
  }
  read_only_ = super_read_only_ = false;
  trace_.Note(name(), "is not read-only any more");
  hooks_.on_opened(*this);
}

}  // namespace sluice::simulate
