// BinlogSession: one reader of the local server's binlog, filtered, in numbered batches.

#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/gtid/gtid_set.h"
#include "common/mysql/binlog_stream.h"
#include "common/mysql/connection.h"

namespace sluice::source {

struct BinlogSessionOptions {
  mysql::ConnectionOptions connection;
  uint32_t server_id = 0;  // unique among the replicas of the server
  std::string database;
  absl::flat_hash_set<std::string> tables;
  gtid::GtidSet position;               // events after it are read
  size_t queue_bytes_max = 16U << 20U;  // read ahead; the reader then waits
  absl::Duration heartbeat = absl::Seconds(1);
};

struct EventBatch {
  std::string events;
  bool caught_up = false;  // proven: all that the server had executed was handed out before
};

struct FetchEventsArguments {
  uint64_t number = 0;
  size_t bytes_max = 0;
  absl::Time deadline;            // for the first event
  std::function<bool()> closing;  // true: answer soon
};

// Reads ahead in a thread of its own. Thread-safe.
class BinlogSession {
 public:
  explicit BinlogSession(BinlogSessionOptions options);
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
  absl::Status ReadUntilClosed(mysql::BinlogStream& stream);
  absl::Status Queue(std::string& chunk, bool transaction_complete) ABSL_LOCKS_EXCLUDED(mutex_);
  void AwaitEvents(const FetchEventsArguments& arguments) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<const EventBatch>> TakeBatch(const FetchEventsArguments& arguments)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(fetch_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);
  bool CaughtUp() ABSL_EXCLUSIVE_LOCKS_REQUIRED(fetch_mutex_) ABSL_LOCKS_EXCLUDED(mutex_);

  bool HasRoomOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || queued_bytes_ < options_.queue_bytes_max;
  }
  bool WorthAnAnswer() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool WorthNoDelay() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const BinlogSessionOptions options_;

  absl::Mutex fetch_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // one Fetch at a time
  uint64_t last_number_ ABSL_GUARDED_BY(fetch_mutex_) = 0;
  std::shared_ptr<const EventBatch> last_batch_ ABSL_GUARDED_BY(fetch_mutex_);
  std::unique_ptr<mysql::Connection> control_ ABSL_GUARDED_BY(fetch_mutex_);

  absl::Mutex mutex_;
  std::deque<std::string> chunks_ ABSL_GUARDED_BY(mutex_);  // events, large ones in pieces
  size_t queued_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t transactions_queued_ ABSL_GUARDED_BY(mutex_) = 0;  // ends within chunks_
  gtid::GtidSet read_ ABSL_GUARDED_BY(mutex_);  // position and all whole transactions since
  absl::Status ended_ ABSL_GUARDED_BY(mutex_);  // why the reader stopped
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  mysql::BinlogStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;  // for Interrupt

  // Touched by the reader's thread only.
  std::vector<gtid::Gtid> completed_;

  std::jthread reader_;  // last: starts when everything else stands
};

}  // namespace sluice::source
