// RowSender: the ways of running a statement, and the size of packets.

#include "agent/target/row_sender.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/row_image.h"
#include "common/mysql/error.h"

namespace sluice::target {
namespace {

constexpr size_t kLongBytes = size_t{256} << 10U;
// What a packet holds beside a statement or a value.
constexpr size_t kPacketMargin = 64;
// No server takes less.
constexpr size_t kPacketBytesMin = 1024;

// Server error numbers (MySQL 9.7 Error Message Reference).
constexpr unsigned kBadNull = 1048;
constexpr unsigned kOutOfRange = 1264;
constexpr unsigned kTruncated = 1265;
constexpr unsigned kTruncatedWrongValue = 1292;
constexpr unsigned kDivisionByZero = 1365;
constexpr unsigned kTruncatedWrongValueForField = 1366;
constexpr unsigned kTooLong = 1406;
constexpr unsigned kWrongValueForFunction = 1411;
constexpr unsigned kDatetimeOverflow = 1441;
constexpr unsigned kInvalidArgumentForLogarithm = 3020;

bool IsAboutAValue(unsigned number) {
  switch (number) {
    case kBadNull:
    case kOutOfRange:
    case kTruncated:
    case kTruncatedWrongValue:
    case kDivisionByZero:
    case kTruncatedWrongValueForField:
    case kTooLong:
    case kWrongValueForFunction:
    case kDatetimeOverflow:
    case kInvalidArgumentForLogarithm:
      return true;
    default:
      return false;
  }
}

bool HasGeneratedColumns(const TablePlan& plan) {
  return plan.written.size() < plan.schema.columns.size();
}

// Whether a warning is about what an expression came to, not about a value that was written. Where
// an expression compares a date with something else, the warning is about the date's column and
// can't be told from one about a written value.
bool IsOfGeneratedColumn(const TablePlan& plan, unsigned number, absl::string_view text) {
  if (number == kDivisionByZero || number == kWrongValueForFunction ||
      number == kDatetimeOverflow || number == kInvalidArgumentForLogarithm ||
      (number == kTruncatedWrongValue && absl::StartsWith(text, "Truncated incorrect"))) {
    return true;
  }
  return std::any_of(plan.schema.columns.begin(), plan.schema.columns.end(),
                     [&](const mysql::ColumnSchema& column) {
                       return column.is_generated &&
                              absl::StrContains(text, absl::StrCat("olumn '", column.name, "'"));
                     });
}

}  // namespace

bool RowSender::IsLong(binlog::ColumnFamily family, absl::string_view bytes) {
  return bytes.size() >= kLongBytes &&
         (family == binlog::ColumnFamily::kBinary || family == binlog::ColumnFamily::kText);
}

absl::Status RowSender::CheckPacket(size_t bytes) {
  if (bytes + kPacketMargin <= kPacketBytesMin) {
    return absl::OkStatus();
  }
  if (!packet_bytes_max_.has_value()) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text,
                            connection_.QueryScalar("SELECT @@SESSION.max_allowed_packet"));
    uint64_t value = 0;
    if (!absl::SimpleAtoi(text, &value)) {
      return absl::InternalError(absl::StrCat("max_allowed_packet is ", text));
    }
    packet_bytes_max_ = value;
  }
  if (bytes + kPacketMargin > *packet_bytes_max_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a row needs a packet of ", bytes + kPacketMargin, " bytes, and the target's mysqld takes ",
        *packet_bytes_max_,
        "; raise max_allowed_packet there (SET PERSIST max_allowed_packet = 1073741824), then "
        "start the workflow again"));
  }
  return absl::OkStatus();
}

absl::StatusOr<mysql::Connection::Outcome> RowSender::Run(
    const std::string& sql, const std::vector<absl::string_view>& long_values) {
  size_t packet = sql.size();
  for (const absl::string_view value : long_values) {
    packet = std::max(packet, value.size());
  }
  SLUICE_RETURN_IF_ERROR(CheckPacket(packet));
  if (long_values.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection_.Query(sql));
    return mysql::Connection::Outcome{.affected_rows = result.affected_rows,
                                      .warnings = result.warnings};
  }
  return connection_.ExecuteWithValues(sql, long_values);
}

absl::Status RowSender::Write(const TablePlan& plan, const std::string& sql,
                              const std::vector<absl::string_view>& long_values,
                              uint64_t error_enums) {
  if (error_enums > 0) {
    return WriteLeniently(plan, sql, long_values, error_enums);
  }
  absl::Status status = Run(sql, long_values).status();
  if (!status.ok() && HasGeneratedColumns(plan) && IsAboutAValue(MysqlErrnoOf(status))) {
    return WriteLeniently(plan, sql, long_values, error_enums);
  }
  return status;
}

absl::Status RowSender::WriteLeniently(const TablePlan& plan, const std::string& sql,
                                       const std::vector<absl::string_view>& long_values,
                                       uint64_t error_enums) {
  std::string lenient = sql;
  lenient.insert(lenient.find(' '), absl::StrCat(" ", binlog::kLenientHint));
  SLUICE_ASSIGN_OR_RETURN(const mysql::Connection::Outcome outcome, Run(lenient, long_values));
  uint64_t others = outcome.warnings;
  std::string first;
  if (outcome.warnings > error_enums && HasGeneratedColumns(plan)) {
    SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult warnings, connection_.Query("SHOW WARNINGS"));
    for (const mysql::Row& row : warnings.rows) {
      unsigned number = 0;
      if (row.size() < 3 || !absl::SimpleAtoi(row[1].value_or(""), &number)) {
        return absl::InternalError("SHOW WARNINGS gave no number");
      }
      if (IsOfGeneratedColumn(plan, number, row[2].value_or(""))) {
        --others;
      } else if (first.empty()) {
        first = absl::StrCat(": ", number, " ", row[2].value_or(""));
      }
    }
  }
  if (others != error_enums) {
    return absl::FailedPreconditionError(
        absl::StrCat("rows with ", error_enums, " invalid ENUM values gave ", others,
                     " warnings that are not about generated columns, so a value may have been "
                     "changed",
                     first));
  }
  return absl::OkStatus();
}

}  // namespace sluice::target
