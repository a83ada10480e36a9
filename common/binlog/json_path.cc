// JsonPath: reading of paths.

#include "common/binlog/json_path.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/binlog/malformed.h"

namespace sluice::binlog {
namespace {

constexpr absl::string_view kPath = "path of a JSON diff";

absl::Status Bad(absl::string_view rest) {
  return Malformed(kPath, absl::StrCat("at '", rest.substr(0, 32), "'"));
}

void AppendUtf8(uint32_t code, std::string& out) {
  const auto put = [&out](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    put(code);
  } else if (code < 0x800) {
    put(0xC0U | (code >> 6U));
    put(0x80U | (code & 0x3FU));
  } else if (code < 0x10000) {
    put(0xE0U | (code >> 12U));
    put(0x80U | ((code >> 6U) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  } else {
    put(0xF0U | (code >> 18U));
    put(0x80U | ((code >> 12U) & 0x3FU));
    put(0x80U | ((code >> 6U) & 0x3FU));
    put(0x80U | (code & 0x3FU));
  }
}

// The four digits behind \u.
bool TakeUnit(absl::string_view& rest, uint32_t& unit) {
  if (rest.size() < 4) {
    return false;
  }
  unit = 0;
  for (const char c : rest.substr(0, 4)) {
    if (!absl::ascii_isxdigit(static_cast<unsigned char>(c))) {
      return false;
    }
    const auto digit =
        static_cast<unsigned char>(absl::ascii_tolower(static_cast<unsigned char>(c)));
    unit = unit * 16 + static_cast<uint32_t>(digit <= '9' ? digit - '0' : digit - 'a' + 10);
  }
  rest.remove_prefix(4);
  return true;
}

bool TakeUnicode(absl::string_view& rest, std::string& out) {
  uint32_t code = 0;
  if (!TakeUnit(rest, code)) {
    return false;
  }
  if (code >= 0xD800 && code < 0xDC00) {
    uint32_t low = 0;
    if (!absl::ConsumePrefix(&rest, "\\u") || !TakeUnit(rest, low) || low < 0xDC00 ||
        low > 0xDFFF) {
      return false;
    }
    code = 0x10000 + ((code - 0xD800) << 10U) + (low - 0xDC00);
  }
  AppendUtf8(code, out);
  return true;
}

bool TakeEscape(absl::string_view& rest, std::string& out) {
  if (rest.empty()) {
    return false;
  }
  const char c = rest.front();
  rest.remove_prefix(1);
  switch (c) {
    case '"':
    case '\\':
    case '/':
      out.push_back(c);
      return true;
    case 'b':
      out.push_back('\b');
      return true;
    case 'f':
      out.push_back('\f');
      return true;
    case 'n':
      out.push_back('\n');
      return true;
    case 'r':
      out.push_back('\r');
      return true;
    case 't':
      out.push_back('\t');
      return true;
    case 'u':
      return TakeUnicode(rest, out);
    default:
      return false;
  }
}

// The name behind a dot.
bool TakeKey(absl::string_view& rest, std::string& key) {
  if (!absl::ConsumePrefix(&rest, "\"")) {
    const size_t end = std::min(rest.find_first_of(".[\"*"), rest.size());
    key = std::string(rest.substr(0, end));
    rest.remove_prefix(end);
    return !key.empty();
  }
  while (!rest.empty()) {
    const char c = rest.front();
    rest.remove_prefix(1);
    if (c == '"') {
      return true;
    }
    if (c != '\\') {
      key.push_back(c);
    } else if (!TakeEscape(rest, key)) {
      return false;
    }
  }
  return false;
}

bool TakeCell(absl::string_view& rest, JsonPathLeg& leg) {
  const size_t end = rest.find(']');
  if (end == absl::string_view::npos) {
    return false;
  }
  absl::string_view inside = rest.substr(0, end);
  rest.remove_prefix(end + 1);
  leg.is_cell = true;
  leg.from_last = absl::ConsumePrefix(&inside, "last");
  if (leg.from_last && inside.empty()) {
    return true;
  }
  if (leg.from_last && !absl::ConsumePrefix(&inside, "-")) {
    return false;
  }
  return !inside.empty() && absl::ascii_isdigit(static_cast<unsigned char>(inside.front())) &&
         absl::SimpleAtoi(inside, &leg.index);
}

}  // namespace

absl::StatusOr<std::vector<JsonPathLeg>> ParseJsonPath(absl::string_view path) {
  std::vector<JsonPathLeg> legs;
  absl::string_view rest = path;
  if (!absl::ConsumePrefix(&rest, "$")) {
    return Bad(rest);
  }
  while (!rest.empty()) {
    const absl::string_view at = rest;
    JsonPathLeg& leg = legs.emplace_back();
    const char kind = rest.front();
    rest.remove_prefix(1);
    const bool good =
        (kind == '.' && TakeKey(rest, leg.key)) || (kind == '[' && TakeCell(rest, leg));
    if (!good) {
      return Bad(at);
    }
  }
  return legs;
}

}  // namespace sluice::binlog
