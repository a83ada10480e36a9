// Literals of strings, bytes and floating-point numbers.

#include "common/binlog/text_literal.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstring>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/mysql/connection.h"

namespace sluice::binlog {
namespace {

// Eight bytes at a time: most text is ASCII and looked through to its end.
bool IsAscii(absl::string_view bytes) {
  constexpr uint64_t kHighBits = 0x8080808080808080;
  const char* at = bytes.data();
  size_t left = bytes.size();
  for (; left >= sizeof(uint64_t); left -= sizeof(uint64_t), at += sizeof(uint64_t)) {
    uint64_t word = 0;
    memcpy(&word, at, sizeof word);
    if ((word & kHighBits) != 0) {
      return false;
    }
  }
  return std::all_of(at, at + left, [](char c) { return static_cast<uint8_t>(c) < 0x80; });
}

// Character sets whose units are wider than a byte: no byte of theirs can be read as ASCII.
bool IsWide(absl::string_view charset) {
  return charset == "utf16" || charset == "utf16le" || charset == "utf32" || charset == "ucs2";
}

// Character sets in whose characters no byte looks like a quote or backslash; others are written in
// hexadecimal, so that nothing depends on how a parser reads them.
bool IsQuotable(absl::string_view charset) {
  return charset == "utf8mb4" || charset == "utf8mb3" || charset == "utf8" || charset == "latin1";
}

// Takes digits off the front and returns whether there were any.
bool TakeDigits(absl::string_view& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  text.remove_prefix(digits);
  return digits > 0;
}

}  // namespace

void AppendQuoted(absl::string_view bytes, std::string& sql) {
  mysql::AppendQuoted(bytes, sql);
}

void AppendCharsetText(absl::string_view bytes, absl::string_view charset, std::string& sql) {
  const bool wide = IsWide(charset);
  if (bytes.empty() || (!wide && IsAscii(bytes))) {
    AppendQuoted(bytes, sql);
    return;
  }
  // These introducers earn a deprecation warning; the bytes are stored the same without.
  const bool deprecated = charset == "utf8mb3" || charset == "utf8" || charset == "ucs2";
  absl::StrAppend(&sql, "_", deprecated ? "binary" : charset);
  if (!wide && IsQuotable(charset)) {
    AppendQuoted(bytes, sql);
  } else {
    absl::StrAppend(&sql, " 0x", absl::BytesToHexString(bytes));
  }
}

void AppendBinary(absl::string_view bytes, std::string& sql) {
  if (!IsAscii(bytes)) {
    sql += "_binary";
  }
  AppendQuoted(bytes, sql);
}

bool IsNumber(absl::string_view text, NumberForm form) {
  if (form != NumberForm::kNatural) {
    absl::ConsumePrefix(&text, "-");
  }
  bool has_digits = TakeDigits(text);
  if (form >= NumberForm::kDecimal && absl::ConsumePrefix(&text, ".")) {
    has_digits = TakeDigits(text) || has_digits;
  }
  if (!has_digits) {
    return false;
  }
  if (form == NumberForm::kFloating &&
      (absl::ConsumePrefix(&text, "e") || absl::ConsumePrefix(&text, "E"))) {
    if (!absl::ConsumePrefix(&text, "-")) {
      absl::ConsumePrefix(&text, "+");
    }
    has_digits = TakeDigits(text);
  }
  return has_digits && text.empty();
}

void AppendDouble(double value, std::string& sql) {
  std::array<char, 32> text;
  const auto [end, error] = std::to_chars(text.data(), text.data() + text.size(), value);
  const absl::string_view digits(text.data(), static_cast<size_t>(end - text.data()));
  absl::StrAppend(&sql, digits);
  // Without an exponent it would be a DECIMAL, and without a fraction an integer in JSON.
  if (digits.find('e') == absl::string_view::npos) {
    sql += digits.find('.') == absl::string_view::npos ? ".0e0" : "e0";
  }
}

}  // namespace sluice::binlog
