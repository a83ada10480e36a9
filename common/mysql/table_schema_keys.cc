// ChooseKey: ranks the unique keys of a table.

#include "common/mysql/table_schema_keys.h"

#include <algorithm>
#include <tuple>

#include "absl/strings/match.h"

namespace sluice::mysql {
namespace {

bool IsInteger(const ColumnSchema& column) {
  return absl::EndsWith(column.data_type, "int");
}

bool IsFloating(const ColumnSchema& column) {
  return column.data_type == "float" || column.data_type == "double";
}

// Smaller is better: number of columns, of generated ones, of other than integers, then the name so
// that the choice does not depend on the order of the rows.
using Rank = std::tuple<size_t, size_t, size_t, std::string>;

bool RankOf(const TableSchema& table, const IndexSchema& index, Rank* rank) {
  if (!index.is_unique || !index.all_not_null || index.has_prefix_or_expression) {
    return false;
  }
  size_t generated = 0;
  size_t others = 0;
  for (const std::string& name : index.columns) {
    const ColumnSchema* column = table.FindColumn(name);
    if (column == nullptr || IsFloating(*column)) {
      return false;
    }
    generated += column->is_generated ? 1U : 0U;
    others += IsInteger(*column) ? 0U : 1U;
  }
  *rank = {index.columns.size(), generated, others, index.name};
  return true;
}

}  // namespace

std::vector<std::string> ChooseKey(const TableSchema& table) {
  const IndexSchema* best = nullptr;
  Rank best_rank;
  for (const IndexSchema& index : table.indexes) {
    if (index.name == "PRIMARY") {
      return index.columns;
    }
    Rank rank;
    if (RankOf(table, index, &rank) && (best == nullptr || rank < best_rank)) {
      best = &index;
      best_rank = rank;
    }
  }
  return best == nullptr ? std::vector<std::string>{} : best->columns;
}

}  // namespace sluice::mysql
