// Encoders of decimals, dates and times, JSON and tagged GTIDs.

#include "tests/fuzz/encoders.h"

#include <array>
#include <cstdint>
#include <cstring>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/civil_time.h"
#include "absl/time/time.h"
#include "common/base/check.h"

namespace sluice::fuzz {
namespace {

using nlohmann::json;

uint64_t Number(absl::string_view digits) {
  uint64_t number = 0;
  SLUICE_CHECK(absl::SimpleAtoi(digits, &number));
  return number;
}

void AppendLe(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = 0; i < bytes; ++i) {
    out.push_back(static_cast<char>(value >> (8 * i)));
  }
}

void AppendBe(uint64_t value, size_t bytes, std::string& out) {
  for (size_t i = bytes; i > 0; --i) {
    out.push_back(static_cast<char>(value >> (8 * (i - 1))));
  }
}

// Groups of nine digits, the odd one first or last.
void AppendDigits(absl::string_view digits, bool odd_first, std::string& out) {
  constexpr std::array<size_t, 10> kBytes = {0, 1, 1, 2, 2, 3, 3, 4, 4, 4};
  const size_t odd = digits.size() % 9;
  if (odd_first && odd > 0) {
    AppendBe(Number(digits.substr(0, odd)), kBytes[odd], out);
    digits.remove_prefix(odd);
  }
  for (; digits.size() >= 9; digits.remove_prefix(9)) {
    AppendBe(Number(digits.substr(0, 9)), 4, out);
  }
  if (!digits.empty()) {
    AppendBe(Number(digits), kBytes[digits.size()], out);
  }
}

std::vector<uint64_t> Numbers(absl::string_view text, absl::string_view separators) {
  std::vector<uint64_t> numbers;
  for (const absl::string_view part : absl::StrSplit(text, absl::ByAnyChar(separators))) {
    numbers.push_back(Number(part));
  }
  return numbers;
}

size_t FractionBytes(unsigned digits) {
  return (digits + 1) / 2;
}

// The stored number of "hh:mm:ss.fff" behind the point: an even number of digits.
uint64_t Fraction(absl::string_view text, unsigned digits) {
  const size_t point = text.find('.');
  SLUICE_CHECK((point == absl::string_view::npos) == (digits == 0));
  if (digits == 0) {
    return 0;
  }
  const absl::string_view fraction = text.substr(point + 1);
  SLUICE_CHECK(fraction.size() == digits);
  return Number(fraction) * (digits % 2 == 1 ? 10 : 1);
}

absl::string_view WithoutFraction(absl::string_view text) {
  return text.substr(0, text.find('.'));
}

}  // namespace

std::string EncodeDecimal(absl::string_view text, unsigned precision, unsigned scale) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  const size_t point = text.find('.');
  std::string whole(text.substr(0, point));
  if (whole == "0") {
    whole.clear();
  }
  SLUICE_CHECK(whole.size() <= precision - scale);
  whole.insert(0, precision - scale - whole.size(), '0');
  const absl::string_view fraction = point == absl::string_view::npos ? "" : text.substr(point + 1);
  SLUICE_CHECK(fraction.size() == scale);
  std::string bytes;
  AppendDigits(whole, true, bytes);
  AppendDigits(fraction, false, bytes);
  bytes[0] = static_cast<char>(static_cast<uint8_t>(bytes[0]) ^ 0x80U);
  for (char& byte : bytes) {
    byte = negative ? static_cast<char>(~static_cast<uint8_t>(byte)) : byte;
  }
  return bytes;
}

std::string EncodeDate(absl::string_view text) {
  const std::vector<uint64_t> parts = Numbers(text, "-");
  SLUICE_CHECK(parts.size() == 3);
  std::string bytes;
  AppendLe(parts[0] << 9U | parts[1] << 5U | parts[2], 3, bytes);
  return bytes;
}

