// EventDecoder: filtered binlog events in, transactions of row changes out. Pure.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/node_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/target/prepared_transactions.h"
#include "agent/target/source_ddl.h"
#include "agent/target/statement_check.h"
#include "agent/target/table_plan.h"
#include "common/binlog/event.h"
#include "common/binlog/row_image.h"
#include "common/binlog/rows_reader.h"

namespace sluice::target {

// Receives transactions in the order of the binlog.
class TransactionSink {
 public:
  TransactionSink() = default;
  TransactionSink(const TransactionSink&) = delete;
  TransactionSink& operator=(const TransactionSink&) = delete;
  virtual ~TransactionSink() = default;

  virtual absl::Status OnBegin(const binlog::GtidEvent& gtid) = 0;
  // Images are whole, valid during the call, and their cells point into the event that is being
  // fed or into what was kept; so does nothing else. Of an insert `before` is nullptr, of a delete
  // `after`.
  virtual absl::Status OnChange(const TablePlan& plan,
                                const std::shared_ptr<const binlog::TableMapEvent>& map,
                                const binlog::RowImage* before, const binlog::RowImage* after) = 0;
  virtual void OnMarker(std::string id) = 0;
  // Cells of the following changes may point into these bytes.
  virtual void OnKeep(std::shared_ptr<const std::string> bytes) = 0;
  // A transaction that was held earlier is decided by this one, which ends like any other.
  virtual void OnDecided(const gtid::Gtid& held) = 0;
  virtual absl::Status OnEnd() = 0;
  // A statement that is to be carried out on the target. Its transaction has not ended, and nothing
  // more is to be fed.
  virtual void OnDdl(SourceDdl ddl) = 0;
  // The transaction ends, without changes, and is not to count as applied: XA PREPARE.
  virtual void OnHeld() = 0;
};

// Refuses what it could apply only wrongly, with FAILED_PRECONDITION and what to do: DDL and
// statement-based changes of a stream's table (CheckStatement), a table whose columns differ from
// the target's, images that are not whole, and rollbacks behind rows of a stream's table.
// INVALID_ARGUMENT for malformed bytes or order.
//
// A partial update of a JSON column becomes a whole image by the image before. The changes of an XA
// transaction come with its XA COMMIT, whose locks have kept all others away from its rows until
// then. Owned by one thread.
class EventDecoder {
 public:
  // All outlive it.
  EventDecoder(const WatchedTables& watched, const TablePlans& plans, TransactionSink& sink)
      : watched_(watched), plans_(plans), sink_(sink) {}

  absl::Status Feed(absl::string_view event);

 private:
  static constexpr size_t kPreparedBytesMax = size_t{256} << 20U;
  struct KnownMap {
    std::string bytes;  // the event's body, to know it again
    std::shared_ptr<const binlog::TableMapEvent> map;
    std::optional<binlog::TableLayout> layout;
    const TablePlan* plan = nullptr;  // nullptr: the marker's table
  };

  absl::Status FeedGtid(absl::string_view event);
  absl::Status FeedQuery(absl::string_view event);
  absl::Status FeedStatement(const binlog::QueryEvent& query, uint32_t seconds);
  absl::Status FeedXaPrepare(absl::string_view event);
  absl::Status Decide(absl::string_view xid, bool commit);
  absl::Status Replay(const std::shared_ptr<const std::string>& events);
  absl::Status FeedTableMap(absl::string_view event);
  absl::Status FeedRows(absl::string_view event);
  absl::Status FeedMarker(const binlog::RowImage* after);
  // The image after of a row with partial JSON columns, made whole in whole_.
  absl::Status MakeWhole(const TablePlan& plan, const binlog::RowImage& before,
                         const binlog::RowImage& after);
  absl::Status End();

  const WatchedTables& watched_;
  const TablePlans& plans_;
  TransactionSink& sink_;
  binlog::RowsReader rows_;
  binlog::RowImage whole_;
  PreparedTransactions prepared_{kPreparedBytesMax};
  gtid::Gtid gtid_;                 // of the transaction that is being fed
  std::optional<std::string> xid_;  // of an XA transaction with rows of ours
  std::string xa_events_;           // its events so far
  bool in_transaction_ = false;
  bool begun_ = false;                                   // by BEGIN, so a QUERY does not end it
  bool has_rows_ = false;                                // of a stream's table or the marker
  absl::node_hash_map<uint64_t, KnownMap> maps_;         // of all transactions
  absl::flat_hash_map<uint64_t, const KnownMap*> open_;  // of this one
};

// Whether a row of this table map can be written by the plan: the same number of columns, and the
// same names where the source writes them. FAILED_PRECONDITION names table and column.
absl::Status CheckTableMap(const TablePlan& plan, const binlog::TableMapEvent& map);

}  // namespace sluice::target
