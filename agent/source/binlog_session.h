// BinlogSession: the local server's binlog for one stream, filtered, in numbered batches.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/source/binlog_filter.h"
#include "agent/source/binlog_tail.h"
#include "agent/source/tail_transaction.h"
#include "agent/source/wanted_tables.h"
#include "common/gtid/gtid_set.h"
#include "common/mysql/binlog_stream.h"
#include "common/mysql/connection.h"

namespace sluice::source {

struct BinlogSessionOptions {
  mysql::ConnectionOptions connection;
  uint32_t server_id = 0;  // unique among the replicas of the server
  WantedTables wanted;
  gtid::GtidSet position;               // events after it are read
  size_t queue_bytes_max = 16U << 20U;  // read ahead; the reader then waits
  absl::Duration heartbeat = absl::Seconds(1);
};

struct EventBatch {
  std::string events;
  // Proven: all that the server had executed when this was asked for was handed out before.
  bool caught_up = false;
};

struct FetchEventsArguments {
  uint64_t number = 0;
  size_t bytes_max = 0;
  absl::Time deadline;  // for the first event
};

// Reads ahead in a thread of its own: at the tail while its position is within the tail's window,
// else by a dump of its own, which leads there. Between the two it goes by the set of transactions
// that it has read, and only at the end of one, so none is lost or doubled. Thread-safe.
class BinlogSession {
 public:
  // `tail` outlives the session.
  BinlogSession(BinlogSessionOptions options, BinlogTail& tail);
  BinlogSession(const BinlogSession&) = delete;
  BinlogSession& operator=(const BinlogSession&) = delete;
  ~BinlogSession();  // Close(), and joins the reader

  // Batch `number`, from 1 on: the last one again, with the same bytes, or the next one, which
  // gives the last one up. Waits for a whole transaction (or a good deal of a large one) until the
  // deadline, then answers with no events. What stopped the reader comes after the last event that
  // it read: DATA_LOSS when the binlogs that follow the position are purged, UNAVAILABLE when the
  // connection is lost. OUT_OF_RANGE for any other number.
  absl::StatusOr<std::shared_ptr<const EventBatch>> Fetch(const FetchEventsArguments& arguments)
      ABSL_LOCKS_EXCLUDED(fetch_mutex_, mutex_);

  // Ends the reader and all waiting calls (CANCELLED).
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Read();
  // Both return OK when the session is to go on by the other one. ReadAlone joins the tail.
  absl::Status ReadAlone();
  absl::Status ReadTail();
  absl::Status ReadUntilJoined(mysql::BinlogStream& stream);
  absl::Status TakeIn(const TailTransaction& transaction, BinlogFilter& filter);
  // Feeds one event, and queues what has gathered.
  absl::Status Feed(absl::string_view event, BinlogFilter& filter) ABSL_LOCKS_EXCLUDED(mutex_);
  bool Join(bool begins) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Queue(std::string& chunk, bool transaction_complete) ABSL_LOCKS_EXCLUDED(mutex_);
  void AwaitEvents(const FetchEventsArguments& arguments) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<const EventBatch>> TakeBatch(const FetchEventsArguments& arguments)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(fetch_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  bool CaughtUp(absl::Time since) ABSL_LOCKS_EXCLUDED(mutex_);

  bool HasRoomOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || queued_bytes_ < options_.queue_bytes_max;
  }
  bool WorthAnAnswer() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WorthNoDelay() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BinlogSessionOptions options_;
  BinlogTail& tail_;
  const std::unique_ptr<BinlogTail::Seat> seat_;

  absl::Mutex fetch_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one Fetch at a time
  uint64_t last_number_ ABSL_GUARDED_BY(fetch_mutex_) = 0;
  std::shared_ptr<const EventBatch> last_batch_ ABSL_GUARDED_BY(fetch_mutex_);

  absl::Mutex mutex_;
  std::deque<std::string> chunks_ ABSL_GUARDED_BY(mutex_);  // events, large ones in pieces
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t transactions_queued_ ABSL_GUARDED_BY(mutex_) = 0;  // ends within chunks_
  gtid::GtidSet read_ ABSL_GUARDED_BY(mutex_);  // position and all whole transactions since
  bool within_transaction_ ABSL_GUARDED_BY(mutex_) = false;  // what was queued last ends in one
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);               // why the reader stopped
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  mysql::BinlogStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // for Interrupt

  // Touched by the reader's thread only.
  std::vector<gtid::Gtid> completed_;
  std::string chunk_;

  std::jthread reader_;  // last: starts when everything else stands
};

}  // namespace sluice::source
