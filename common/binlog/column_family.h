// ColumnFamily: what kind of literal a column takes.

#pragma once

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/binlog/event.h"
#include "common/mysql/table_schema.h"

namespace sluice::binlog {

enum class ColumnFamily : uint8_t {
  kInteger,
  kFloat,
  kDouble,
  kDecimal,
  kBit,
  kYear,
  kDate,
  kTime,
  kDatetime,
  kTimestamp,
  kEnum,
  kSet,
  kText,    // CHAR, VARCHAR, …TEXT
  kBinary,  // BINARY, VARBINARY, …BLOB
  kJson,
  kGeometry,
  kVector,
};

// The family of a column by its DATA_TYPE. UNIMPLEMENTED, naming the column, when it is unknown.
absl::StatusOr<ColumnFamily> FamilyOf(const mysql::ColumnSchema& column);

// Whether the cells of a binlog type can be written to columns of the family.
bool Fits(uint8_t binlog_type, ColumnFamily family);

}  // namespace sluice::binlog
