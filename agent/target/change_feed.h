// ChangeFeed: the binlog of a source as groups of merged changes, decoded while the last group is
// applied.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "agent/source/event_joiner.h"
#include "agent/target/change_group.h"
#include "agent/target/event_feed.h"
#include "agent/target/group_builder.h"

namespace sluice::target {

struct ChangeFeedOptions {
  EventFeedOptions events;
  GroupLimits group;
};

// A group is whatever has come since the last one was taken, up to the bounds: one transaction on
// a quiet stream, thousands behind a slow target. So groups grow just as far as they must, and no
// transaction waits for others. Memory is bounded by two groups and two batches of events, or one
// event that is larger than those.
//
// Next is for one thread; reading and decoding happen in a thread of the feed's own.
class ChangeFeed final {
 public:
  // What it reads from; all outlive it. Of `plans` it uses what TablePlans::Reload keeps.
  struct Source {
    SourceClient& client;
    const WatchedTables& watched;
    const TablePlans& plans;
  };
  // Opens a session at `position`.
  static absl::StatusOr<std::unique_ptr<ChangeFeed>> Open(const Source& source,
                                                          const std::vector<std::string>& tables,
                                                          const std::string& position,
                                                          const ChangeFeedOptions& options);
  ChangeFeed(const ChangeFeed&) = delete;
  ChangeFeed& operator=(const ChangeFeed&) = delete;
  ~ChangeFeed();  // ends the session

  // The next group; without transactions when none came in time. After a failure, which comes
  // behind the groups that are whole without it, the feed is of no more use.
  absl::StatusOr<ChangeGroup> Next() ABSL_LOCKS_EXCLUDED(mutex_);

  // Of the groups that come; the options' bound stays the most.
  void LimitChanges(size_t changes_max) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  ChangeFeed(const Source& source, std::unique_ptr<EventFeed> events,
             const ChangeFeedOptions& options);

  void Read() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status Add(const FetchedEvents& batch) ABSL_LOCKS_EXCLUDED(mutex_);
  void NoteReady() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool HasRoomOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !builder_.Full();
  }
  bool HasSomething() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return failure_.has_value() || builder_.WorthTaking();
  }

  // Then the last group is gone.
  bool IsAskedOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return asked_ || closed_; }

  const std::unique_ptr<EventFeed> events_;
  source::EventJoiner joiner_;  // of the reader's thread

  absl::Mutex mutex_;
  GroupBuilder builder_ ABSL_GUARDED_BY(mutex_);
  absl::Time ready_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();  // since when it is
  std::optional<absl::Status> failure_ ABSL_GUARDED_BY(mutex_);        // why reading has ended
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;  // a Next waits

  std::jthread reader_;  // last: starts when everything else stands
};

}  // namespace sluice::target
