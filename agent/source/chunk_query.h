// ChunkQuery: the SELECT that reads the next rows of a table in key order. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/binlog/json_shape.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"

namespace sluice::source {

struct ChunkQuery {
  const mysql::TableSchema* schema = nullptr;
  std::vector<const mysql::ColumnSchema*> columns;  // wanted, in order
  std::vector<const mysql::ColumnSchema*> key;
  std::vector<mysql::Cell>
      after_key;  // one cell per key column, in KeyExpression's form; empty: start
  std::vector<mysql::Cell> end_key;  // likewise, the last key wanted; empty: to the table's end
  // Per wanted column, of its documents as they have been so far; empty: none is known.
  std::vector<std::optional<binlog::JsonShape>> shapes;
  uint64_t limit = 0;   // rows
  uint64_t offset = 0;  // rows before them; only without a key
};

// The sets of "uuid:7#12,uuid2:tag:8#3#4", which is what mysqld has in gtid_owned: "uuid:7,…".
std::string OwnedGtids(absl::string_view owned);

// The expression by which a key column's cell is read, so that KeyLiteral can stand for the value
// in a comparison that has the order of ORDER BY: members of ENUM and SET and the bits of BIT as
// numbers, FLOAT with all its digits, all else the column itself.
std::string KeyExpression(const mysql::ColumnSchema& column);

// The literal of such a cell, typed so that the column's own collation decides the comparison. For
// a session with SET NAMES binary. UNIMPLEMENTED names a column whose type cannot be a key;
// INVALID_ARGUMENT one whose cell does not fit its type.
absl::StatusOr<std::string> KeyLiteral(const mysql::ColumnSchema& column, absl::string_view cell);

// The condition "key > after_key" in the order of the key: (a > x) OR (a = x AND b > y) …
absl::StatusOr<std::string> AfterKeyCondition(const std::vector<const mysql::ColumnSchema*>& key,
                                              const std::vector<mysql::Cell>& after_key);

// The condition "key <= end_key": (a < x) OR (a = x AND b <= y) …
absl::StatusOr<std::string> UpToKeyCondition(const std::vector<const mysql::ColumnSchema*>& key,
                                             const std::vector<mysql::Cell>& end_key);

// The statement: the wanted columns, then the key's expressions, for the key's index where one has
// just its columns in its order. Without a key: the rows as a scan of the table itself finds them.
absl::StatusOr<std::string> BuildChunkQuery(const ChunkQuery& query);

// The statement that reads the key's expressions of the limit-th row only, or no row where fewer
// follow; `columns` do not matter.
absl::StatusOr<std::string> BuildBoundaryQuery(const ChunkQuery& query);

}  // namespace sluice::source
