// SlicePool: sessions that write parts of a group of changes at once, each part a commit.

#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "agent/target/background_call.h"
#include "agent/target/change_set.h"
#include "agent/target/change_writer.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_store.h"
#include "common/mysql/connection.h"

namespace sluice::target {

struct SlicePoolOptions {
  size_t sessions = 3;
  size_t slice_rows = 2500;  // per commit
  ChangeWriterLimits writer;
};

// Cuts the changes into slices that may be written in any order: rows of a table whose keys are
// equal only where their bytes are, and which has no other unique key, as they come; all other
// tables as a whole. Pure.
std::vector<ChangeSlice> CutIntoSlices(const ChangeSet& changes, size_t slice_rows);

// A slice commits without the stream's position, so a crash leaves the target between two of the
// source's states: only for tables that nobody reads, and only because everything since the
// durable position is applied again afterwards (docs/design.md, streams). Sessions are opened when
// they are needed first. Owned by one thread.
class SlicePool {
 public:
  // All outlive it.
  SlicePool(const mysql::ConnectionOptions& local, const absl::Notification& stopping,
            SlicePoolOptions options);
  SlicePool(const SlicePool&) = delete;
  SlicePool& operator=(const SlicePool&) = delete;

  // Writes and commits all changes; each slice is tried again after a deadlock. `row` is the
  // stream's as it was claimed or last committed: a slice commits only while it stands so. After a
  // failure some of the changes may be committed.
  absl::Status Write(const ChangeSet& changes, const PositionRow& row);

  // building and server of all sessions, since the last call.
  WriteTimes TakeTimes();

 private:
  struct Session {
    std::unique_ptr<mysql::Connection> connection;
    std::unique_ptr<StreamStore> store;
    std::unique_ptr<ChangeWriter> writer;
    absl::Duration committing;
    BackgroundCall<absl::Status> call;
  };
  // What the sessions take their slices from.
  struct Work {
    const PositionRow& row;
    std::vector<ChangeSlice> slices;
    absl::Mutex mutex;
    size_t next ABSL_GUARDED_BY(mutex) = 0;
    bool failed ABSL_GUARDED_BY(mutex) = false;
  };

  absl::Status Connect(Session& session) const;
  absl::Status TakeAndWrite(Session& session, Work& work) const;
  absl::Status WriteSlice(Session& session, const ChangeSlice& slice, const PositionRow& row) const;

  const mysql::ConnectionOptions& local_;
  const absl::Notification& stopping_;
  const SlicePoolOptions options_;
  std::vector<std::unique_ptr<Session>> sessions_;
};

}  // namespace sluice::target
