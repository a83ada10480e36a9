// Mysqld: commits, the binlog, crashes and replication.

#include "integration/simulate/mysqld.h"

#include <algorithm>
#include <utility>

namespace sluice::simulate {

Mysqld::Mysqld(Scheduler& scheduler, Random& random, Trace& trace, const Setup& setup, Hooks hooks)
    : process(scheduler, setup.name, setup.number),
      scheduler_(scheduler),
      random_(random),
      trace_(trace),
      setup_(setup),
      hooks_(std::move(hooks)) {
  std::vector<gate::TableNames> names;
  names.reserve(kTableNames.size());
  for (const char* table : kTableNames) {
    names.push_back({.table = table,
                     .name = setup.open ? gate::Object::kTable : gate::Object::kAbsent,
                     .closed = setup.open ? gate::Object::kAbsent : gate::Object::kTable,
                     .view = gate::Object::kAbsent,
                     .columns = {"id"}});
  }
  data_.schema = gate::SchemaModel(names);
  for (uint32_t key = 0; key < kKeys; ++key) {
    data_.rows.at(kAccounts)[key] = {.version = 1, .token = 0};
  }
}

void Mysqld::Commit(SessionId session, std::function<absl::StatusOr<Tx>()> make, Done done) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.dying) {
    return done(absl::UnavailableError("the session was ended"));
  }
  process.Later(random_.Between(30, 300), [this, session, make = std::move(make),
                                           done = std::move(done)] { Flush(session, make, done); });
}

void Mysqld::Flush(SessionId session, const std::function<absl::StatusOr<Tx>()>& make,
                   const Done& done) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end() || found->second.dying) {
    return done(absl::UnavailableError("the session was ended"));
  }
  const bool client = found->second.account == Account::kClient;
  if (client && LeftOpen()) {
    hooks_.on_left_open(*this);
    return done(absl::FailedPreconditionError("1290: the model's clients stay away just then"));
  }
  if (super_read_only_ || (read_only_ && client)) {
    return done(absl::FailedPreconditionError("1290: the server is read-only"));
  }
  absl::StatusOr<Tx> made = make();
  if (!made.ok()) {
    return done(made.status());
  }
  made->gtid = {.server = uuid(), .number = ++own_};
  const TxPointer tx = std::make_shared<const Tx>(*std::move(made));
  found->second.committing = true;
  binlog_.push_back(tx);
  pending_.push_back(
      {.tx = tx, .index = binlog_.size(), .session = session, .done = done, .flushed = false});
  if (tx->rest) {
    Data ahead;
    ahead.streams = std::move(streams_ahead_);
    ahead.schema = data_.schema;
    tx->rest(ahead);
    streams_ahead_ = std::move(ahead.streams);
  }
  hooks_.on_binlog(*this, *tx);
  // Now and then it is a long way from the binlog to the eyes of others.
  const Micros delay =
      random_.OneIn(40) ? random_.Between(kMilli, 40 * kMilli) : random_.Between(20, 200);
  process.Later(delay, [this, index = binlog_.size()] {
    for (Pending& pending : pending_) {
      pending.flushed = pending.flushed || pending.index == index;
    }
    ShowReady();
  });
}

// In the order of the binlog; with a semi-synchronous replica, once it has them.
void Mysqld::ShowReady() {
  while (!pending_.empty() && pending_.front().flushed &&
         (!setup_.semi_sync || acknowledged_ >= pending_.front().index)) {
    const Pending first = std::move(pending_.front());
    pending_.pop_front();
    Show(first.tx);
    EndCommit(first.session);
    first.done(absl::OkStatus());
  }
}

void Mysqld::Show(const TxPointer& tx) {
  Apply(*tx, data_);
  hooks_.on_applied(*this, *tx);
}

void Mysqld::EndCommit(SessionId session) {
  const auto found = sessions_.find(session);
  if (found != sessions_.end()) {
    found->second.committing = false;
    if (found->second.dying) {
      Close(session);
    }
  }
}

const StreamRow* Mysqld::FindStream(uint64_t id) const {
  const auto found = streams_ahead_.find(id);
  return found == streams_ahead_.end() ? nullptr : &found->second;
}

void Mysqld::Purge(size_t keep) {
  const size_t until = binlog_.size() - std::min(keep, binlog_.size());
  for (; first_ < until; ++first_) {
    purged_.Add(binlog_[first_]->gtid);
  }
}

void Mysqld::Acknowledge(size_t transactions) {
  acknowledged_ = std::max(acknowledged_, transactions);
  ShowReady();
}

void Mysqld::Receive(TxPointer tx) {
  ++received_;
  relay_.push_back(std::move(tx));
  const Micros delay =
      random_.OneIn(50) ? random_.Between(10 * kMilli, kSecond) : random_.Between(50, 2 * kMilli);
  process.Later(delay, [this] {
    if (!relay_.empty()) {
      const TxPointer next = relay_.front();
      relay_.pop_front();
      binlog_.push_back(next);
      Show(next);
      streams_ahead_ = data_.streams;
    }
  });
}

void Mysqld::ApplyReceived() {
  for (; !relay_.empty(); relay_.pop_front()) {
    binlog_.push_back(relay_.front());
    Show(relay_.front());
  }
  streams_ahead_ = data_.streams;
}

void Mysqld::DrainCommits() {
  while (!pending_.empty()) {
    const Pending first = std::move(pending_.front());
    pending_.pop_front();
    Show(first.tx);
    EndCommit(first.session);
    first.done(absl::OkStatus());
  }
}

void Mysqld::FollowOn(const Mysqld& primary) {
  received_ = primary.binlog_.size();
  acknowledged_ = received_;
}

void Mysqld::CopyFrom(const Mysqld& other) {
  // What of the other one is in the binlog, its clone sees.
  data_ = other.data_;
  for (const Pending& pending : other.pending_) {
    Apply(*pending.tx, data_);
  }
  binlog_ = other.binlog_;
  first_ = other.first_;
  purged_ = other.purged_;
  received_ = acknowledged_ = binlog_.size();
  own_ = 0;
  ++clones_;
  pending_.clear();
  streams_ahead_ = data_.streams;
  relay_.clear();
  BecomeReplica();
}

// Whoever fails over knows of no gate; what is persisted stays.
void Mysqld::Promote() {
  replica_ = super_read_only_ = read_only_ = false;
  unguarded_ = true;
  hooks_.on_opened(*this);
}

void Mysqld::Guarded() {
  if (std::exchange(unguarded_, false) && !read_only_) {
    hooks_.on_opened(*this);
  }
}

void Mysqld::Crash() {
  trace_.Note(name(), "dies");
  process.Die();
  sessions_.clear();
  shared_.clear();
  exclusive_ = 0;
  waiting_.clear();
  row_owner_.clear();
  row_waiting_.clear();
  gate_lock_ = server_lock_ = closing_ = 0;
  writing_.clear();
}

// What is in the binlog is committed, what was prepared and is not there is rolled back.
void Mysqld::Restart() {
  process.Start();
  trace_.Note(name(), "starts", " ", pending_.size(), " in doubt");
  for (; !pending_.empty(); pending_.pop_front()) {
    Show(pending_.front().tx);
  }
  if (replica_) {
    ApplyReceived();
  }
  streams_ahead_ = data_.streams;
  // How it follows another one stands in its configuration.
  const bool was = std::exchange(read_only_, replica_ || persisted_);
  super_read_only_ = replica_;
  if (was && !read_only_) {
    hooks_.on_opened(*this);
  }
}

}  // namespace sluice::simulate
