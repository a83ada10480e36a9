// BinlogTail: one dump of the local server's binlog for all sessions that are near its end.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/source/tail_transaction.h"
#include "agent/source/tail_window.h"
#include "agent/source/wanted_tables.h"
#include "common/gtid/gtid_set.h"
#include "common/mysql/binlog_stream.h"
#include "common/mysql/connection.h"

namespace sluice::source {

struct BinlogTailOptions {
  mysql::ConnectionOptions connection;
  uint32_t server_id = 0;  // unique among the replicas of the server
  absl::Duration heartbeat = absl::Seconds(1);
  size_t window_bytes_max = 16U << 20U;
  size_t transaction_bytes_max = 4U << 20U;  // larger ones are not kept
  // The dump stays for so long when nobody is left, since who comes next may begin where the last
  // one was.
  absl::Duration linger = absl::Seconds(30);
};

// Reads in a thread of its own while there are sessions, from the server's end on, and never waits
// for any of them: who can't follow is told to leave. Thread-safe.
class BinlogTail {
 public:
  // What a session gets at once.
  struct Part {
    std::vector<std::shared_ptr<const TailTransaction>> transactions;
    // The session goes on by a dump of its own: it has fallen behind the window, wants a
    // transaction that is not kept, or the tail met what each session must judge by itself.
    bool leave = false;
  };

  // A session's seat, given up with the object. For the session's reader, but for Close and Hurry,
  // which are thread-safe.
  class Seat {
   public:
    Seat(const Seat&) = delete;
    Seat& operator=(const Seat&) = delete;
    ~Seat();

    // Reads on here behind what is held, if that is in the window. A session that begins waits for
    // a dump that is just being opened; any other must not be about to leave the window again.
    bool Join(const gtid::GtidSet& held, bool begins);

    // After Join: the next transactions; waits for them, and a moment longer where none is urgent.
    // UNAVAILABLE when the tail's connection is lost, CANCELLED after Close.
    absl::StatusOr<Part> Next();

    // Makes Next return what there is. False when nothing is.
    bool Hurry();
    void Close();

   private:
    friend class BinlogTail;
    Seat(BinlogTail& tail, WantedTables wanted) : tail_(tail), wanted_(std::move(wanted)) {}

    absl::StatusOr<Part> Take() ABSL_EXCLUSIVE_LOCKS_REQUIRED(tail_.mutex_);
    bool Settled() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(tail_.mutex_);
    bool HasSomething() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(tail_.mutex_);
    bool MayNotWait() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(tail_.mutex_);

    BinlogTail& tail_;
    const WantedTables wanted_;
    gtid::GtidSet held_;  // when it joined; the reader's
    // By the tail's mutex, by which the tail's thread uses them too. (The annotations can't say
    // that the seats of a tail mean its own.)
    bool closed_ = false;
    std::optional<gtid::GtidSet> wish_;  // of a Join that waits
    bool joined_ = false;
    uint64_t place_ = 0;                // the next one to be handed out
    uint64_t urgent_end_ = 0;           // behind the last urgent one
    std::optional<uint64_t> leave_at_;  // a large transaction that it wants comes there
    bool hurry_ = false;
    absl::Status end_;  // why the dump of its window stopped
  };

  explicit BinlogTail(BinlogTailOptions options);
  BinlogTail(const BinlogTail&) = delete;
  BinlogTail& operator=(const BinlogTail&) = delete;
  ~BinlogTail();  // all seats are given up before

  // Ends the dump, and what waits for it. Idempotent.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  std::unique_ptr<Seat> Enter(WantedTables wanted) ABSL_LOCKS_EXCLUDED(mutex_);

  // What the server had executed at some moment after `since`. One statement, or its failure,
  // answers all who ask for the same time.
  absl::StatusOr<gtid::GtidSet> Executed(absl::Time since) ABSL_LOCKS_EXCLUDED(executed_mutex_);

  // Sessions that read here.
  [[nodiscard]] size_t joined() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  enum class State {
    kIdle,     // nobody is there, or a dump begins at once
    kOpening,  // who waits says where it would begin
    kOpen,
    kFailed,  // to be tried again in a while
  };

  void Run() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Follow() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<gtid::GtidSet> AskExecuted() ABSL_EXCLUSIVE_LOCKS_REQUIRED(executed_mutex_);
  gtid::GtidSet ChooseFloor(const gtid::GtidSet& executed) ABSL_LOCKS_EXCLUDED(mutex_);
  void OpenWindow(gtid::GtidSet floor, mysql::BinlogStream& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status ReadUntilAlone(mysql::BinlogStream& stream) ABSL_LOCKS_EXCLUDED(mutex_);
  void Append(std::shared_ptr<const TailTransaction> transaction) ABSL_LOCKS_EXCLUDED(mutex_);
  void AnnounceLarge(const TailTransaction& transaction) ABSL_LOCKS_EXCLUDED(mutex_);
  void Ended(const absl::Status& end) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool AloneForLong() ABSL_LOCKS_EXCLUDED(mutex_);

  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return stopped_ || !seats_.empty(); }

  const BinlogTailOptions options_;

  absl::Mutex executed_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  std::unique_ptr<mysql::Connection> control_ ABSL_GUARDED_BY(executed_mutex_);
  absl::Time executed_at_ ABSL_GUARDED_BY(executed_mutex_) = absl::InfinitePast();
  absl::StatusOr<gtid::GtidSet> executed_ ABSL_GUARDED_BY(executed_mutex_);

  mutable absl::Mutex mutex_;
  State state_ ABSL_GUARDED_BY(mutex_) = State::kIdle;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<Seat*> seats_ ABSL_GUARDED_BY(mutex_);
  absl::Time alone_since_ ABSL_GUARDED_BY(mutex_);
  TailWindow window_ ABSL_GUARDED_BY(mutex_);
  mysql::BinlogStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // for Interrupt

  std::jthread reader_;  // last: starts when everything else stands
};

}  // namespace sluice::source
