// Load text: which columns and values LOAD DATA carries, and their escapes.

#include "agent/target/load_text.h"

#include <cstdint>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/target/row_sender.h"
#include "common/binlog/row_image.h"

namespace sluice::target {
namespace {

using binlog::ColumnFamily;

// How a cell gets into its column.
enum class Way {
  kDirect,  // its text is what the column takes
  kNumber,  // a number, in a column that would read a text otherwise
  kJson,
  kNever,
};

Way WayOf(ColumnFamily family) {
  switch (family) {
    case ColumnFamily::kInteger:
    case ColumnFamily::kDecimal:
    case ColumnFamily::kDouble:
    case ColumnFamily::kDate:
    case ColumnFamily::kTime:
    case ColumnFamily::kDatetime:
    case ColumnFamily::kTimestamp:
    case ColumnFamily::kText:
    case ColumnFamily::kBinary:
      return Way::kDirect;
    case ColumnFamily::kBit:
    case ColumnFamily::kYear:
    case ColumnFamily::kEnum:
    case ColumnFamily::kSet:
      return Way::kNumber;
    case ColumnFamily::kJson:
      return Way::kJson;
    case ColumnFamily::kFloat:
    case ColumnFamily::kGeometry:
    case ColumnFamily::kVector:
      break;
  }
  return Way::kNever;
}

bool NeedsEscape(char c) {
  return c == kLoadCellEnd || c == kLoadRowEnd || c == '\\';
}

// Whether one of the eight bytes may need an escape.
bool MayNeedEscape(const char* eight) {
  constexpr uint64_t kLow = 0x0101010101010101;
  constexpr uint64_t kHigh = 0x8080808080808080;
  uint64_t word = 0;
  memcpy(&word, eight, sizeof word);
  const auto may_have = [word](char c) {
    const uint64_t zero_where = word ^ (kLow * static_cast<uint8_t>(c));
    return (zero_where - kLow) & ~zero_where & kHigh;
  };
  return (may_have(kLoadCellEnd) | may_have(kLoadRowEnd) | may_have('\\')) != 0;
}

// A tab or a newline behind a backslash is itself.
void AppendEscaped(absl::string_view bytes, std::string& text) {
  size_t plain = 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    while (i + sizeof(uint64_t) < bytes.size() && !MayNeedEscape(bytes.data() + i)) {
      i += sizeof(uint64_t);
    }
    if (NeedsEscape(bytes[i])) {
      text.append(bytes.data() + plain, i - plain);
      text += '\\';
      plain = i;
    }
  }
  text.append(bytes.data() + plain, bytes.size() - plain);
}

}  // namespace

std::optional<std::string> LoadStatement(const TablePlan& plan,
                                         const std::vector<ColumnFamily>& families) {
  std::vector<std::string> fields;
  std::vector<std::string> sets;
  for (size_t i = 0; i < families.size(); ++i) {
    if (plan.times.Converts(plan.written[i])) {
      return std::nullopt;
    }
    const std::string name = mysql::QuoteName(plan.schema.columns[plan.written[i]].name);
    const std::string variable = absl::StrCat("@sluice_", i);
    switch (WayOf(families[i])) {
      case Way::kDirect:
        fields.push_back(name);
        continue;
      case Way::kNumber:
        sets.push_back(absl::StrCat(name, " = CAST(", variable, " AS UNSIGNED)"));
        break;
      case Way::kJson:
        sets.push_back(
            absl::StrCat(name, " = CAST(CONVERT(", variable, " USING utf8mb4) AS JSON)"));
        break;
      case Way::kNever:
        return std::nullopt;
    }
    fields.push_back(variable);
  }
  return absl::StrCat("LOAD DATA LOCAL INFILE 'rows' REPLACE INTO TABLE ",
                      mysql::QuoteTable(plan.database, plan.physical),
                      " CHARACTER SET binary FIELDS TERMINATED BY '\\t' ESCAPED BY '\\\\' LINES "
                      "TERMINATED BY '\\n' (",
                      absl::StrJoin(fields, ", "), ")", sets.empty() ? "" : " SET ",
                      absl::StrJoin(sets, ", "));
}

bool AppendLoadCell(ColumnFamily family, const mysql::ColumnSchema& column, const mysql::Cell& cell,
                    std::string& text) {
  if (!cell.has_value()) {
    text += "\\N";
    return true;
  }
  const bool typed_json =
      family == ColumnFamily::kJson && (cell->empty() || cell->front() == '\x01');
  if (typed_json || RowSender::IsLong(family, *cell) || binlog::IsErrorEnum(column, cell)) {
    return false;
  }
  AppendEscaped(*cell, text);
  return true;
}

}  // namespace sluice::target
