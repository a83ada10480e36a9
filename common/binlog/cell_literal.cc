// Cells as SQL literals: from row images, and from the text protocol.

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/byte_reader.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/column_family.h"
#include "common/binlog/decimal.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/malformed.h"
#include "common/binlog/row_image.h"
#include "common/binlog/temporal.h"
#include "common/binlog/text_literal.h"

namespace sluice::binlog {
namespace {

absl::Status AppendInteger(const ColumnType& type, absl::string_view bytes, std::string& sql) {
  const uint64_t bits = ByteReader(bytes).UintLe(bytes.size());
  if (type.is_unsigned || bytes.empty()) {
    absl::StrAppend(&sql, bits);
    return absl::OkStatus();
  }
  // The sign bit of the stored width spread to 64.
  const uint64_t sign = uint64_t{1} << (8 * bytes.size() - 1);
  absl::StrAppend(&sql, static_cast<int64_t>((bits ^ sign) - sign));
  return absl::OkStatus();
}

absl::Status AppendFloating(absl::string_view bytes, std::string& sql) {
  double value = 0;
  if (bytes.size() == sizeof(float)) {
    const uint32_t bits = ByteReader(bytes).U32();
    float narrow = 0;
    memcpy(&narrow, &bits, sizeof bits);
    value = static_cast<double>(narrow);  // exact, and rounded back to the same float
  } else if (bytes.size() == sizeof(double)) {
    const uint64_t bits = ByteReader(bytes).U64();
    memcpy(&value, &bits, sizeof bits);
  } else {
    return Malformed("number", absl::StrCat(bytes.size(), " bytes"));
  }
  if (!std::isfinite(value)) {
    return Malformed("number", "not finite");
  }
  AppendDouble(value, sql);
  return absl::OkStatus();
}

bool ReadDouble(absl::string_view text, double& value) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc() && end == text.data() + text.size();
}

// The nines that a FLOAT(m,d) has room for, as a DOUBLE literal; empty for other types.
std::string NinesOf(absl::string_view column_type) {
  size_t digits = 0;
  size_t scale = 0;
  if (!absl::ConsumePrefix(&column_type, "float(")) {
    return "";
  }
  const std::vector<absl::string_view> parts =
      absl::StrSplit(column_type.substr(0, column_type.find(')')), ',');
  constexpr size_t kDigitsMax = 255;
  if (parts.size() != 2 || !absl::SimpleAtoi(parts[0], &digits) ||
      !absl::SimpleAtoi(parts[1], &scale) || digits > kDigitsMax || scale > digits) {
    return "";
  }
  return absl::StrCat(std::string(digits - scale, '9'), ".", std::string(scale, '9'), "e0");
}

// The float that is stored for the largest value of a FLOAT(m,d) may be above it, and is then not
// taken as it is. False, and nothing is appended, for all other values.
bool AppendLargestFloat(const mysql::ColumnSchema& column, double value, std::string& sql) {
  const std::string nines = NinesOf(column.column_type);
  double largest = 0;
  if (nines.empty() || !ReadDouble(nines, largest) || std::abs(value) <= largest ||
      static_cast<double>(static_cast<float>(largest)) != std::abs(value)) {
    return false;
  }
  absl::StrAppend(&sql, value < 0 ? "-" : "", nines);
  return true;
}

absl::Status AppendYear(absl::string_view bytes, std::string& sql) {
  const unsigned year = ByteReader(bytes).U8();
  absl::StrAppend(&sql, year == 0 ? 0 : 1900 + year);
  return absl::OkStatus();
}

absl::Status AppendTemporal(const ColumnType& type, absl::string_view bytes, std::string& sql) {
  sql.push_back('\'');
  absl::Status status;
  switch (type.type) {
    case kTypeDate:
      status = AppendDate(bytes, sql);
      break;
    case kTypeTime2:
      status = AppendTime2(bytes, type.metadata, sql);
      break;
    case kTypeDatetime2:
      status = AppendDatetime2(bytes, type.metadata, sql);
      break;
    default:
      status = AppendTimestamp2(bytes, type.metadata, sql);
  }
  sql.push_back('\'');
  return status;
}

// The binlog leaves out the zero bytes at the end of a BINARY; comparisons need them.
void AppendFixedBinary(const ColumnType& type, absl::string_view bytes, std::string& sql) {
  if (type.type != kTypeString || bytes.size() >= type.metadata) {
    AppendBinary(bytes, sql);
    return;
  }
  std::string padded(bytes);
  padded.resize(type.metadata, '\0');
  AppendBinary(padded, sql);
}

absl::Status AppendCell(const ColumnType& type, const mysql::ColumnSchema& column,
                        ColumnFamily family, absl::string_view bytes, std::string& sql) {
  switch (family) {
    case ColumnFamily::kInteger:
      return AppendInteger(type, bytes, sql);
    case ColumnFamily::kFloat:
    case ColumnFamily::kDouble:
      return AppendFloating(bytes, sql);
    case ColumnFamily::kDecimal:
      return AppendDecimal(bytes, type.metadata >> 8U, type.metadata & 0xffU, sql);
    case ColumnFamily::kBit:
      absl::StrAppend(&sql, ByteReader(bytes).UintBe(bytes.size()));
      return absl::OkStatus();
    case ColumnFamily::kEnum:
    case ColumnFamily::kSet:
      absl::StrAppend(&sql, ByteReader(bytes).UintLe(bytes.size()));
      return absl::OkStatus();
    case ColumnFamily::kYear:
      return AppendYear(bytes, sql);
    case ColumnFamily::kDate:
    case ColumnFamily::kTime:
    case ColumnFamily::kDatetime:
    case ColumnFamily::kTimestamp:
      return AppendTemporal(type, bytes, sql);
    case ColumnFamily::kText:
      AppendCharsetText(bytes, column.charset, sql);
      return absl::OkStatus();
    case ColumnFamily::kBinary:
      AppendFixedBinary(type, bytes, sql);
      return absl::OkStatus();
    case ColumnFamily::kJson:
      return AppendJsonLiteral(bytes, sql);
    case ColumnFamily::kGeometry:
    case ColumnFamily::kVector:
      AppendBinary(bytes, sql);
      return absl::OkStatus();
  }
  return absl::InternalError("no such family");
}

bool ConsistsOf(absl::string_view text, absl::string_view allowed) {
  return !text.empty() && text.find_first_not_of(allowed) == absl::string_view::npos;
}

absl::Status AppendNumberText(absl::string_view text, NumberForm form, std::string& sql) {
  if (!IsNumber(text, form)) {
    return Malformed("number", absl::StrCat("'", text.substr(0, 64), "'"));
  }
  absl::StrAppend(&sql, text);
  return absl::OkStatus();
}

absl::Status AppendText(ColumnFamily family, const mysql::ColumnSchema& column,
                        absl::string_view text, std::string& sql) {
  switch (family) {
    case ColumnFamily::kInteger:
      return AppendNumberText(text, NumberForm::kInteger, sql);
    case ColumnFamily::kBit:
    case ColumnFamily::kEnum:
    case ColumnFamily::kSet:
    case ColumnFamily::kYear:
      return AppendNumberText(text, NumberForm::kNatural, sql);
    case ColumnFamily::kDecimal:
      return AppendNumberText(text, NumberForm::kDecimal, sql);
    case ColumnFamily::kFloat:
      if (double value = 0; ReadDouble(text, value) && AppendLargestFloat(column, value, sql)) {
        return absl::OkStatus();
      }
      [[fallthrough]];
    case ColumnFamily::kDouble:
      SLUICE_RETURN_IF_ERROR(AppendNumberText(text, NumberForm::kFloating, sql));
      if (text.find_first_of("eE") == absl::string_view::npos) {
        sql += "e0";  // or it would be a DECIMAL, and -0 would lose its sign
      }
      return absl::OkStatus();
    case ColumnFamily::kDate:
    case ColumnFamily::kTime:
    case ColumnFamily::kDatetime:
    case ColumnFamily::kTimestamp:
      if (!ConsistsOf(text, "-0123456789:. ")) {
        return Malformed("date or time", absl::StrCat("'", text.substr(0, 64), "'"));
      }
      AppendQuoted(text, sql);
      return absl::OkStatus();
    case ColumnFamily::kText:
      AppendCharsetText(text, column.charset, sql);
      return absl::OkStatus();
    case ColumnFamily::kJson:
      return AppendJsonTextLiteral(text, sql);
    case ColumnFamily::kBinary:
    case ColumnFamily::kGeometry:
    case ColumnFamily::kVector:
      AppendBinary(text, sql);
      return absl::OkStatus();
  }
  return absl::InternalError("no such family");
}

}  // namespace

