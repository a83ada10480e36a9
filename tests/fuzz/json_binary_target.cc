// JSON: MySQL's binary documents, forged and well-formed, as SQL expressions.
//
// Input: the form (1 byte), then the binary document, or JSON text to encode, or the length of a
// document (2 bytes), a document and diffs to it.

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/strip.h"
#include "common/base/byte_reader.h"
#include "common/base/check.h"
#include "common/binlog/json_binary.h"
#include "common/binlog/json_literal.h"
#include "common/binlog/json_patch.h"
#include "tests/agent/source/binlog_events.h"
#include "tests/fuzz/encoders.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/literal_check.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using nlohmann::json;

enum Form : uint8_t { kBinary, kSmallText, kLargeText, kDiffs, kForms };

void RunBinary(absl::string_view document) {
  const Exact exact(document);
  std::string sql;
  if (binlog::AppendJsonLiteral(exact.view(), sql).ok()) {
    CheckExpression(sql);
  }
}

// What comes out is a document that is written in one way.
void RunDiffs(absl::string_view input) {
  ByteReader reader(input);
  const size_t size = std::min<size_t>(reader.U16(), reader.remaining());
  const Exact document(reader.Bytes(size));
  const Exact diffs(reader.Bytes(reader.remaining()));
  const auto patched = binlog::ApplyJsonDiffs(document.view(), diffs.view());
  if (!patched.ok()) {
    return;
  }
  const auto again = binlog::ApplyJsonDiffs(*patched, "");
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(*again == *patched);
  RunBinary(*patched);
}

// Values that differ only in what JSON text cannot tell count as different.
bool Same(const json& a, const json& b) {
  if (a.is_number() && b.is_number()) {
    return a.is_number_float() == b.is_number_float() && a == b;
  }
  if (a.type() != b.type() || a.size() != b.size()) {
    return false;
  }
  if (!a.is_structured()) {
    return a == b;
  }
  return std::equal(a.begin(), a.end(), b.begin(), Same) &&
         (!a.is_object() || std::equal(a.items().begin(), a.items().end(), b.items().begin(),
                                       [](auto& x, auto& y) { return x.key() == y.key(); }));
}

size_t Depth(const json& value) {
  size_t depth = 0;
  for (const json& member : value) {
    depth = std::max(depth, member.is_structured() ? Depth(member) : 0);
  }
  return depth + 1;
}

// What JSON text can say comes out of its binary form as it was.
void RunText(absl::string_view text, bool large) {
  constexpr size_t kBytesMax = 16'000;  // of text, so that offsets of 2 bytes do
  if (text.size() > kBytesMax ||
      static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
        return c == '[' || c == '{';
      })) > 2 * binlog::kJsonDepthMax) {
    return;
  }
  const json document = json::parse(text.begin(), text.end(), nullptr, false);
  if (document.is_discarded()) {
    return;
  }
  const Exact bytes(EncodeJson(document, large));
  std::string sql;
  const absl::Status status = binlog::AppendJsonLiteral(bytes.view(), sql);
  if (document.is_structured() && Depth(document) > binlog::kJsonDepthMax) {
    SLUICE_CHECK(!status.ok());
    return;
  }
  SLUICE_CHECK_OK(status);
  CheckExpression(sql);
  absl::string_view literal = sql;
  SLUICE_CHECK(absl::ConsumePrefix(&literal, "CAST(") &&
               absl::ConsumeSuffix(&literal, " AS JSON)"));
  const json again = json::parse(StringValue(literal), nullptr, false);
  SLUICE_CHECK(!again.is_discarded() && Same(document, again));
}

void Run(absl::string_view input) {
  if (input.empty()) {
    return;
  }
  const auto form = static_cast<Form>(static_cast<uint8_t>(input[0]) % kForms);
  if (form == kBinary) {
    RunBinary(input.substr(1));
  } else if (form == kDiffs) {
    RunDiffs(input.substr(1));
  } else {
    RunText(input.substr(1), form == kLargeText);
  }
}

// A container of one opaque value of a MySQL type.
std::string Opaque(uint8_t type, const std::string& value) {
  std::string array("\x02\x01\x00\x00\x00\x0f\x07\x00", 8);
  array.push_back(static_cast<char>(type));
  array.push_back(static_cast<char>(value.size()));
  array += value;
  array[3] = static_cast<char>(array.size() - 1);
  return array;
}

std::vector<std::string> Seeds() {
  std::vector<std::string> seeds;
  for (const char* text :
       {"null", "true", "[]", "{}", "\"\"", "-1", "[[[]]]", "18446744073709551615", "0.1",
        "{\"a\": {\"b\": [1, 2.5, \"x\", null, true, false]}, \"\": 1}",
        "\"quote \\\" backslash \\\\ nul \\u0000 euro \xe2\x82\xac it's\"",
        "[-32768, 32768, 65536, -2147483649, 9223372036854775807, 9223372036854775808]",
        "[0.0, -0.0, 1e300, 5e-324, 123456789012345680000]"}) {
    const json document = json::parse(text);
    for (const Form form : {kSmallText, kLargeText}) {
      seeds.push_back(static_cast<char>(form) + std::string(text));
      seeds.push_back(static_cast<char>(kBinary) + EncodeJson(document, form == kLargeText));
    }
  }
  std::string deep;
  for (int i = 0; i < binlog::kJsonDepthMax; ++i) {
    deep = "[" + deep + "]";
  }
  seeds.push_back(static_cast<char>(kSmallText) + deep);
  const auto add = [&](uint8_t type, const std::string& value) {
    seeds.push_back(static_cast<char>(kBinary) + Opaque(type, value));
  };
  add(246, std::string("\x0a\x03") + EncodeDecimal("-12.345", 10, 3));
  add(246, std::string("\x02\x01") + EncodeDecimal("1.5", 2, 1));
  add(10, std::string("\x00\x00\x00\x00\x00\xba\xa5\x19", 8));
  add(11, std::string("\x00\x00\x00\xc3\x10\x00\x00\x00", 8));
  add(12, std::string("\x01\x00\x00\xb8\x38\xba\xa5\x19", 8));
  add(7, std::string("\x01\x00\x00\xb8\x38\xba\xa5\x19", 8));
  for (const int type : {15, 249, 250, 251, 252, 253, 254, 16, 13, 255}) {
    add(static_cast<uint8_t>(type), std::string("\x00'\xff", 3));
  }
  const std::string document =
      EncodeJson(json::parse(R"({"a": [1, {"b": "x"}], "c": 2.5})"), false);
  std::string diffs(1, static_cast<char>(kDiffs));
  sluice::testing::AppendUint(document.size(), 2, diffs);
  diffs += document;
  diffs += std::string(
      "\x00\x0a"
      "$.a[1].\"b\""
      "\x03\x05\x07\x00",
      16);
  diffs += std::string(
      "\x01\x07"
      "$.a[50]"
      "\x02\x04\x00",
      12);
  diffs += std::string(
      "\x02\x03"
      "$.c",
      5);
  seeds.push_back(diffs);
  // A small unsigned number, which text would make a signed one.
  seeds.push_back(std::string("\x00\x06\x05\x00", 4));
  return seeds;
}

}  // namespace

const Target kJsonBinary = {
    .run = Run, .seeds = Seeds, .memory_bytes = size_t{8} << 20U, .memory_per_byte = 4096};

}  // namespace sluice::fuzz
