// CopiedRowWriter: rows of a snapshot as LOAD DATA, or as multi-row statements.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
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

struct CopiedRowWriterOptions {
  size_t statement_bytes_max = size_t{2} << 20U;
  // A statement is shorter than that where mysqld takes longer.
  absl::Duration statement_time = absl::Milliseconds(250);
  uint64_t load_rows_min = 32;
};

// Writes within the transaction that is open on the connection. Where mysqld takes LOAD DATA LOCAL,
// that writes what it can carry, for less work: it must have stored each row without a warning, or
// the rows are written by statements. Its buffers are reused, so there is no allocation per value.
// Owned by one thread.
class CopiedRowWriter {
 public:
  CopiedRowWriter(mysql::Connection& connection, const CopiedRowWriterOptions& options)
      : connection_(connection),
        sender_(connection),
        options_(options),
        statement_size_(kStatementBytesMin, options.statement_bytes_max, options.statement_time) {}

  // Cells of plan.written, row by row. LOAD DATA replaces rows in the way. A statement that meets
  // another row's key is run again as REPLACE, and so are those after it: `verb` tells.
  // INVALID_ARGUMENT when the bytes are not `row_count` such rows.
  //
  // When LOAD DATA has warned of something, that is an error, and TookBack() is true once: the
  // caller rolls back and writes all of the transaction anew.
  absl::Status Write(const TablePlan& plan, absl::string_view rows, uint64_t row_count,
                     CopyVerb& verb);

  bool TookBack() { return std::exchange(took_back_, false); }

  // Spent on making statements, and on waiting for mysqld to run them, since the last call.
  struct Times {
    absl::Duration building;
    absl::Duration server;
  };
  Times TakeTimes();

 private:
  static constexpr size_t kStatementBytesMin = size_t{32} << 10U;

  absl::Status FindFamilies(const TablePlan& plan);
  bool CanLoad();
  absl::StatusOr<bool> Load(const TablePlan& plan, absl::string_view rows, uint64_t row_count);
  absl::StatusOr<bool> BuildLoadText(const TablePlan& plan, absl::string_view rows,
                                     uint64_t row_count);
  absl::Status AppendRow(const TablePlan& plan);
  absl::Status Run(const TablePlan& plan, CopyVerb& verb);
  void Clear();

  mysql::Connection& connection_;
  RowSender sender_;
  const CopiedRowWriterOptions options_;
  SizeSteering statement_size_;
  std::vector<binlog::ColumnFamily> families_;  // of plan.written
  std::vector<mysql::Cell> cells_;
  std::string sql_;
  std::vector<absl::string_view> long_values_;  // beside sql_
  size_t long_bytes_ = 0;
  size_t rows_ = 0;                                // in sql_
  uint64_t error_enums_ = 0;                       // cells in sql_ that hold an ENUM's error value
  std::optional<bool> can_load_;                   // once mysqld has been asked
  absl::flat_hash_set<std::string> never_loaded_;  // tables of which LOAD DATA warned
  std::string load_text_;
  bool took_back_ = false;
  Times times_;
};

}  // namespace sluice::target
