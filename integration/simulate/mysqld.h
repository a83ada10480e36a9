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
    std::function<void(Mysqld&)> on_opened;     // it is not read-only any more
    std::function<void(Mysqld&)> on_left_open;  // a client would have written: see LeftOpen
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
  // As @@GLOBAL.read_only says.
  [[nodiscard]] bool read_only() const { return read_only_; }
  [[nodiscard]] bool read_only_persisted() const { return persisted_; }
  // Another server is the PRIMARY, which this one follows.
  [[nodiscard]] bool replica() const { return replica_; }
  [[nodiscard]] bool serves() const { return process.up() && !replica_; }
  // Read-only by a gate: its agent, and who only reads, go on.
  [[nodiscard]] bool ClosedByGate() const {
    return read_only_ && !super_read_only_ && gate::FencesServer(data_.gate);
  }
  // What an agent takes for a PRIMARY.
  [[nodiscard]] bool LooksPrimary() const {
    return !replica_ && !super_read_only_ && (!read_only_ || ClosedByGate());
  }
  // It was promoted, its record says closed, it is not, and no agent has looked yet.
  [[nodiscard]] bool LeftOpen() const {
    return unguarded_ && !read_only_ && data_.gate && gate::KeepsServerClosed(*data_.gate);
  }

  // Sessions. What a session of a dead server waited for is never answered.
  enum class Account : uint8_t { kClient, kAgent };  // the agent's passes read_only
  SessionId Connect(Account account = Account::kClient);
  [[nodiscard]] bool Alive(SessionId session) const { return sessions_.contains(session); }
  void UnlockTables(SessionId session);
  void Close(SessionId session);  // its locks go, what it has not committed is rolled back
  // As KILL: a commit under way still ends first.
  void Kill(SessionId session);
  // Of all tables of the gate, shared (whoever uses them) or exclusive (RENAME).
  void LockTables(SessionId session, bool exclusive, Micros bound, Done done);
  void LockRow(SessionId session, uint8_t table, uint32_t key, Micros bound, Done done);
  [[nodiscard]] bool TablesInUse() const { return !shared_.empty(); }
  // A statement that writes, from its beginning to its end; it waits for who closes the server.
  void BeginWrite(SessionId session, Action then);
  void EndWrite(SessionId session) { writing_.erase(session); }
  // Transactions of others that have written to the gate's tables.
  [[nodiscard]] bool HasWriters(SessionId but) const;
  // GET_LOCK of the gate.
  bool TakeGateLock(SessionId session);
  [[nodiscard]] SessionId gate_lock() const { return gate_lock_; }
  // GET_LOCK of the whole server.
  bool TakeServerLock(SessionId session);
  void GiveServerLock(SessionId session) {
    server_lock_ = server_lock_ == session ? 0 : server_lock_;
  }
  [[nodiscard]] SessionId server_lock() const { return server_lock_; }

  // SET GLOBAL or SET PERSIST read_only = ON: waits for statements and commits under way, and
  // whoever would write waits for it.
  struct Closing {
    SessionId session = 0;
    Micros bound = 0;
    bool persists = true;
  };
  void CloseServer(const Closing& closing, const Done& done);
  void ForgetServer() { persisted_ = false; }  // RESET PERSIST
  // SET GLOBAL read_only = OFF, which takes super_read_only along; or to what that is.
  void OpenServer(bool spares_super_read_only);
  void Guarded();  // an agent takes it for a PRIMARY that stands as its records say

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
  void BecomeReplica() { replica_ = super_read_only_ = read_only_ = true; }
  void Promote();  // as whoever fails over does it: by SET GLOBAL
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
    bool wrote = false;
    Account account = Account::kClient;
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
  void AwaitQuiet(const Closing& closing, Micros until, const Done& done);

  Scheduler& scheduler_;
  Random& random_;
  Trace& trace_;
  const Setup setup_;
  const Hooks hooks_;

  Data data_;
  bool replica_ = false;
  bool super_read_only_ = false;
  bool read_only_ = false;  // where the one above is, too
  bool persisted_ = false;  // so it is read-only when it starts; never replicates
  bool unguarded_ = false;
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
  SessionId server_lock_ = 0;
  std::set<SessionId> writing_;
  SessionId closing_ = 0;  // waits for these
};

}  // namespace sluice::simulate
