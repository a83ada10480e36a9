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
  // fed; so does nothing else. Of an insert `before` is nullptr, of a delete `after`.
  virtual absl::Status OnChange(const TablePlan& plan,
                                const std::shared_ptr<const binlog::TableMapEvent>& map,
                                const binlog::RowImage* before, const binlog::RowImage* after) = 0;
  virtual void OnMarker(std::string id) = 0;
  virtual absl::Status OnEnd() = 0;
};

// Refuses what it could apply only wrongly, with FAILED_PRECONDITION and what to do: DDL and
// statement-based changes of a stream's table (CheckStatement), a table whose columns differ from
// the target's, images that are not whole, partial JSON updates, XA transactions and partial
// rollbacks that touch a stream's table. INVALID_ARGUMENT for malformed bytes or order. Owned by
// one thread.
class EventDecoder {
 public:
  // All outlive it.
  EventDecoder(const WatchedTables& watched, const TablePlans& plans, TransactionSink& sink)
      : watched_(watched), plans_(plans), sink_(sink) {}

  absl::Status Feed(absl::string_view event);

 private:
  struct KnownMap {
    std::string bytes;  // the event's body, to know it again
    std::shared_ptr<const binlog::TableMapEvent> map;
    std::optional<binlog::TableLayout> layout;
    const TablePlan* plan = nullptr;  // nullptr: the marker's table
  };

  absl::Status FeedGtid(absl::string_view event);
  absl::Status FeedQuery(absl::string_view event);
  absl::Status FeedTableMap(absl::string_view event);
  absl::Status FeedRows(absl::string_view event);
  absl::Status FeedMarker(const binlog::RowImage* after);
  absl::Status End();

  const WatchedTables& watched_;
  const TablePlans& plans_;
  TransactionSink& sink_;
  binlog::RowsReader rows_;
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
