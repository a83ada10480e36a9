// ChangeWriter: merged changes as multi-row statements.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/target/change_set.h"
#include "agent/target/row_sender.h"
#include "agent/target/table_plan.h"
#include "agent/target/write_times.h"
#include "common/binlog/column_family.h"
#include "common/mysql/connection.h"

namespace sluice::target {

struct ChangeWriterLimits {
  size_t rows_max = 1000;               // per REPLACE
  size_t deletes_max = 500;             // keys per DELETE, so that the optimizer uses the index
  size_t compared_deletes_max = 50;     // the same for keys that are compared column by column
  size_t bytes_max = size_t{1} << 20U;  // per statement; one row may exceed it
};

// The rows [first, last) of a table's changes.
struct ChangeSlice {
  const TableChanges* changes = nullptr;
  size_t first = 0;
  size_t last = 0;
};

// Writes within the transaction that is open on the connection. The statement's buffer is reused,
// so there is no allocation per value. Owned by one thread.
class ChangeWriter {
 public:
  ChangeWriter(mysql::Connection& connection, ChangeWriterLimits limits)
      : sender_(connection), limits_(limits) {}

  // For each table deletes, then REPLACEs, as ChangeSet demands; then tables without a key.
  absl::Status Write(const ChangeSet& changes);
  absl::Status Write(const ChangeSlice& slice);
  // Only those of tables without a key, one by one, which must be in the commit of the position.
  // DATA_LOSS names a table that has not got a row that was changed.
  absl::Status WriteKeyless(const ChangeSet& changes);

  // building and server, since the last call.
  WriteTimes TakeTimes() { return std::exchange(times_, WriteTimes()); }

 private:
  // An image of a row, to be written or to be compared with.
  struct Values {
    std::span<const binlog::ImageCell> image;
    const binlog::TableMapEvent* map = nullptr;
    bool written = false;
  };

  absl::Status WriteRows(const ChangeSlice& slice);
  absl::Status Delete(const ChangeSlice& slice);
  absl::Status Replace(const ChangeSlice& slice);
  // Finds the families of the columns that are written, or of the key's.
  absl::Status UseMap(const TablePlan& plan, const std::vector<size_t>& ordinals,
                      const binlog::TableMapEvent& map);
  absl::Status AppendRow(const TablePlan& plan, const std::vector<size_t>& ordinals,
                         const Values& values);
  absl::Status AppendComparison(const TablePlan& plan, const Values& values);
  absl::Status AppendCell(const TablePlan& plan, size_t family, size_t ordinal,
                          const Values& values);
  absl::Status WriteKeylessChange(const KeylessChange& change);
  absl::Status RunIfFull(const TablePlan& plan, size_t rows_max, absl::string_view tail);
  absl::Status Run(const TablePlan& plan, absl::string_view tail);
  void Clear();

  RowSender sender_;
  const ChangeWriterLimits limits_;
  std::string sql_;
  std::vector<absl::string_view> long_values_;  // beside sql_
  size_t long_bytes_ = 0;
  WriteTimes times_;
  size_t rows_ = 0;                             // in sql_
  uint64_t error_enums_ = 0;                    // cells in sql_ that hold an ENUM's error value
  const binlog::TableMapEvent* map_ = nullptr;  // that families_ are of
  std::vector<binlog::ColumnFamily> families_;  // one per ordinal
};

}  // namespace sluice::target
