// DECIMAL: nine digits in four bytes, the rest of each side in as few bytes as it needs,
// big-endian; the first bit is inverted, and all bits of a negative number are.

#include "common/binlog/decimal.h"

#include <array>
#include <cstdint>

#include "common/base/byte_reader.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr unsigned kPrecisionMax = 65;
constexpr unsigned kScaleMax = 30;
constexpr unsigned kGroupDigits = 9;
constexpr std::array<size_t, kGroupDigits + 1> kBytesOfDigits = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
constexpr std::array<uint32_t, kGroupDigits + 1> kPowers = {
    1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};

// Appends the next `digits` digits with leading zeros; false when the bytes hold a larger number.
bool AppendGroup(ByteReader& reader, unsigned digits, std::string& out) {
  auto value = static_cast<uint32_t>(reader.UintBe(kBytesOfDigits[digits]));
  if (reader.failed() || value >= kPowers[digits]) {
    return false;
  }
  for (unsigned i = digits; i > 0; --i) {
    out.push_back(static_cast<char>('0' + value / kPowers[i - 1]));
    value %= kPowers[i - 1];
  }
  return true;
}

}  // namespace

size_t DecimalBytes(unsigned precision, unsigned scale) {
  if (precision == 0 || precision > kPrecisionMax || scale > kScaleMax || scale > precision) {
    return 0;
  }
  const unsigned whole = precision - scale;
  return 4 * size_t{whole / kGroupDigits + scale / kGroupDigits} +
         kBytesOfDigits[whole % kGroupDigits] + kBytesOfDigits[scale % kGroupDigits];
}

absl::Status AppendDecimal(absl::string_view bytes, unsigned precision, unsigned scale,
                           std::string& out) {
  if (bytes.empty() || bytes.size() != DecimalBytes(precision, scale)) {
    return Malformed("DECIMAL", absl::StrCat(bytes.size(), " bytes for precision ", precision,
                                             ", scale ", scale));
  }
  const bool negative = (static_cast<uint8_t>(bytes[0]) & 0x80U) == 0;
  std::string plain(bytes);
  if (negative) {
    for (char& c : plain) {
      c = static_cast<char>(~static_cast<uint8_t>(c));
    }
  }
  plain[0] = static_cast<char>(static_cast<uint8_t>(plain[0]) ^ 0x80U);

  ByteReader reader(plain);
  std::string digits;
  const unsigned whole = precision - scale;
  bool good = AppendGroup(reader, whole % kGroupDigits, digits);
  for (unsigned i = 0; i < whole / kGroupDigits; ++i) {
    good = good && AppendGroup(reader, kGroupDigits, digits);
  }
  const size_t first = digits.find_first_not_of('0');
  digits = first == std::string::npos ? "0" : digits.substr(first);
  if (scale > 0) {
    digits.push_back('.');
  }
  for (unsigned i = 0; i < scale / kGroupDigits; ++i) {
    good = good && AppendGroup(reader, kGroupDigits, digits);
  }
  good = good && AppendGroup(reader, scale % kGroupDigits, digits);
  if (!good) {
    return Malformed("DECIMAL", "more digits than its type");
  }
  if (negative) {
    out.push_back('-');
  }
  out += digits;
  return absl::OkStatus();
}

}  // namespace sluice::binlog
