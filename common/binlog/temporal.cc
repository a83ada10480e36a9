// Dates and times of the binlog, as text.

#include "common/binlog/temporal.h"

#include <array>

#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "common/base/byte_reader.h"
#include "common/base/status_macros.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr unsigned kFractionBits = 24;
constexpr uint64_t kFractionMask = (uint64_t{1} << kFractionBits) - 1;
constexpr unsigned kFractionDigitsMax = 6;
constexpr std::array<uint32_t, kFractionDigitsMax + 1> kMicrosPerUnit = {
    1000000, 100000, 10000, 1000, 100, 10, 1};

// Digits are stored in pairs: 1 byte of hundredths, 2 of ten-thousandths, 3 of microseconds.
unsigned FractionBytes(unsigned digits) {
  return (digits + 1) / 2;
}
uint64_t MicrosPerStoredUnit(unsigned digits) {
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

void AppendFraction(uint64_t micros, unsigned digits, std::string& out) {
  if (digits > 0) {
    out.push_back('.');
    AppendNumber(micros / kMicrosPerUnit[digits], digits, out);
  }
}

// A whole second, or a digit that the type does not have, would be read as another value.
absl::Status CheckFraction(absl::string_view type, uint64_t micros, unsigned digits) {
  if (micros >= kMicrosPerUnit[0] || micros % kMicrosPerUnit[digits] != 0) {
    return Malformed(type, absl::StrCat("a fraction of ", micros, " us for ", digits, " digits"));
  }
  return absl::OkStatus();
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

// 10 bits hour | 6 minute | 6 second; servers leave the bits above zero.
absl::Status CheckClockBits(absl::string_view type, uint64_t bits) {
  return bits >> 22U == 0 ? absl::OkStatus() : Malformed(type, "more than 1023 hours");
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
  const uint64_t micros = fraction * MicrosPerStoredUnit(digits);
  SLUICE_RETURN_IF_ERROR(CheckClockBits("TIME", whole));
  SLUICE_RETURN_IF_ERROR(CheckFraction("TIME", micros, digits));
  if (value < 0) {
    out.push_back('-');
  }
  AppendClock((whole >> 12U) & 1023U, (whole >> 6U) & 63U, whole & 63U, out);
  AppendFraction(micros, digits, out);
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
  const uint64_t micros = reader.UintBe(FractionBytes(digits)) * MicrosPerStoredUnit(digits);
  SLUICE_RETURN_IF_ERROR(CheckFraction("DATETIME", micros, digits));
  AppendDatetimeBits(whole - kOffset, out);
  AppendFraction(micros, digits, out);
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
  const uint64_t micros = reader.UintBe(FractionBytes(digits)) * MicrosPerStoredUnit(digits);
  SLUICE_RETURN_IF_ERROR(CheckFraction("TIMESTAMP", micros, digits));
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
  AppendFraction(micros, digits, out);
  return absl::OkStatus();
}

absl::Status AppendPackedDate(int64_t packed, std::string& out) {
  if (packed < 0) {
    return Malformed("DATE", "negative");
  }
  const uint64_t bits = static_cast<uint64_t>(packed) >> kFractionBits;
  const uint64_t year_month = bits >> 22U;
  AppendDateParts(year_month / 13, year_month % 13, (bits >> 17U) & 31U, out);
  return absl::OkStatus();
}

absl::Status AppendPackedTime(int64_t packed, std::string& out) {
  const uint64_t magnitude = Magnitude(packed);
  const uint64_t bits = magnitude >> kFractionBits;
  const uint64_t micros = magnitude & kFractionMask;
  SLUICE_RETURN_IF_ERROR(CheckClockBits("TIME", bits));
  SLUICE_RETURN_IF_ERROR(CheckFraction("TIME", micros, kFractionDigitsMax));
  if (packed < 0) {
    out.push_back('-');
  }
  AppendClock((bits >> 12U) & 1023U, (bits >> 6U) & 63U, bits & 63U, out);
  AppendFraction(micros, kFractionDigitsMax, out);
  return absl::OkStatus();
}

absl::Status AppendPackedDatetime(int64_t packed, std::string& out) {
  if (packed < 0) {
    return Malformed("DATETIME", "negative");
  }
  const auto bits = static_cast<uint64_t>(packed);
  const uint64_t micros = bits & kFractionMask;
  SLUICE_RETURN_IF_ERROR(CheckFraction("DATETIME", micros, kFractionDigitsMax));
  AppendDatetimeBits(bits >> kFractionBits, out);
  AppendFraction(micros, kFractionDigitsMax, out);
  return absl::OkStatus();
}

}  // namespace sluice::binlog
