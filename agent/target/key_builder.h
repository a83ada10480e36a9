// KeyBuilder: adds the secondary keys that a stream's tables went without while they were copied.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "agent/target/stream_record.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// Takes away what DeferrableKeys says of one empty table: writes down durably what is owed, then
// drops it. `connection` is the stream's own, and `record` as it was claimed; a stream that was
// claimed by another since is left alone (ABORTED). May be repeated after a crash at any point.
absl::Status DeferKeysOf(mysql::Connection& connection, const StreamRecord& record,
                         const CopyTable& table, const std::string& physical,
                         const absl::Notification& stopping);

// Ends the session that changes keys of the stream's tables, if there is one, on behalf of somebody
// who stops the stream for good.
absl::Status EndKeyChanges(mysql::Connection& connection, uint64_t stream_id);

// One ALTER TABLE per table that allows writers, in a session and a thread of its own. A session of
// an earlier builder that is at it still, whose agent has died, is waited for. What stands is no
// longer owed, durably. Made by and for one thread.
class KeyBuilder {
 public:
  struct Options {
    mysql::ConnectionOptions local;
    uint64_t stream_id = 0;
    std::string database;
    std::map<std::string, std::string> physical;  // names under which the tables stand
    absl::Duration lock_wait = absl::Minutes(1);
    absl::Duration retry_after = absl::Seconds(10);
  };
  // Adds the keys of these tables in their order. `stopping` outlives it.
  KeyBuilder(Options options, std::vector<CopyTable> tables, const absl::Notification& stopping);
  KeyBuilder(const KeyBuilder&) = delete;
  KeyBuilder& operator=(const KeyBuilder&) = delete;
  // Where the stream is stopping, an ALTER that runs is ended; else it goes on in mysqld, for the
  // next builder to find.
  ~KeyBuilder();

  // All keys stand, or it has failed for good: result() tells.
  [[nodiscard]] bool done() const { return done_.HasBeenNotified(); }
  // Of a builder that is done.
  [[nodiscard]] absl::Status result() const ABSL_LOCKS_EXCLUDED(mutex_);
  // What it does or waits for, for people.
  [[nodiscard]] std::string doing() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status Work();
  absl::Status Connect();
  absl::Status AddKeys(const CopyTable& table);
  absl::Status Alter(const CopyTable& table, const std::vector<OwedKey>& missing);
  void Say(const std::string& text) ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool ended() const ABSL_LOCKS_EXCLUDED(mutex_);

  const Options options_;
  const std::vector<CopyTable> tables_;
  const absl::Notification& stopping_;
  mutable absl::Mutex mutex_;
  std::shared_ptr<mysql::Connection> connection_ ABSL_GUARDED_BY(mutex_);
  std::string doing_ ABSL_GUARDED_BY(mutex_);
  absl::Status result_ ABSL_GUARDED_BY(mutex_);
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Notification done_;
  std::jthread thread_;  // last: starts when everything else stands
};

}  // namespace sluice::target
