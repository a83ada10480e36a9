// Dates and times of the binlog, as text.

#include "common/binlog/temporal.h"

#include <array>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "common/base/byte_reader.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr unsigned kFractionBits = 24;
constexpr unsigned kFractionDigitsMax = 6;
constexpr std::array<uint32_t, kFractionDigitsMax + 1> kMicrosPerUnit = {
    1000000, 100000, 10000, 1000, 100, 10, 1};

// Digits are stored in pairs: 1 byte of hundredths, 2 of ten-thousandths, 3 of microseconds.
unsigned FractionBytes(unsigned digits) {
  return (digits + 1) / 2;
}
uint32_t MicrosPerStoredUnit(unsigned digits) {
  return kMicrosPerUnit[size_t{2} * FractionBytes(digits)];
}

void AppendNumber(uint64_t value, unsigned width, std::string& out) {
  std::array<char, 20> digits;
  size_t used = 0;
  do {
    digits[digits.size() - ++used] = static_cast<char>('0' + value % 10);
    value /= 10;
  } while (value != 0 || used < width);
  out.append(digits.data() + digits.size() - used, used);
}

void AppendFraction(uint32_t micros, unsigned digits, std::string& out) {
  if (digits > 0) {
    out.push_back('.');
    AppendNumber(micros / kMicrosPerUnit[digits], digits, out);
  }
}

void AppendDateParts(uint64_t year, uint64_t month, uint64_t day, std::string& out) {
  AppendNumber(year, 4, out);
  out.push_back('-');
  AppendNumber(month, 2, out);
  out.push_back('-');
  AppendNumber(day, 2, out);
}

void AppendClock(uint64_t hour, uint64_t minute, uint64_t second, std::string& out) {
  AppendNumber(hour, 2, out);
  out.push_back(':');
  AppendNumber(minute, 2, out);
  out.push_back(':');
  AppendNumber(second, 2, out);
}

// year * 13 + month | 5 bits day | 5 hour | 6 minute | 6 second
void AppendDatetimeBits(uint64_t bits, std::string& out) {
  const uint64_t year_month = bits >> 22U;
  AppendDateParts(year_month / 13, year_month % 13, (bits >> 17U) & 31U, out);
  out.push_back(' ');
  AppendClock((bits >> 12U) & 31U, (bits >> 6U) & 63U, bits & 63U, out);
}

absl::Status CheckSize(absl::string_view type, absl::string_view bytes, unsigned whole_bytes,
                       unsigned digits) {
  if (digits > kFractionDigitsMax || bytes.size() != whole_bytes + FractionBytes(digits)) {
    return Malformed(type, absl::StrCat(bytes.size(), " bytes for ", digits, " digits"));
  }
  return absl::OkStatus();
}

uint64_t Magnitude(int64_t value) {
  return value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
}

}  // namespace

absl::Status AppendDate(absl::string_view bytes, std::string& out) {
  if (bytes.size() != 3) {
    return Malformed("DATE", absl::StrCat(bytes.size(), " bytes"));
  }
  const uint64_t bits = ByteReader(bytes).UintLe(3);
  AppendDateParts(bits >> 9U, (bits >> 5U) & 15U, bits & 31U, out);
  return absl::OkStatus();
}

absl::Status AppendTime2(absl::string_view bytes, unsigned digits, std::string& out) {
  constexpr unsigned kWholeBytes = 3;
  absl::Status size = CheckSize("TIME", bytes, kWholeBytes, digits);
  if (!size.ok()) {
    return size;
  }
  // Whole and fraction are one big-endian number, offset so that negative ones sort first.
  const unsigned fraction_bits = 8 * FractionBytes(digits);
  const int64_t offset = int64_t{0x800000} << fraction_bits;
  const auto value = static_cast<int64_t>(ByteReader(bytes).UintBe(bytes.size())) - offset;
  const uint64_t magnitude = Magnitude(value);
  const uint64_t whole = magnitude >> fraction_bits;
  const uint64_t fraction = magnitude & ((uint64_t{1} << fraction_bits) - 1);
  if (value < 0) {
    out.push_back('-');
  }
  AppendClock((whole >> 12U) & 1023U, (whole >> 6U) & 63U, whole & 63U, out);
  AppendFraction(static_cast<uint32_t>(fraction) * MicrosPerStoredUnit(digits), digits, out);
  return absl::OkStatus();
}

absl::Status AppendDatetime2(absl::string_view bytes, unsigned digits, std::string& out) {
  constexpr unsigned kWholeBytes = 5;
  constexpr uint64_t kOffset = 0x8000000000;
  absl::Status size = CheckSize("DATETIME", bytes, kWholeBytes, digits);
  if (!size.ok()) {
    return size;
  }
  ByteReader reader(bytes);
  const uint64_t whole = reader.UintBe(kWholeBytes);
  if (whole < kOffset) {
    return Malformed("DATETIME", "negative");
  }
  AppendDatetimeBits(whole - kOffset, out);
  const auto fraction = static_cast<uint32_t>(reader.UintBe(FractionBytes(digits)));
  AppendFraction(fraction * MicrosPerStoredUnit(digits), digits, out);
  return absl::OkStatus();
}

absl::Status AppendTimestamp2(absl::string_view bytes, unsigned digits, std::string& out) {
  constexpr unsigned kWholeBytes = 4;
  absl::Status size = CheckSize("TIMESTAMP", bytes, kWholeBytes, digits);
  if (!size.ok()) {
    return size;
  }
  ByteReader reader(bytes);
  const auto seconds = static_cast<int64_t>(reader.UintBe(kWholeBytes));
  const auto fraction = static_cast<uint32_t>(reader.UintBe(FractionBytes(digits)));
  if (seconds == 0) {
    out += "0000-00-00 00:00:00";  // the zero date; the epoch itself is no TIMESTAMP
  } else {
    const absl::CivilSecond civil =
        absl::ToCivilSecond(absl::FromUnixSeconds(seconds), absl::UTCTimeZone());
    AppendDateParts(static_cast<uint64_t>(civil.year()), static_cast<uint64_t>(civil.month()),
                    static_cast<uint64_t>(civil.day()), out);
    out.push_back(' ');
    AppendClock(static_cast<uint64_t>(civil.hour()), static_cast<uint64_t>(civil.minute()),
                static_cast<uint64_t>(civil.second()), out);
  }
  AppendFraction(fraction * MicrosPerStoredUnit(digits), digits, out);
  return absl::OkStatus();
}

void AppendPackedDate(int64_t packed, std::string& out) {
  const uint64_t bits = Magnitude(packed) >> kFractionBits;
  const uint64_t year_month = bits >> 22U;
  AppendDateParts(year_month / 13, year_month % 13, (bits >> 17U) & 31U, out);
}

void AppendPackedTime(int64_t packed, std::string& out) {
  const uint64_t magnitude = Magnitude(packed);
  const uint64_t bits = magnitude >> kFractionBits;
  if (packed < 0) {
    out.push_back('-');
  }
  AppendClock((bits >> 12U) & 1023U, (bits >> 6U) & 63U, bits & 63U, out);
  AppendFraction(static_cast<uint32_t>(magnitude & ((1U << kFractionBits) - 1)), kFractionDigitsMax,
                 out);
}

void AppendPackedDatetime(int64_t packed, std::string& out) {
  const uint64_t magnitude = Magnitude(packed);
  AppendDatetimeBits(magnitude >> kFractionBits, out);
  AppendFraction(static_cast<uint32_t>(magnitude & ((1U << kFractionBits) - 1)), kFractionDigitsMax,
                 out);
}

}  // namespace sluice::binlog
