// Types: groups of columns with values at the edges, each group the columns of one table.

#pragma once

#include <string>
#include <vector>

#include "tests/common/binlog/round_trip_values.h"

namespace sluice::testing {

struct ColumnGroup {
  std::string name;
  std::vector<binlog::ColumnCase> columns;  // a value "DEFAULT" marks a generated column

  [[nodiscard]] size_t values() const;    // of all columns, NULL included
  [[nodiscard]] size_t rows_max() const;  // so many rows hold every value
};

// The value of a column in the i-th row: round and round, NULL after the last one.
std::string ValueAt(const binlog::ColumnCase& column, size_t i);
bool IsGenerated(const binlog::ColumnCase& column);

// Every type of the server; with `large`, values of up to some hundred kilobytes.
std::vector<ColumnGroup> ColumnGroups(bool large);

// Statements that make the table `inner_types`, from which some values are selected.
std::vector<std::string> InnerTypes();

}  // namespace sluice::testing
