// Values alone: DECIMAL, dates and times, numbers and strings of row images.

#include <array>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "common/base/byte_reader.h"
#include "common/base/check.h"
#include "common/binlog/decimal.h"
#include "common/binlog/temporal.h"
#include "common/binlog/text_literal.h"
#include "common/mysql/connection.h"
#include "common/sql/tokenizer.h"
#include "tests/fuzz/encoders.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/literal_check.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

enum Kind : uint8_t { kDecimal, kDate, kTime, kDatetime, kTimestamp, kDouble, kText, kKinds };

constexpr std::array<absl::string_view, 10> kCharsets = {
    "utf8mb4", "utf8mb3", "latin1", "ascii", "binary", "gbk", "sjis", "ucs2", "utf16", "utf32"};

// What is printed is a number, and no other bytes mean the same.
void RunDecimal(unsigned precision, unsigned scale, absl::string_view bytes) {
  std::string text;
  if (!binlog::AppendDecimal(bytes, precision, scale, text).ok()) {
    SLUICE_CHECK(text.empty());
    return;
  }
  CheckNumber(text);
  SLUICE_CHECK(EncodeDecimal(text, precision, scale) == bytes);
}

void RunTemporal(Kind kind, unsigned digits, absl::string_view bytes) {
  std::string text;
  absl::Status status;
  switch (kind) {
    case kDate:
      status = binlog::AppendDate(bytes, text);
      break;
    case kTime:
      status = binlog::AppendTime2(bytes, digits, text);
      break;
    case kDatetime:
      status = binlog::AppendDatetime2(bytes, digits, text);
      break;
    default:
      status = binlog::AppendTimestamp2(bytes, digits, text);
  }
  if (!status.ok()) {
    return;
  }
  const std::string again = kind == kDate       ? EncodeDate(text)
                            : kind == kTime     ? EncodeTime2(text, digits)
                            : kind == kDatetime ? EncodeDatetime2(text, digits)
                                                : EncodeTimestamp2(text, digits);
  SLUICE_CHECK(again == bytes);
}

void RunDouble(absl::string_view bytes) {
  double value = 0;
  if (bytes.size() != sizeof value) {
    return;
  }
  memcpy(&value, bytes.data(), sizeof value);
  if (!std::isfinite(value)) {
    return;
  }
  std::string text;
  binlog::AppendDouble(value, text);
  CheckNumber(text);
  const double again = strtod(text.c_str(), nullptr);
  SLUICE_CHECK(memcmp(&again, &value, sizeof value) == 0);
}

void RunText(absl::string_view charset, absl::string_view bytes) {
  std::string text;
  binlog::AppendCharsetText(bytes, charset, text);
  CheckExpression(text);
  SLUICE_CHECK(StringValue(text) == bytes);
  std::string binary;
  binlog::AppendBinary(bytes, binary);
  CheckExpression(binary);
  SLUICE_CHECK(StringValue(binary) == bytes);
  SLUICE_CHECK(StringValue(mysql::QuoteString(bytes)) == bytes);
  const auto name = sql::Tokenize(mysql::QuoteName(bytes));
  SLUICE_CHECK_OK(name.status());
  SLUICE_CHECK(name->size() == 1 && name->front().kind == sql::TokenKind::kQuotedName &&
               name->front().value == bytes);
}

void Run(absl::string_view input) {
  ByteReader reader(input);
  const auto kind = static_cast<Kind>(reader.U8() % kKinds);
  const unsigned first = reader.U8();
  const unsigned second = kind == kDecimal ? reader.U8() : 0;
  const Exact bytes(reader.Rest());
  switch (kind) {
    case kDecimal:
      return RunDecimal(first, second, bytes.view());
    case kDouble:
      return RunDouble(bytes.view());
    case kText:
      return RunText(kCharsets[first % kCharsets.size()], bytes.view());
    default:
      return RunTemporal(kind, first, bytes.view());
  }
}

std::string Seed(Kind kind, unsigned first, const std::string& bytes) {
  std::string seed(1, static_cast<char>(kind));
  seed.push_back(static_cast<char>(first));
  return seed + bytes;
}

std::string DecimalSeed(absl::string_view text, unsigned precision, unsigned scale) {
  return Seed(kDecimal, precision,
              static_cast<char>(scale) + EncodeDecimal(text, precision, scale));
}

std::string DoubleSeed(double value) {
  std::string bytes(sizeof value, '\0');
  memcpy(bytes.data(), &value, sizeof value);
  return Seed(kDouble, 0, bytes);
}

std::vector<std::string> Seeds() {
  return {
      DecimalSeed("-12.345", 10, 3),
      DecimalSeed("0", 1, 0),
      DecimalSeed("0.123456789", 9, 9),
      DecimalSeed("-9999999999", 10, 0),
      DecimalSeed("99999999999999999999999999999999999.999999999999999999999999999999", 65, 30),
      Seed(kDate, 0, EncodeDate("2020-02-29")),
      Seed(kDate, 0, EncodeDate("0000-00-00")),
      Seed(kTime, 0, EncodeTime2("-838:59:59", 0)),
      Seed(kTime, 3, EncodeTime2("-01:02:03.004", 3)),
      Seed(kTime, 6, EncodeTime2("00:00:00.000001", 6)),
      Seed(kDatetime, 2, EncodeDatetime2("2020-02-29 12:34:56.78", 2)),
      Seed(kDatetime, 5, EncodeDatetime2("2021-02-31 00:00:00.99999", 5)),
      Seed(kTimestamp, 4, EncodeTimestamp2("2026-03-29 02:30:00.9999", 4)),
      Seed(kTimestamp, 0, EncodeTimestamp2("0000-00-00 00:00:00", 0)),
      DoubleSeed(0.1),
      DoubleSeed(-0.0),
      DoubleSeed(1.7976931348623157e308),
      DoubleSeed(123456789012345680000.0),
      Seed(kText, 0, "it's \"quoted\" \\ and h\xc3\xa4\xc3\x9f"),
      Seed(kText, 5, "\xd5\x5c"),
      Seed(kText, 8, std::string("\0a\0'", 4)),
      Seed(kText, 4, std::string("\0\n\r\x1a`", 5)),
  };
}

}  // namespace

const Target kValues = {.run = Run, .seeds = Seeds};

}  // namespace sluice::fuzz
