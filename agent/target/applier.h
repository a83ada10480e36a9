// Applier: transactions of the source, written into the target's tables together with their
// position.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/target/change_set.h"
#include "agent/target/event_decoder.h"
#include "agent/target/row_writer.h"
#include "agent/target/statement_check.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_store.h"
#include "agent/target/table_plan.h"
#include "agent/target/transaction_retry.h"
#include "common/gtid/gtid_set.h"

namespace sluice::target {

struct ApplierOptions {
  size_t changes_max = 5000;            // per group of transactions
  size_t bytes_max = size_t{4} << 20U;  // of images, per group
  absl::Duration idle_save = absl::Seconds(1);
  RowWriterLimits writer;
};

// What an applier works with; all outlive it.
struct ApplierContext {
  RetryContext retry;
  const WatchedTables& watched;
  PositionRow& row;  // the durable row; it changes at commits only
  std::function<void(bool with_marker)> on_commit;
};

// Groups consecutive transactions into one commit while their events are at hand; a transaction
// above the bound is written in pieces within one commit. A marker is committed at once. After an
// error the applier is of no more use: go on from the durable position with a new one. Owned by one
// thread.
class Applier final : public TransactionSink {
 public:
  Applier(const ApplierContext& context, ApplierOptions options);

  // Applies a batch of whole events. On return every transaction that ended in it is committed, but
  // for transactions without changes for us, whose position is saved with the next ones.
  absl::Status Apply(std::shared_ptr<const std::string> events);

  // Saves the position of transactions without changes, if there are any: always when `force`, else
  // when the last commit is idle_save ago.
  absl::Status SavePosition(bool force);

  // Commit time on the source of the last whole transaction, microseconds; 0 before the first.
  [[nodiscard]] int64_t last_transaction_us() const { return seen_.transaction_us; }

  absl::Status OnBegin(const binlog::GtidEvent& gtid) override;
  absl::Status OnChange(const TablePlan& plan,
                        const std::shared_ptr<const binlog::TableMapEvent>& map,
                        binlog::RowChange change) override;
  void OnMarker(std::string id) override;
  absl::Status OnEnd() override;

 private:
  struct PendingChange {
    const TablePlan* plan = nullptr;
    std::shared_ptr<const binlog::TableMapEvent> map;
    binlog::RowChange change;
  };
  // Whole transactions received since the last commit: not applied yet, hence a type of its own.
  struct SeenPosition {
    gtid::GtidSet set;  // durable position and what was received
    int64_t transaction_us = 0;
    uint64_t transactions = 0;  // with changes for us
    uint64_t rows = 0;
    std::vector<std::string> markers;
    bool dirty = false;
  };

  absl::Status CommitGroup();
  absl::Status Commit();
  absl::Status TryCommit();
  absl::Status WritePiece();
  PositionRow NextRow() const;
  void Committed(const PositionRow& row);

  const ApplierContext context_;
  const ApplierOptions options_;
  RowWriter writer_;
  EventDecoder decoder_;

  ChangeSet group_;                     // of whole transactions
  std::vector<PendingChange> pending_;  // of the transaction that has not ended
  size_t pending_bytes_ = 0;
  bool piece_open_ = false;  // part of it is written in an open transaction of ours
  uint64_t rows_in_transaction_ = 0;
  std::vector<std::string> markers_in_transaction_;
  binlog::GtidEvent current_;

  SeenPosition seen_;
  absl::Time last_save_;
  std::vector<std::shared_ptr<const std::string>> buffers_;  // what images point into
};

}  // namespace sluice::target
