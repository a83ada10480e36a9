// Load text: rows of a snapshot as the file of a LOAD DATA statement. Pure.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "agent/target/table_plan.h"
#include "common/binlog/column_family.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// The statement that writes rows of plan.written, of these families, as REPLACE does, for a session
// set up by ConfigureDataSession. Nothing where a column has a type that LOAD DATA can't write
// exactly.
std::optional<std::string> LoadStatement(const TablePlan& plan,
                                         const std::vector<binlog::ColumnFamily>& families);

// Appends a cell that was read by binlog::SelectExpression. False, with `text` as it was, for a
// value that only a literal can carry.
bool AppendLoadCell(binlog::ColumnFamily family, const mysql::ColumnSchema& column,
                    const mysql::Cell& cell, std::string& text);

// Between the cells of a row, and behind it.
inline constexpr char kLoadCellEnd = '\t';
inline constexpr char kLoadRowEnd = '\n';

}  // namespace sluice::target
