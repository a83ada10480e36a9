// KeylessMatch: a condition per family of columns.

#include "agent/target/keyless_match.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/binlog/column_family.h"
#include "common/mysql/connection.h"

namespace sluice::target {
namespace {

// What stands around a column's name and around its literal so that they are equal only if the
// stored bytes are.
struct Forms {
  absl::string_view column_head;
  absl::string_view column_tail;
  absl::string_view literal_head;
  absl::string_view literal_tail;
};

Forms FormsOf(binlog::ColumnFamily family) {
  using binlog::ColumnFamily;
  switch (family) {
    case ColumnFamily::kFloat:
    case ColumnFamily::kDouble:
      // As text, a double names itself exactly, its zero's sign included.
      return {"CAST(CAST(", " AS DOUBLE) AS CHAR)", "CAST(CAST(", " AS DOUBLE) AS CHAR)"};
    case ColumnFamily::kBit:
    case ColumnFamily::kEnum:
    case ColumnFamily::kSet:
      return {"CAST(", " AS UNSIGNED)", "", ""};
    case ColumnFamily::kText:
    case ColumnFamily::kBinary:
      return {"CAST(", " AS BINARY)", "CAST(", " AS BINARY)"};
    case ColumnFamily::kJson:
      return {"CAST(", " AS CHAR)", "CAST(CAST(", " AS JSON) AS CHAR)"};
    case ColumnFamily::kGeometry:
    case ColumnFamily::kVector:
      return {"HEX(", ")", "HEX(", ")"};
    default:
      return {"", "", "", ""};
  }
}

}  // namespace

absl::Status AppendKeylessDelete(const TablePlan& plan, const binlog::TableMapEvent& map,
                                 std::span<const binlog::ImageCell> image, std::string& sql) {
  absl::StrAppend(&sql, "DELETE FROM ", mysql::QuoteTable(plan.database, plan.physical), " WHERE ");
  for (const size_t ordinal : plan.written) {
    const mysql::ColumnSchema& column = plan.schema.columns[ordinal];
    const binlog::ImageCell& cell = image[ordinal];
    absl::StrAppend(&sql, ordinal == plan.written.front() ? "" : " AND ");
    const std::string name = mysql::QuoteName(column.name);
    if (cell.present && cell.null) {
      absl::StrAppend(&sql, name, " IS NULL");
      continue;
    }
    SLUICE_ASSIGN_OR_RETURN(const binlog::ColumnFamily family,
                            binlog::FittingFamily(map.columns[ordinal], column));
    const Forms forms = FormsOf(family);
    absl::StrAppend(&sql, forms.column_head, name, forms.column_tail, " <=> ", forms.literal_head);
    const size_t begin = sql.size();
    SLUICE_RETURN_IF_ERROR(binlog::AppendLiteral(map.columns[ordinal], column, family, cell, sql));
    if (plan.times.Converts(ordinal)) {
      plan.times.Wrap(begin, sql);
    }
    absl::StrAppend(&sql, forms.literal_tail);
  }
  absl::StrAppend(&sql, " LIMIT 1");
  return absl::OkStatus();
}

}  // namespace sluice::target
