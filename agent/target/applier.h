// Applier: groups of the source's transactions, written into the target's tables together with
// their position.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/target/change_group.h"
#include "agent/target/change_writer.h"
#include "agent/target/size_steering.h"
#include "agent/target/slice_pool.h"
#include "agent/target/stream_record.h"
#include "agent/target/transaction_retry.h"
#include "agent/target/write_times.h"
#include "common/gtid/gtid_set.h"

namespace sluice::target {

struct ApplierOptions {
  size_t changes_max = 20'000;           // per group, as they come
  size_t bytes_max = size_t{16} << 20U;  // of events and cells per group
  absl::Duration idle_save = absl::Seconds(1);
  size_t parallel_rows = 4000;  // so many changes are worth several sessions
  ChangeWriterLimits writer;
  SlicePoolOptions slices;
  absl::Duration batch_time = absl::Seconds(1);  // above it, groups become smaller
};

// What an applier works with; all outlive it.
struct ApplierContext {
  RetryContext retry;
  const mysql::ConnectionOptions& local;  // for more sessions
  const std::string& workflow;
  const std::string& database;  // of the target's tables
  PositionRow& row;             // the durable row; it changes at commits only
  std::function<void(bool with_marker)> on_commit;
  std::function<void(const WriteTimes&)> on_times = nullptr;  // at each of them; may be empty
};

// One group, one commit of rows and position. Two kinds of groups differ:
// - Parts of a transaction that is larger than a group share one transaction here, and are
//   committed with the last one.
// - Large groups are written by several sessions while the gate of the workflow is closed, which
//   the session that commits the position makes sure of until it has: nobody reads the tables, so
//   the states between need not be the source's. The position comes last; a crash before it means
//   that all of the group is applied again.
// After an error the applier is of no more use: go on from the durable position with a new one.
// Owned by one thread.
class Applier final {
 public:
  Applier(const ApplierContext& context, const ApplierOptions& options);
  Applier(const Applier&) = delete;
  Applier& operator=(const Applier&) = delete;

  // On return every transaction that ended in the group is committed, but for transactions without
  // changes for us, whose position is saved with the next ones.
  absl::Status Apply(const ChangeGroup& group);

  // Saves the position of transactions without changes, if there are any: always when `force`, else
  // when the last commit is idle_save ago.
  absl::Status SavePosition(bool force);

  // How many changes the next groups are best to have, by how long the last ones took.
  [[nodiscard]] size_t changes_wanted() const { return group_size_.size(); }

  // Commit time on the source of the last whole transaction, microseconds; 0 before the first.
  [[nodiscard]] int64_t last_transaction_us() const { return seen_.transaction_us; }

 private:
  // What is between the durable position and the end of the last group: not applied yet, hence a
  // type of its own.
  struct SeenPosition {
    gtid::GtidSet set;  // the durable position and what was received since
    int64_t transaction_us = 0;
    uint64_t transactions = 0;  // with changes for us
    uint64_t rows = 0;
    std::vector<std::string> markers;
    bool dirty = false;
  };
  enum class Open { kNo, kSerial, kParallel };

  void See(const ChangeGroup& group);
  absl::Status Commit(const ChangeGroup& group);
  absl::Status TryCommit(const ChangeGroup& group);
  absl::Status WritePart(const ChangeGroup& group);
  // Begins a transaction, and finds out how the group is to be written in it.
  absl::Status Begin(const ChangeGroup& group);
  absl::Status Write(const ChangeGroup& group);
  absl::StatusOr<bool> LockClosedGate();
  [[nodiscard]] PositionRow NextRow() const;
  void Committed(const PositionRow& row);
  absl::Status ApplyGroup(const ChangeGroup& group);

  const ApplierContext context_;
  const ApplierOptions options_;
  ChangeWriter writer_;
  SlicePool slices_;
  SizeSteering group_size_;
  WriteTimes times_;       // since the last commit
  Open open_ = Open::kNo;  // the transaction of ours
  SeenPosition seen_;
  absl::Time last_save_;
};

}  // namespace sluice::target
