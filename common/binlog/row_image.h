// Row images: the cells of a rows event, and their SQL literals.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/binlog/column_family.h"
#include "common/binlog/event.h"
#include "common/binlog/json_shape.h"
#include "common/mysql/table_schema.h"

namespace sluice::binlog {

// One image: a cell per column of the table map; `present` false where the image leaves it out.
struct ImageCell {
  bool present = false;
  bool null = false;
  bool partial = false;     // the bytes are diffs to the JSON document of the image before
  absl::string_view bytes;  // as in the binlog, length prefix of the type taken off
};
using RowImage = std::vector<ImageCell>;

struct RowChange {
  std::optional<RowImage> before;  // update, delete
  std::optional<RowImage> after;   // write, update
};

// All changes of a rows event. Every length is checked against the bytes left.
absl::StatusOr<std::vector<RowChange>> DecodeRowChanges(const TableMapEvent& table,
                                                        const RowsEvent& rows);

// Appends the SQL literal of a cell for a session set up by mysql::ConfigureDataSession (SET NAMES
// binary, time_zone '+00:00', strict sql_mode without NO_BACKSLASH_ESCAPES). `column` is the
// target's column: its type, sign, character set and enum members decide how the bytes are written.
// Stored exactly: FLOAT and DOUBLE to the last bit, DECIMAL digit by digit, text with an introducer
// of the column's character set where the bytes are not ASCII, JSON as an expression that keeps
// MySQL's inner types. FAILED_PRECONDITION, naming the column, when the binlog's type and the
// column's do not fit.
absl::Status AppendLiteral(const ColumnType& type, const mysql::ColumnSchema& column,
                           const ImageCell& cell, std::string& sql);

// The family of a column into which values of the binlog's type can be written. Fails as
// AppendLiteral does.
absl::StatusOr<ColumnFamily> FittingFamily(const ColumnType& type,
                                           const mysql::ColumnSchema& column);
// AppendLiteral for a writer of many rows, which has asked for the FittingFamily once.
absl::Status AppendLiteral(const ColumnType& type, const mysql::ColumnSchema& column,
                           ColumnFamily family, const ImageCell& cell, std::string& sql);

// A literal for a value that is written to the column, not compared with it: the same but for
// FLOAT(m,d), whose exact values may be above what it takes.
absl::Status AppendWrittenLiteral(const ColumnType& type, const mysql::ColumnSchema& column,
                                  ColumnFamily family, const ImageCell& cell, std::string& sql);

// What the copy selects of a column so that the text protocol carries the value exactly.
// UNIMPLEMENTED, naming the column, when its type is unknown. A shape is only for JSON columns, and
// only a help (JsonSelectExpression).
absl::StatusOr<std::string> SelectExpression(const mysql::ColumnSchema& column,
                                             const JsonShape* shape = nullptr);

// Appends the SQL literal of a cell that was read by SelectExpression in a session set up by
// ConfigureDataSession; otherwise as AppendWrittenLiteral. INVALID_ARGUMENT, naming the column,
// when the text is no value of the column's type.
absl::Status AppendTextLiteral(const mysql::ColumnSchema& column, const mysql::Cell& cell,
                               std::string& sql);

// The same, for those who keep the column's family (FamilyOf) for many cells.
absl::Status AppendTextLiteral(ColumnFamily family, const mysql::ColumnSchema& column,
                               const mysql::Cell& cell, std::string& sql);

// An ENUM column may hold the error value (index 0), which strict mode refuses even from a source
// that has it. A statement with such cells carries kLenientHint behind its first keyword ("REPLACE
// /*+ … */ INTO"), and must then report exactly one warning per such cell, or be rolled back.
bool IsErrorEnum(const ColumnType& type, const ImageCell& cell);
bool IsErrorEnum(const mysql::ColumnSchema& column, const mysql::Cell& cell);
inline constexpr absl::string_view kLenientHint =
    "/*+ SET_VAR(sql_mode='NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES') */";

}  // namespace sluice::binlog
