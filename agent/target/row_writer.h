// RowWriter: merged changes and copied rows as multi-row statements.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "agent/target/change_set.h"
#include "agent/target/table_plan.h"
#include "common/mysql/connection.h"

namespace sluice::target {

struct RowWriterLimits {
  size_t rows_max = 1000;               // per REPLACE
  size_t deletes_max = 500;             // keys per DELETE, so that the optimizer uses the index
  size_t bytes_max = size_t{1} << 20U;  // per statement; one row may exceed it
};

// Writes within the transaction that is open on the connection. The statement's buffer is reused,
// so there is no allocation per value. Owned by one thread.
class RowWriter {
 public:
  RowWriter(mysql::Connection& connection, RowWriterLimits limits)
      : connection_(connection), limits_(limits) {}

  // Deletes, then REPLACEs, as ChangeSet demands.
  absl::Status WriteChanges(const ChangeSet& changes);

  // Copied rows: cells of plan.written, row by row. INVALID_ARGUMENT when the bytes are not
  // `row_count` such rows.
  absl::Status WriteCopied(const TablePlan& plan, absl::string_view rows, uint64_t row_count);

 private:
  absl::Status Delete(const TableChanges& changes);
  absl::Status Replace(const TableChanges& changes);
  void BeginRow(absl::string_view head);
  // Runs the statement when it is full, or whatever there is.
  absl::Status RunIfFull(size_t rows_max, absl::string_view tail);
  absl::Status Run(absl::string_view tail);
  absl::Status RunLenient();
  void Reset();

  mysql::Connection& connection_;
  const RowWriterLimits limits_;
  std::string sql_;
  size_t rows_ = 0;           // in sql_
  uint64_t error_enums_ = 0;  // cells in sql_ that hold an ENUM's error value
};

}  // namespace sluice::target
