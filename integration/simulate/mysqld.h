// Mysqld: a model of one server with its ugly parts: a commit is in the binlog before anybody sees
// it, whoever waits for a metadata lock makes all behind him wait, a crash keeps what is in the
// binlog and nothing else, and binlogs are purged.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integration/simulate/data.h"
#include "integration/simulate/process.h"
#include "integration/simulate/random.h"
#include "integration/simulate/trace.h"

namespace sluice::simulate {

using Done = std::function<void(absl::Status)>;
using SessionId = uint64_t;

class Mysqld {
 public:
  struct Hooks {
    std::function<void(Mysqld&, const Tx&)> on_binlog;
    std::function<void(Mysqld&, const Tx&)> on_applied;
  };
  struct Setup {
    uint32_t number = 0;
    uint8_t side = 0;
    uint32_t shard = 0;
    std::string name;
    bool open = false;
    bool semi_sync = true;
  };

  Mysqld(Scheduler& scheduler, Random& random, Trace& trace, const Setup& setup, Hooks hooks);
  Mysqld(const Mysqld&) = delete;
  Mysqld& operator=(const Mysqld&) = delete;

  [[nodiscard]] uint32_t number() const { return setup_.number; }
  // Of its own transactions; another one after it was copied from another server.
  [[nodiscard]] uint32_t uuid() const { return setup_.number + kClone * clones_; }
  [[nodiscard]] uint8_t side() const { return setup_.side; }
  [[nodiscard]] uint32_t shard() const { return setup_.shard; }
  [[nodiscard]] const std::string& name() const { return setup_.name; }
  [[nodiscard]] const Data& data() const { return data_; }
  [[nodiscard]] bool read_only() const { return read_only_; }
  [[nodiscard]] bool serves() const { return process.up() && !read_only_; }

  // Sessions. What a session of a dead server waited for is never answered.
  SessionId Connect();
  [[nodiscard]] bool Alive(SessionId session) const { return sessions_.contains(session); }
  void UnlockTables(SessionId session);
  void Close(SessionId session);  // its locks go, what it has not committed is rolled back
  // As KILL: a commit under way still ends first.
  void Kill(SessionId session);
  // Of all tables of the gate, shared (whoever uses them) or exclusive (RENAME).
  void LockTables(SessionId session, bool exclusive, Micros bound, Done done);
  void LockRow(SessionId session, uint8_t table, uint32_t key, Micros bound, Done done);
  [[nodiscard]] bool TablesInUse() const { return !shared_.empty(); }
  // GET_LOCK of the gate.
  bool TakeGateLock(SessionId session);
  [[nodiscard]] SessionId gate_lock() const { return gate_lock_; }

  // `make` is asked in the moment in which the transaction goes to the binlog; `done` when
  // everybody sees it.
  void Commit(SessionId session, std::function<absl::StatusOr<Tx>()> make, Done done);

  // Of the newest transaction in the binlog, which may not be visible yet.
  [[nodiscard]] const StreamRow* FindStream(uint64_t id) const;

  // The binlog. Counted from the first transaction ever; those before first() are purged.
  [[nodiscard]] const std::vector<TxPointer>& binlog() const { return binlog_; }
  [[nodiscard]] size_t first() const { return first_; }
  [[nodiscard]] const Gtids& purged() const { return purged_; }
  void Purge(size_t keep);

  // The next AUTO_INCREMENT; one more is left out where a transaction that took it is rolled back.
  uint32_t TakeOrder(bool leave_one_out) {
    data_.next_order += leave_one_out ? 1 : 0;
    return data_.next_order++;
  }

  // Replication.
  void Acknowledge(size_t transactions);  // the replica has so many
  void Receive(TxPointer tx);             // as a replica
  [[nodiscard]] size_t received() const { return received_; }
  void ApplyReceived();
  void set_read_only(bool read_only) { read_only_ = read_only; }
  [[nodiscard]] size_t pending() const { return pending_.size(); }
  void DrainCommits();                   // what is in the binlog is seen at once
  void FollowOn(const Mysqld& primary);  // as its replica, which has all of the same
  void CopyFrom(const Mysqld& other);    // begins anew as its replica
  void Crash();
  void Restart();

  Process process;

 private:
  static constexpr uint32_t kClone = 100'000;

  struct Session {
    std::set<std::pair<uint8_t, uint32_t>> rows;
    bool committing = false;
    bool dying = false;
  };
  struct Waiter {
    uint64_t number = 0;
    SessionId session = 0;
    bool exclusive = false;
    Done done;
  };
  struct Pending {  // in the binlog, and not visible
    TxPointer tx;
    size_t index = 0;
    SessionId session = 0;
    Done done;
    bool flushed = false;
  };

  void Pump();
  void PumpRow(const std::pair<uint8_t, uint32_t>& row);
  void Flush(SessionId session, const std::function<absl::StatusOr<Tx>()>& make, const Done& done);
  void ShowReady();
  void Show(const TxPointer& tx);
  void EndCommit(SessionId session);

  Scheduler& scheduler_;
  Random& random_;
  Trace& trace_;
  const Setup setup_;
  const Hooks hooks_;

  Data data_;
  bool read_only_ = false;
  std::vector<TxPointer> binlog_;
  size_t first_ = 0;
  Gtids purged_;
  uint64_t own_ = 0;  // transactions of its own
  uint32_t clones_ = 0;
  std::deque<Pending> pending_;
  size_t acknowledged_ = 0;
  size_t received_ = 0;
  std::deque<TxPointer> relay_;
  std::map<uint64_t, StreamRow> streams_ahead_;  // of what is in the binlog

  SessionId next_session_ = 1;
  uint64_t next_waiter_ = 1;
  std::map<SessionId, Session> sessions_;
  std::set<SessionId> shared_;
  SessionId exclusive_ = 0;
  std::deque<Waiter> waiting_;
  std::map<std::pair<uint8_t, uint32_t>, SessionId> row_owner_;
  std::map<std::pair<uint8_t, uint32_t>, std::deque<Waiter>> row_waiting_;
  SessionId gate_lock_ = 0;
};

}  // namespace sluice::simulate
