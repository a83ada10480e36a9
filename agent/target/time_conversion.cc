// TimeConversion: CONVERT_TZ around literals.

#include "agent/target/time_conversion.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"

namespace sluice::target {
namespace {

bool IsDatetime(const mysql::ColumnSchema& column) {
  return column.data_type == "datetime";
}

unsigned DaysOf(unsigned year, unsigned month) {
  constexpr std::array<unsigned, 12> kDays = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
  return month == 2 && leap ? 29 : kDays[month - 1];
}

// '2024-02-00 …' or '2024-04-31 …', which ALLOW_INVALID_DATES lets in, and what is no date.
bool HasNoPlaceInTime(absl::string_view literal) {
  constexpr size_t kYear = 1;
  constexpr size_t kMonth = 6;
  constexpr size_t kDay = 9;
  constexpr size_t kEnd = 11;
  unsigned year = 0;
  unsigned month = 0;
  unsigned day = 0;
  return literal.size() < kEnd || literal.front() != '\'' ||
         !absl::SimpleAtoi(literal.substr(kYear, 4), &year) ||
         !absl::SimpleAtoi(literal.substr(kMonth, 2), &month) ||
         !absl::SimpleAtoi(literal.substr(kDay, 2), &day) || month < 1 || month > 12 || day < 1 ||
         day > DaysOf(year, month);
}

bool IsOffset(absl::string_view zone) {
  const std::string sql = SqlZone(zone);
  return sql.front() == '+' || sql.front() == '-';
}

absl::Status Refuse(const mysql::TableSchema& schema, absl::string_view what,
                    absl::string_view why) {
  return absl::FailedPreconditionError(absl::StrCat(
      what, " of table ", schema.database, ".", schema.name, " is a DATETIME, and ", why,
      "; leave the table out (--exclude-tables), or create the workflow without "
      "--source-time-zone"));
}

}  // namespace

std::string SqlZone(absl::string_view zone) {
  return absl::EqualsIgnoreCase(zone, "UTC") ? "+00:00" : std::string(zone);
}

absl::Status CheckZone(mysql::Connection& connection, absl::string_view zone) {
  SLUICE_ASSIGN_OR_RETURN(
      const std::string known,
      connection.QueryScalar(absl::StrCat("SELECT CONVERT_TZ('2000-01-01 00:00:00', ",
                                          mysql::QuoteString(SqlZone(zone)), ", '+00:00')")));
  if (known.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "time zone ", zone,
        " is not known to the mysqld; load its time zone tables (mysql_tzinfo_to_sql), or give an "
        "offset such as +02:00"));
  }
  return absl::OkStatus();
}

TimeConversion::TimeConversion(const mysql::TableSchema& schema, absl::string_view from,
                               absl::string_view to) {
  if (from.empty() || std::none_of(schema.columns.begin(), schema.columns.end(), IsDatetime)) {
    return;
  }
  for (const mysql::ColumnSchema& column : schema.columns) {
    columns_.push_back(IsDatetime(column));
  }
  zones_ = absl::StrCat(", ", mysql::QuoteString(SqlZone(from)), ", ",
                        mysql::QuoteString(SqlZone(to)), ")");
}

void TimeConversion::Wrap(size_t begin, std::string& sql) const {
  const std::string literal = sql.substr(begin);
  if (HasNoPlaceInTime(literal)) {
    return;
  }
  sql.resize(begin);
  // NULL means that it can't be converted: the zones are known to be good. A DATETIME again, since
  // a comparison of texts would count their digits.
  absl::StrAppend(&sql, "CAST(COALESCE(CONVERT_TZ(", literal, zones_, ", ", literal,
                  ") AS DATETIME(6))");
}

absl::Status CheckConvertible(const mysql::TableSchema& schema, absl::string_view from,
                              absl::string_view to) {
  if (from.empty() || (IsOffset(from) && IsOffset(to))) {
    return absl::OkStatus();
  }
  const std::string between = absl::StrCat("between ", from, " and ", to);
  for (const mysql::ColumnSchema& column : schema.columns) {
    if (schema.key_columns.empty() && IsDatetime(column)) {
      return Refuse(schema, absl::StrCat("column ", column.name),
                    absl::StrCat("without a key the way back finds a row by all its values, some "
                                 "of which do not come back ",
                                 between));
    }
  }
  for (const mysql::IndexSchema& index : schema.indexes) {
    for (const std::string& name : index.columns) {
      const mysql::ColumnSchema* column = schema.FindColumn(name);
      if (index.is_unique && column != nullptr && IsDatetime(*column)) {
        return Refuse(schema, absl::StrCat("column ", name, " of the unique key ", index.name),
                      absl::StrCat("two of its values may become one ", between));
      }
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice::target
