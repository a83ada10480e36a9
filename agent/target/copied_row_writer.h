// CopiedRowWriter: rows of a snapshot as multi-row statements.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/target/row_sender.h"
#include "agent/target/size_steering.h"
#include "agent/target/table_plan.h"
#include "common/binlog/column_family.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// Whether a row that takes the key of another one takes its place. INSERT fails with ALREADY_EXISTS
// and changes nothing; where it succeeds REPLACE would have done the same, for more work.
enum class CopyVerb { kInsert, kReplace };

// Writes within the transaction that is open on the connection. Its buffers are reused, so there is
// no allocation per value. Owned by one thread.
class CopiedRowWriter {
 public:
  // A statement is shorter than statement_bytes_max where mysqld takes longer than statement_time.
  CopiedRowWriter(mysql::Connection& connection, size_t statement_bytes_max,
                  absl::Duration statement_time)
      : sender_(connection),
        statement_bytes_max_(statement_bytes_max),
        statement_size_(kStatementBytesMin, statement_bytes_max, statement_time) {}

  // Cells of plan.written, row by row. A statement that meets another row's key is run again as
  // REPLACE, and so are those after it: `verb` tells. INVALID_ARGUMENT when the bytes are not
  // `row_count` such rows.
  absl::Status Write(const TablePlan& plan, absl::string_view rows, uint64_t row_count,
                     CopyVerb& verb);

  // Spent on making statements, and on waiting for mysqld to run them, since the last call.
  struct Times {
    absl::Duration building;
    absl::Duration server;
  };
  Times TakeTimes();

 private:
  static constexpr size_t kStatementBytesMin = size_t{32} << 10U;

  absl::Status FindFamilies(const TablePlan& plan);
  absl::Status AppendRow(const TablePlan& plan);
  absl::Status Run(const TablePlan& plan, CopyVerb& verb);
  absl::Status RunOnce();
  void Clear();

  RowSender sender_;
  const size_t statement_bytes_max_;
  SizeSteering statement_size_;
  std::vector<binlog::ColumnFamily> families_;  // of plan.written
  std::vector<mysql::Cell> cells_;
  std::string sql_;
  std::vector<absl::string_view> long_values_;  // beside sql_
  size_t long_bytes_ = 0;
  size_t rows_ = 0;           // in sql_
  uint64_t error_enums_ = 0;  // cells in sql_ that hold an ENUM's error value
  Times times_;
};

}  // namespace sluice::target