absl::Status AppendLiteral(const ColumnType& type, const mysql::ColumnSchema& column,
                           const ImageCell& cell, std::string& sql) {
  ColumnFamily family = ColumnFamily::kInteger;  // does not matter to NULL
  if (cell.present && !cell.null) {
    SLUICE_ASSIGN_OR_RETURN(family, FittingFamily(type, column));
  }
  return AppendLiteral(type, column, family, cell, sql);
}

absl::Status AppendLiteral(const ColumnType& type, const mysql::ColumnSchema& column,
                           ColumnFamily family, const ImageCell& cell, std::string& sql) {
  if (!cell.present) {
    return absl::FailedPreconditionError(absl::StrCat(
        "column ", column.name,
        ": the row image leaves it out; run SET PERSIST binlog_row_image=FULL on the source and "
        "reconnect its clients"));
  }
  if (cell.null) {
    sql += "NULL";
    return absl::OkStatus();
  }
  const absl::Status status = AppendCell(type, column, family, cell.bytes, sql);
  return status.ok() ? status : Annotate(status, absl::StrCat("column ", column.name));
}

absl::Status AppendWrittenLiteral(const ColumnType& type, const mysql::ColumnSchema& column,
                                  ColumnFamily family, const ImageCell& cell, std::string& sql) {
  if (family == ColumnFamily::kFloat && cell.present && !cell.null &&
      cell.bytes.size() == sizeof(float)) {
    const uint32_t bits = ByteReader(cell.bytes).U32();
    float value = 0;
    memcpy(&value, &bits, sizeof bits);
    if (AppendLargestFloat(column, static_cast<double>(value), sql)) {
      return absl::OkStatus();
    }
  }
  return AppendLiteral(type, column, family, cell, sql);
}

