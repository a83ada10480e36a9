// CopyWorker: one session that copies ranges, its rows and their progress in the same commit.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"
#include "agent/target/background_call.h"
#include "agent/target/copied_row_writer.h"
#include "agent/target/copy_queue.h"
#include "agent/target/source_client.h"
#include "agent/target/stream_store.h"
#include "agent/target/stream_throttle.h"
#include "agent/target/table_plan.h"
#include "agent/target/write_times.h"
#include "common/mysql/connection.h"

namespace sluice::target {

struct CopierOptions {
  size_t workers = 0;                         // sessions on either side; 0: by the number of cores
  uint32_t rows_max = 20'000;                 // per fetch and, about, per commit
  uint32_t bytes_max = 1U << 20U;             // of rows, per fetch
  uint64_t part_bytes = uint64_t{16} << 20U;  // of a table that is copied in parts
  size_t statement_bytes_max = size_t{2} << 20U;         // one row may exceed it
  uint64_t load_rows_min = 32;                           // so many are worth LOAD DATA
  size_t commit_bytes = size_t{4} << 20U;                // of rows, per commit, or
  absl::Duration commit_time = absl::Milliseconds(500);  // of work on the server
};

// What all workers share; outlives them.
struct CopyWorkerContext {
  const mysql::ConnectionOptions& local;
  const CopierOptions& options;
  CopyQueue& queue;
  SourceClient& source;
  const TablePlans& plans;
  const PositionRow& position;  // does not change while they work
  const std::string& session;   // of the source's snapshots
  absl::Time deadline;
  const absl::Notification& stopping;
  absl::Mutex& large_rows;             // held while rows of many megabytes are in memory
  StreamThrottle* throttle = nullptr;  // nullptr: nothing is throttled
  // After each commit, what it took since the last one; in any thread.
  std::function<void(const WriteTimes&)> on_times = nullptr;
};

// Fetches the next rows while it writes the last ones. Rows of several ranges, hence of many small
// tables, are one commit. Rows of many megabytes are fetched, written and committed one by one, by
// one worker at a time, so that memory holds one of them. Owned by one thread.
class CopyWorker {
 public:
  explicit CopyWorker(const CopyWorkerContext& context) : context_(context) {}
  CopyWorker(const CopyWorker&) = delete;
  CopyWorker& operator=(const CopyWorker&) = delete;

  // Copies until there is nothing left to take, the deadline (but some rows at least), or the
  // stream is stopped; all that was written is committed then. After an error, what was not
  // committed is not copied.
  absl::Status Run();

  [[nodiscard]] const WriteTimes& times() const { return times_; }

 private:
  struct Fetched {
    absl::StatusOr<FetchedRows> rows;
    absl::Time ready;
  };
  // Rows that are written and not yet committed, to write them again after a deadlock.
  struct Portion {
    const TablePlan* plan = nullptr;
    FetchedRows rows;
    CopyProgress after;  // how far its range is with them
    bool give_back = false;
  };

  absl::Status Connect();
  absl::Status Work();
  absl::Status TakeNext(bool wait);
  // Splits once the copy is not throttled; false as AwaitThrottle.
  absl::StatusOr<bool> SplitWhenOpen(CopyWork& work);
  absl::Status Split(CopyWork& work);
  absl::Status WriteNext(FetchedRows rows);
  absl::Status CopyLargeRows(std::optional<FetchedRows> begun)
      ABSL_LOCKS_EXCLUDED(context_.large_rows);
  void Fetch();
  absl::StatusOr<FetchedRows> TakeFetched();
  // Waits while the copy is throttled, with all that was written committed. False when the copy is
  // to end meanwhile: at its deadline, or because a snapshot is not to be held for so long.
  absl::StatusOr<bool> AwaitThrottle();
  absl::Status NoteThrottled();
  void NoteOpen();
  void TellTimes();
  Portion Received(FetchedRows rows);
  void LearnSize(uint64_t rows, uint64_t bytes);
  absl::Status Write(Portion portion);
  absl::Status WritePending();
  absl::Status Commit();
  absl::Status CommitPending();
  absl::Status WithRetries(const std::function<absl::Status()>& step);
  [[nodiscard]] bool MustStop() const;
  [[nodiscard]] bool IsFull() const;

  const CopyWorkerContext context_;
  std::unique_ptr<mysql::Connection> connection_;
  std::unique_ptr<StreamStore> store_;
  std::unique_ptr<CopiedRowWriter> writer_;
  BackgroundCall<Fetched> call_;

  std::optional<CopyWork> in_hand_;  // what is being fetched from
  const TablePlan* plan_ = nullptr;  // of in_hand_
  uint64_t part_bytes_ = 0;          // fetched of in_hand_
  bool large_ = false;               // rows of in_hand_ are; nothing is fetched ahead then

  std::vector<Portion> pending_;
  size_t written_ = 0;       // of pending_, in the open transaction
  size_t portions_max_ = 1;  // grows with every commit, so that the first progress shows early
  uint64_t pending_rows_ = 0;
  size_t pending_bytes_ = 0;
  bool open_ = false;  // a transaction is
  CopyVerb verb_ = CopyVerb::kInsert;
  absl::Duration server_time_;                           // spent on pending_
  absl::Time throttled_since_ = absl::InfiniteFuture();  // on either side
  absl::Time throttled_until_ = absl::InfinitePast();    // here; till then no rows were handed off
  WriteTimes times_;
  WriteTimes told_;  // of times_
};

}  // namespace sluice::target
