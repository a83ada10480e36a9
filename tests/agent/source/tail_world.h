// TailWorld: a mysqld with several databases, its tail, and readers as streams are.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/source/binlog_session.h"
#include "agent/source/binlog_tail.h"
#include "agent/source/event_joiner.h"
#include "common/gtid/gtid_set.h"
#include "common/mysql/connection.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::source {

// Fetches the batches of a session in a thread, and counts what is in them: a stream that applies
// all at once and holds it in memory. Thread-safe.
class TailReader {
 public:
  explicit TailReader(std::unique_ptr<BinlogSession> session, gtid::GtidSet position);
  ~TailReader();  // Stop()
  TailReader(const TailReader&) = delete;
  TailReader& operator=(const TailReader&) = delete;

  // No batch is asked for while it is paused.
  void Pause(bool paused) ABSL_LOCKS_EXCLUDED(mutex_);
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // Of whole transactions.
  [[nodiscard]] gtid::GtidSet position() const ABSL_LOCKS_EXCLUDED(mutex_);
  // The rows that were inserted into table t, by their column id, in the order they came.
  [[nodiscard]] std::vector<uint32_t> ids() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] std::vector<std::string> transactions() const ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool caught_up() const ABSL_LOCKS_EXCLUDED(mutex_);  // at the last answer
  [[nodiscard]] absl::Status end() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  void Run();
  absl::Status Take(const std::shared_ptr<const EventBatch>& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status TakeEvent(absl::string_view event) ABSL_LOCKS_EXCLUDED(mutex_);

  const std::unique_ptr<BinlogSession> session_;
  // The thread's.
  EventJoiner joiner_;
  BinlogFilter filter_;
  std::string ignored_;
  std::vector<uint32_t> ids_at_hand_;

  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool paused_ ABSL_GUARDED_BY(mutex_) = false;
  bool caught_up_ ABSL_GUARDED_BY(mutex_) = false;
  gtid::GtidSet position_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> ids_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> transactions_ ABSL_GUARDED_BY(mutex_);
  absl::Status end_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

struct TailWorldOptions {
  size_t databases = 4;
  size_t window_bytes_max = 1U << 20U;
  size_t queue_bytes_max = 1U << 20U;
  absl::Duration linger = absl::Seconds(30);
  std::vector<std::string> mysqld = {};
};

// Databases s0, s1, …, each with a table t (id INT). Owned by the test's thread.
class TailWorld {
 public:
  // Null, and a failure reported, when the server does not start.
  static std::unique_ptr<TailWorld> Start(TailWorldOptions options);

  std::unique_ptr<TailReader> Read(size_t database, const gtid::GtidSet& position);
  BinlogTail& tail() { return *tail_; }
  testing::Mysqld& mysqld() { return *mysqld_; }

  std::unique_ptr<mysql::Connection> Connect();
  // On a session of its own that stays. A failure is reported.
  void On(const std::vector<std::string>& statements);
  std::string Ask(const std::string& statement);
  gtid::GtidSet Executed();
  // Dumps that run now, and all that ever ended.
  int Dumps();
  int DumpsEnded();
  // Reports a failure when it does not come true in half a minute.
  static void Await(const std::string& what, const std::function<bool()>& condition);
  void AwaitRead(const TailReader& reader);

 private:
  explicit TailWorld(TailWorldOptions options) : options_(std::move(options)) {}

  const TailWorldOptions options_;
  std::unique_ptr<testing::Mysqld> mysqld_;
  std::unique_ptr<mysql::Connection> connection_;
  std::unique_ptr<BinlogTail> tail_;
  uint32_t server_id_ = 2000;
};

}  // namespace sluice::source