std::string EncodeTime2(absl::string_view text, unsigned digits) {
  const bool negative = absl::ConsumePrefix(&text, "-");
  const std::vector<uint64_t> parts = Numbers(WithoutFraction(text), ":");
  SLUICE_CHECK(parts.size() == 3);
  const size_t bits = 8 * FractionBytes(digits);
  const uint64_t magnitude = (parts[0] << 12U | parts[1] << 6U | parts[2]) << bits;
  const uint64_t value = magnitude + Fraction(text, digits);
  const uint64_t zero = uint64_t{0x800000} << bits;
  std::string bytes;
  AppendBe(negative ? zero - value : zero + value, 3 + FractionBytes(digits), bytes);
  return bytes;
}

std::string EncodeDatetime2(absl::string_view text, unsigned digits) {
  const std::vector<uint64_t> parts = Numbers(WithoutFraction(text), "- :");
  SLUICE_CHECK(parts.size() == 6);
  const uint64_t day = (parts[0] * 13 + parts[1]) << 5U | parts[2];
  const uint64_t clock = parts[3] << 12U | parts[4] << 6U | parts[5];
  std::string bytes;
  AppendBe(0x8000000000 + (day << 17U | clock), 5, bytes);
  AppendBe(Fraction(text, digits), FractionBytes(digits), bytes);
  return bytes;
}

std::string EncodeTimestamp2(absl::string_view text, unsigned digits) {
  const std::vector<uint64_t> parts = Numbers(WithoutFraction(text), "- :");
  SLUICE_CHECK(parts.size() == 6);
  const auto part = [&](size_t i) { return static_cast<int64_t>(parts[i]); };
  const absl::CivilSecond civil(part(0), part(1), part(2), part(3), part(4), part(5));
  const int64_t seconds =
      parts[0] == 0 ? 0 : absl::ToUnixSeconds(absl::FromCivil(civil, absl::UTCTimeZone()));
  std::string bytes;
  AppendBe(static_cast<uint64_t>(seconds), 4, bytes);
  AppendBe(Fraction(text, digits), FractionBytes(digits), bytes);
  return bytes;
}

