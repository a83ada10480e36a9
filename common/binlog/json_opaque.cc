// Values inside JSON documents that JSON itself does not know.

#include "common/binlog/json_opaque.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/decimal.h"
#include "common/binlog/event.h"
#include "common/binlog/malformed.h"
#include "common/binlog/temporal.h"
#include "common/binlog/text_literal.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kJson = "JSON document";

// Only a column has some of MySQL's types. JSON_TABLE makes columns of any type out of a value that
// is given as an element of a JSON array; the subquery returns it as JSON, because a subquery's
// value may get another type than its column.
void AppendTyped(absl::string_view array, absl::string_view type, std::string& sql) {
  absl::StrAppend(&sql, "(SELECT JSON_EXTRACT(JSON_ARRAY(v), _utf8mb4'$[0]') FROM JSON_TABLE(",
                  array, ", _utf8mb4'$[*]' COLUMNS (v ", type,
                  " PATH _utf8mb4'$' ERROR ON ERROR)) AS j)");
}

void AppendTypedBytes(absl::string_view bytes, absl::string_view type, std::string& sql) {
  std::string array = "JSON_ARRAY(_binary";
  AppendQuoted(bytes, array);
  array.push_back(')');
  AppendTyped(array, type, sql);
}

absl::Status AppendPackedTemporal(uint8_t type, absl::string_view bytes, std::string& sql) {
  if (bytes.size() != 8) {
    return Malformed(kJson, "a date or time of other than 8 bytes");
  }
  const auto packed = static_cast<int64_t>(ByteReader(bytes).U64());
  std::string text;
  if (type == kTypeDate) {
    SLUICE_RETURN_IF_ERROR(AppendPackedDate(packed, text));
  } else if (type == kTypeTimeOld) {
    SLUICE_RETURN_IF_ERROR(AppendPackedTime(packed, text));
  } else {
    SLUICE_RETURN_IF_ERROR(AppendPackedDatetime(packed, text));
  }
  AppendJsonTemporal(type, text, sql);
  return absl::OkStatus();
}

}  // namespace

void AppendJsonTemporal(uint8_t type, absl::string_view text, std::string& sql) {
  switch (type) {
    case kTypeDate:
      absl::StrAppend(&sql, "CAST('", text, "' AS DATE)");
      break;
    case kTypeTimeOld:
      absl::StrAppend(&sql, "CAST('", text, "' AS TIME(6))");
      break;
    case kTypeDatetimeOld:
      absl::StrAppend(&sql, "CAST('", text, "' AS DATETIME(6))");
      break;
    default:
      AppendTyped(absl::StrCat("_utf8mb4'[\"", text, "\"]'"), "TIMESTAMP(6)", sql);
  }
}

// The document stores a precision with the number. A literal has that of its own digits; what came
// from a column or a cast has a wider one, which only a cast gives back.
absl::Status AppendJsonDecimal(absl::string_view digits, unsigned precision, unsigned scale,
                               std::string& sql) {
  const absl::string_view number = absl::StripPrefix(digits, "-");
  const absl::string_view whole = number.substr(0, number.find('.'));
  const absl::string_view fraction = number.substr(std::min(whole.size() + 1, number.size()));
  const size_t significant = whole.size() - std::min(whole.find_first_not_of('0'), whole.size());
  if (DecimalBytes(precision, scale) == 0 || fraction.size() != scale ||
      significant + scale > precision) {
    return Malformed(kJson, absl::StrCat("a decimal of precision ", precision, ", scale ", scale));
  }
  const size_t width = precision - scale;
  if (width == std::max(significant, size_t{1})) {
    absl::StrAppend(&sql, digits, scale == 0 ? "." : "");  // the point makes it a decimal
  } else {
    absl::StrAppend(&sql, "CAST('", digits, "' AS DECIMAL(", precision, ",", scale, "))");
  }
  return absl::OkStatus();
}

absl::Status AppendJsonOpaque(uint8_t type, absl::string_view bytes, std::string& sql) {
  constexpr uint8_t kTinyBlob = 249;
  constexpr uint8_t kMediumBlob = 250;
  constexpr uint8_t kLongBlob = 251;
  switch (type) {
    case kTypeNewDecimal: {
      ByteReader reader(bytes);
      const uint8_t precision = reader.U8();
      const uint8_t scale = reader.U8();
      std::string digits;
      SLUICE_RETURN_IF_ERROR(AppendDecimal(reader.Rest(), precision, scale, digits));
      return AppendJsonDecimal(digits, precision, scale, sql);
    }
    case kTypeDate:
    case kTypeTimeOld:
    case kTypeDatetimeOld:
    case kTypeTimestampOld:
      return AppendPackedTemporal(type, bytes, sql);
    case kTypeVarchar:
    case kTypeVarString:
      sql += "_binary";
      AppendQuoted(bytes, sql);
      return absl::OkStatus();
    case kTypeString:
      AppendTypedBytes(bytes, absl::StrCat("BINARY(", bytes.size(), ")"), sql);
      return absl::OkStatus();
    case kTinyBlob:
      AppendTypedBytes(bytes, "TINYBLOB", sql);
      return absl::OkStatus();
    case kTypeBlob:
      AppendTypedBytes(bytes, "BLOB", sql);
      return absl::OkStatus();
    case kMediumBlob:
      AppendTypedBytes(bytes, "MEDIUMBLOB", sql);
      return absl::OkStatus();
    case kLongBlob:
      AppendTypedBytes(bytes, "LONGBLOB", sql);
      return absl::OkStatus();
    case kTypeBit:
      if (bytes.empty() || bytes.size() > 8) {
        return Malformed(kJson, "a BIT value of other than 1 to 8 bytes");
      }
      AppendTyped(absl::StrCat("_utf8mb4'[", ByteReader(bytes).UintBe(bytes.size()), "]'"),
                  absl::StrCat("BIT(", 8 * bytes.size(), ")"), sql);
      return absl::OkStatus();
    default:
      return absl::FailedPreconditionError(
          absl::StrCat("a JSON document holds a value of MySQL type ", type,
                       ", which cannot be written by a statement"));
  }
}

}  // namespace sluice::binlog