absl::StatusOr<ColumnFamily> FittingFamily(const ColumnType& type,
                                           const mysql::ColumnSchema& column) {
  SLUICE_ASSIGN_OR_RETURN(const ColumnFamily family, FamilyOf(column));
  if (!Fits(type.type, family)) {
    return absl::FailedPreconditionError(
        absl::StrCat("column ", column.name, ": it is ", column.column_type,
                     " here, but the binlog has values of type ", type.type,
                     "; bring the tables of both sides to one definition"));
  }
  return family;
}

absl::StatusOr<std::string> SelectExpression(const mysql::ColumnSchema& column,
                                             const JsonShape* shape) {
  SLUICE_ASSIGN_OR_RETURN(const ColumnFamily family, FamilyOf(column));
  const std::string name = mysql::QuoteName(column.name);
  switch (family) {
    case ColumnFamily::kFloat:
      // FLOAT itself is printed with six digits.
      return absl::StrCat("CAST(", name, " AS DOUBLE)");
    case ColumnFamily::kBit:
    case ColumnFamily::kEnum:
    case ColumnFamily::kSet:
    case ColumnFamily::kYear:
      return absl::StrCat("CAST(", name, " AS UNSIGNED)");
    case ColumnFamily::kJson:
      return JsonSelectExpression(name, shape);
    default:
      return name;
  }
}

absl::Status AppendTextLiteral(const mysql::ColumnSchema& column, const mysql::Cell& cell,
                               std::string& sql) {
  SLUICE_ASSIGN_OR_RETURN(const ColumnFamily family, FamilyOf(column));
  return AppendTextLiteral(family, column, cell, sql);
}

absl::Status AppendTextLiteral(ColumnFamily family, const mysql::ColumnSchema& column,
                               const mysql::Cell& cell, std::string& sql) {
  if (!cell.has_value()) {
    sql += "NULL";
    return absl::OkStatus();
  }
  const absl::Status status = AppendText(family, column, *cell, sql);
  return status.ok() ? status : Annotate(status, absl::StrCat("column ", column.name));
}

bool IsErrorEnum(const ColumnType& type, const ImageCell& cell) {
  return type.type == kTypeEnum && cell.present && !cell.null &&
         ByteReader(cell.bytes).UintLe(cell.bytes.size()) == 0;
}

bool IsErrorEnum(const mysql::ColumnSchema& column, const mysql::Cell& cell) {
  return column.data_type == "enum" && cell.has_value() && *cell == "0";
}

}  // namespace sluice::binlog
