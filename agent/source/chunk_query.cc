// ChunkQuery: literals and conditions in the order of a key.

#include "agent/source/chunk_query.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "common/binlog/row_image.h"

namespace sluice::source {
namespace {

enum class KeyKind { kInteger, kNumber, kTemporal, kText, kBinary, kUnsupported };

KeyKind KindOf(const mysql::ColumnSchema& column) {
  static constexpr std::array<absl::string_view, 9> kIntegers = {
      "tinyint", "smallint", "mediumint", "int", "bigint", "year", "bit", "enum", "set"};
  static constexpr std::array<absl::string_view, 3> kNumbers = {"decimal", "float", "double"};
  static constexpr std::array<absl::string_view, 4> kTemporals = {"date", "time", "datetime",
                                                                  "timestamp"};
  static constexpr std::array<absl::string_view, 6> kTexts = {"char", "varchar",    "tinytext",
                                                              "text", "mediumtext", "longtext"};
  static constexpr std::array<absl::string_view, 6> kBinaries = {
      "binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob"};
  const absl::string_view type = column.data_type;
  const auto in = [&](const auto& list) {
    return std::find(list.begin(), list.end(), type) != list.end();
  };
  if (in(kIntegers)) {
    return KeyKind::kInteger;
  }
  if (in(kNumbers)) {
    return KeyKind::kNumber;
  }
  if (in(kTemporals)) {
    return KeyKind::kTemporal;
  }
  if (in(kTexts)) {
    return column.charset == "binary" ? KeyKind::kBinary : KeyKind::kText;
  }
  return in(kBinaries) ? KeyKind::kBinary : KeyKind::kUnsupported;
}

bool OnlyOf(absl::string_view cell, absl::string_view allowed) {
  return !cell.empty() && std::all_of(cell.begin(), cell.end(), [&](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
           allowed.find(c) != absl::string_view::npos;
  });
}

absl::Status BadCell(const mysql::ColumnSchema& column) {
  return absl::InvalidArgumentError(
      absl::StrCat("the key cell of column ", column.name, " is not a ", column.column_type));
}

// A unique index whose columns are the key's, to keep the optimizer from a sort.
std::string IndexHint(const ChunkQuery& query) {
  for (const mysql::IndexSchema& index : query.schema->indexes) {
    const bool same = index.is_unique && !index.has_prefix_or_expression &&
                      std::equal(index.columns.begin(), index.columns.end(), query.key.begin(),
                                 query.key.end(), [](const std::string& name, const auto* column) {
                                   return name == column->name;
                                 });
    if (same) {
      return absl::StrCat(" FORCE INDEX (", mysql::QuoteName(index.name), ")");
    }
  }
  return "";
}

// How a key's columns are compared: those before the last one, and the last.
struct Comparison {
  absl::string_view inner;
  absl::string_view last;
};

// (a > x) OR (a = x AND b > y) …, which the optimizer reads as ranges of the key's index.
absl::StatusOr<std::string> KeyCondition(const std::vector<const mysql::ColumnSchema*>& key,
                                         const std::vector<mysql::Cell>& cells,
                                         const Comparison& comparison) {
  if (key.size() != cells.size()) {
    return absl::InvalidArgumentError(
        absl::StrCat("a key of ", cells.size(), " cells for a key of ", key.size(), " columns"));
  }
  std::string condition;
  std::string equal_before;
  for (size_t i = 0; i < key.size(); ++i) {
    if (!cells[i].has_value()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the key's column ", key[i]->name, " is NULL"));
    }
    SLUICE_ASSIGN_OR_RETURN(const std::string literal, KeyLiteral(*key[i], *cells[i]));
    const std::string name = mysql::QuoteName(key[i]->name);
    absl::StrAppend(&condition, i == 0 ? "" : " OR ", "(", equal_before, name,
                    i + 1 == key.size() ? comparison.last : comparison.inner, literal, ")");
    absl::StrAppend(&equal_before, name, " = ", literal, " AND ");
  }
  return condition;
}

// The given expressions, then the key's, of the rows between the query's keys.
absl::StatusOr<std::string> SelectInKeyOrder(const ChunkQuery& query,
                                             std::vector<std::string> expressions) {
  std::vector<std::string> order;
  for (const mysql::ColumnSchema* column : query.key) {
    expressions.push_back(KeyExpression(*column));
    order.push_back(mysql::QuoteName(column->name));
  }
  std::string sql =
      absl::StrCat("SELECT ", absl::StrJoin(expressions, ", "), " FROM ",
                   mysql::QuoteTable(query.schema->database, query.schema->name), IndexHint(query));
  std::vector<std::string> conditions;
  if (!query.after_key.empty()) {
    SLUICE_ASSIGN_OR_RETURN(std::string after, AfterKeyCondition(query.key, query.after_key));
    conditions.push_back(std::move(after));
  }
  if (!query.end_key.empty()) {
    SLUICE_ASSIGN_OR_RETURN(std::string up_to, UpToKeyCondition(query.key, query.end_key));
    conditions.push_back(std::move(up_to));
  }
  if (conditions.size() == 1) {
    absl::StrAppend(&sql, " WHERE ", conditions.front());
  } else if (conditions.size() == 2) {
    absl::StrAppend(&sql, " WHERE (", conditions[0], ") AND (", conditions[1], ")");
  }
  absl::StrAppend(&sql, " ORDER BY ", absl::StrJoin(order, ", "));
  return sql;
}

}  // namespace

std::string OwnedGtids(absl::string_view owned) {
  std::string gtids;
  bool in_thread = false;  // behind '#'
  for (const char c : owned) {
    in_thread = c == '#' || (in_thread && absl::ascii_isdigit(static_cast<unsigned char>(c)));
    if (!in_thread) {
      gtids.push_back(c);
    }
  }
  return gtids;
}

std::string KeyExpression(const mysql::ColumnSchema& column) {
  std::string name = mysql::QuoteName(column.name);
  const absl::string_view type = column.data_type;
  if (type == "enum" || type == "set" || type == "bit") {
    return absl::StrCat(name, "+0");
  }
  if (type == "float") {
    return absl::StrCat("CAST(", name, " AS DOUBLE)");
  }
  return name;
}

absl::StatusOr<std::string> KeyLiteral(const mysql::ColumnSchema& column, absl::string_view cell) {
  const auto hex = [&] { return absl::StrCat("X'", absl::BytesToHexString(cell), "'"); };
  switch (KindOf(column)) {
    case KeyKind::kInteger:
      if (!OnlyOf(cell, "-")) {
        return BadCell(column);
      }
      return std::string(cell);
    case KeyKind::kNumber:
      if (!OnlyOf(cell, "-+.eE")) {
        return BadCell(column);
      }
      return std::string(cell);
    case KeyKind::kTemporal:
      if (!OnlyOf(cell, "-:. ")) {
        return BadCell(column);
      }
      return absl::StrCat("'", cell, "'");
    case KeyKind::kText:
      return absl::StrCat("_", column.charset, " ", hex());
    case KeyKind::kBinary:
      return hex();
    case KeyKind::kUnsupported:
      break;
  }
  return absl::UnimplementedError(
      absl::StrCat("column ", column.name, " of type ", column.data_type, " in a key"));
}

absl::StatusOr<std::string> AfterKeyCondition(const std::vector<const mysql::ColumnSchema*>& key,
                                              const std::vector<mysql::Cell>& after_key) {
  return KeyCondition(key, after_key, {.inner = " > ", .last = " > "});
}

absl::StatusOr<std::string> UpToKeyCondition(const std::vector<const mysql::ColumnSchema*>& key,
                                             const std::vector<mysql::Cell>& end_key) {
  return KeyCondition(key, end_key, {.inner = " < ", .last = " <= "});
}

absl::StatusOr<std::string> BuildChunkQuery(const ChunkQuery& query) {
  std::vector<std::string> expressions;
  expressions.reserve(query.columns.size() + query.key.size());
  for (size_t i = 0; i < query.columns.size(); ++i) {
    const bool shaped = i < query.shapes.size() && query.shapes[i].has_value();
    SLUICE_ASSIGN_OR_RETURN(
        std::string expression,
        binlog::SelectExpression(*query.columns[i], shaped ? &*query.shapes[i] : nullptr));
    expressions.push_back(std::move(expression));
  }
  if (query.key.empty()) {
    // Without an index the scan follows the table's own order, whatever the optimizer thinks.
    return absl::StrCat("SELECT ", absl::StrJoin(expressions, ", "), " FROM ",
                        mysql::QuoteTable(query.schema->database, query.schema->name),
                        " USE INDEX () LIMIT ", query.limit, " OFFSET ", query.offset);
  }
  SLUICE_ASSIGN_OR_RETURN(std::string sql, SelectInKeyOrder(query, std::move(expressions)));
  absl::StrAppend(&sql, " LIMIT ", query.limit);
  return sql;
}

absl::StatusOr<std::string> BuildBoundaryQuery(const ChunkQuery& query) {
  SLUICE_ASSIGN_OR_RETURN(std::string sql, SelectInKeyOrder(query, {}));
  absl::StrAppend(&sql, " LIMIT 1 OFFSET ", std::max<uint64_t>(query.limit, 1) - 1);
  return sql;
}

}  // namespace sluice::source