namespace {

void AppendJsonLength(size_t length, std::string& out) {
  for (; length >= 0x80; length >>= 7U) {
    out.push_back(static_cast<char>(0x80U | (length & 0x7fU)));
  }
  out.push_back(static_cast<char>(length));
}

struct Encoded {
  uint8_t type = 0;
  std::string bytes;     // what stands behind the entries
  uint64_t inlined = 0;  // or in the entry itself
  bool is_inlined = false;
};

Encoded EncodeValue(const json& value, bool large);

std::string EncodeContainer(const json& container, bool large) {
  const size_t width = large ? 4 : 2;
  const bool object = container.is_object();
  const size_t count = container.size();
  size_t offset = 2 * width + count * (1 + width + (object ? width + 2 : 0));
  std::string keys;
  std::string key_entries;
  if (object) {
    for (const auto& [key, value] : container.items()) {
      AppendLe(offset + keys.size(), width, key_entries);
      AppendLe(key.size(), 2, key_entries);
      keys += key;
    }
  }
  offset += keys.size();
  std::string value_entries;
  std::string values;
  for (const json& member : container) {
    const Encoded encoded = EncodeValue(member, large);
    value_entries.push_back(static_cast<char>(encoded.type));
    AppendLe(encoded.is_inlined ? encoded.inlined : offset + values.size(), width, value_entries);
    values += encoded.bytes;
  }
  std::string bytes;
  AppendLe(count, width, bytes);
  AppendLe(offset + values.size(), width, bytes);
  return bytes + key_entries + value_entries + keys + values;
}

Encoded EncodeInteger(const json& value, bool large) {
  Encoded encoded;
  // As mysqld's parser does it.
  if (value.is_number_unsigned() && value.get<uint64_t>() > std::numeric_limits<uint32_t>::max()) {
    encoded.type = 0x0a;
    AppendLe(value.get<uint64_t>(), 8, encoded.bytes);
    return encoded;
  }
  const auto number = value.get<int64_t>();
  const bool is_16 = number == static_cast<int16_t>(number);
  const bool is_32 = number == static_cast<int32_t>(number);
  encoded.type = is_16 ? 0x05 : is_32 ? 0x07 : 0x09;
  encoded.is_inlined = is_16 || (is_32 && large);
  if (encoded.is_inlined) {
    encoded.inlined = static_cast<uint64_t>(number);
  } else {
    AppendLe(static_cast<uint64_t>(number), is_32 ? 4 : 8, encoded.bytes);
  }
  return encoded;
}

Encoded EncodeValue(const json& value, bool large) {
  Encoded encoded;
  switch (value.type()) {
    case json::value_t::object:
    case json::value_t::array:
      encoded.type = static_cast<uint8_t>((value.is_object() ? 0 : 2) + (large ? 1 : 0));
      encoded.bytes = EncodeContainer(value, large);
      return encoded;
    case json::value_t::boolean:
      return {
          .type = 0x04, .bytes = {}, .inlined = value.get<bool>() ? 1U : 2U, .is_inlined = true};
    case json::value_t::string:
      encoded.type = 0x0c;
      AppendJsonLength(value.get_ref<const std::string&>().size(), encoded.bytes);
      encoded.bytes += value.get_ref<const std::string&>();
      return encoded;
    case json::value_t::number_float: {
      uint64_t bits = 0;
      const auto number = value.get<double>();
      memcpy(&bits, &number, sizeof bits);
      encoded.type = 0x0b;
      AppendLe(bits, 8, encoded.bytes);
      return encoded;
    }
    case json::value_t::number_integer:
    case json::value_t::number_unsigned:
      return EncodeInteger(value, large);
    default:
      return {.type = 0x04, .bytes = {}, .inlined = 0, .is_inlined = true};
  }
}

void AppendVarlen(uint64_t value, std::string& out) {
  size_t more = 0;  // bytes behind the first one
  while (more < 8 && value >> (7 * (more + 1)) != 0) {
    ++more;
  }
  if (more == 8) {
    out.push_back(static_cast<char>(0xff));
    AppendLe(value, 8, out);
    return;
  }
  AppendLe((value << (more + 1)) | ((uint64_t{1} << more) - 1), more + 1, out);
}

void AppendVarlenSigned(int64_t value, std::string& out) {
  const auto bits = static_cast<uint64_t>(value);
  AppendVarlen(value < 0 ? (~bits << 1U) | 1U : bits << 1U, out);
}

}  // namespace

std::string EncodeJson(const json& document, bool large) {
  const Encoded encoded = EncodeValue(document, large);
  std::string bytes(1, static_cast<char>(encoded.type));
  if (encoded.is_inlined) {
    const size_t width = encoded.type == 0x04 ? 1 : encoded.type == 0x05 ? 2 : 4;
    AppendLe(encoded.inlined, width, bytes);
  }
  return bytes + encoded.bytes;
}

std::string EncodeTaggedGtid(const binlog::GtidEvent& event) {
  std::string fields;
  const auto field = [&](uint64_t id) { AppendVarlen(id, fields); };
  field(0);
  AppendVarlen(1, fields);
  field(1);
  for (const char c : absl::HexStringToBytes(absl::StrReplaceAll(event.gtid.uuid, {{"-", ""}}))) {
    AppendVarlen(static_cast<uint8_t>(c), fields);
  }
  field(2);
  AppendVarlenSigned(static_cast<int64_t>(event.gtid.number), fields);
  field(3);
  AppendVarlen(event.gtid.tag.size(), fields);
  fields += event.gtid.tag;
  field(4);
  AppendVarlenSigned(event.last_committed, fields);
  field(5);
  AppendVarlenSigned(event.sequence_number, fields);
  field(6);
  AppendVarlen(event.immediate_commit_us, fields);
  field(7);
  AppendVarlen(event.original_commit_us, fields);
  // Version, size of the whole message (which takes a byte below 128), last field that may not be
  // ignored.
  std::string head;
  AppendVarlen(1, head);
  AppendVarlen(fields.size() + 3 < 128 ? fields.size() + 3 : fields.size() + 4, head);
  AppendVarlen(0, head);
  return head + fields;
}

}  // namespace sluice::fuzz
