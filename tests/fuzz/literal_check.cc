// Checks of literals, by our own tokenizer and by the server's rules for escapes.

#include "tests/fuzz/literal_check.h"

#include <cctype>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/check.h"
#include "common/sql/tokenizer.h"

namespace sluice::fuzz {
namespace {

using sql::Token;
using sql::TokenKind;

std::vector<Token> Tokens(absl::string_view sql) {
  auto tokens = sql::Tokenize(sql);
  SLUICE_CHECK_OK(tokens.status());
  return *std::move(tokens);
}

bool IsDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c));
}

// Takes digits off the front and returns how many.
size_t TakeDigits(absl::string_view& text) {
  size_t digits = 0;
  while (digits < text.size() && IsDigit(text[digits])) {
    ++digits;
  }
  text.remove_prefix(digits);
  return digits;
}

}  // namespace

void CheckExpression(absl::string_view sql) {
  const std::vector<Token> tokens = Tokens(sql);
  SLUICE_CHECK(!tokens.empty());
  int depth = 0;
  size_t end = 0;
  for (const Token& token : tokens) {
    // Nothing between the tokens was a comment.
    SLUICE_CHECK(absl::StripAsciiWhitespace(sql.substr(end, token.begin - end)).empty());
    end = token.end;
    SLUICE_CHECK(token.kind != TokenKind::kQuotedName && token.kind != TokenKind::kVariable);
    if (token.kind == TokenKind::kPunctuation) {
      depth += token.value == "(" ? 1 : token.value == ")" ? -1 : 0;
      SLUICE_CHECK(depth >= 0 && token.value != ";");
      SLUICE_CHECK(depth > 0 || token.value != ",");
    }
  }
  SLUICE_CHECK(depth == 0 && end == sql.size());
  SLUICE_CHECK(Tokens(absl::StrCat("(", sql, ",", sql, ")")).size() == 2 * tokens.size() + 3);
}

std::string StringValue(absl::string_view literal) {
  if (absl::ConsumePrefix(&literal, "_")) {
    const size_t end = literal.find_first_of(" '");
    SLUICE_CHECK(end != absl::string_view::npos && end > 0);
    literal.remove_prefix(end);
    if (absl::ConsumePrefix(&literal, " 0x")) {
      SLUICE_CHECK(literal.size() % 2 == 0);
      return absl::HexStringToBytes(literal);
    }
  }
  SLUICE_CHECK(literal.size() >= 2 && literal.front() == '\'' && literal.back() == '\'');
  literal = literal.substr(1, literal.size() - 2);
  constexpr absl::string_view kNames = "0nrZbt";
  constexpr absl::string_view kBytes("\0\n\r\x1a\b\t", 6);
  std::string value;
  for (size_t i = 0; i < literal.size(); ++i) {
    SLUICE_CHECK(literal[i] != '\'');
    if (literal[i] != '\\') {
      value.push_back(literal[i]);
      continue;
    }
    ++i;
    SLUICE_CHECK(i < literal.size());
    const size_t name = kNames.find(literal[i]);
    value.push_back(name == absl::string_view::npos ? literal[i] : kBytes[name]);
  }
  return value;
}

void CheckNumber(absl::string_view sql) {
  absl::ConsumePrefix(&sql, "-");
  size_t digits = TakeDigits(sql);
  if (absl::ConsumePrefix(&sql, ".")) {
    digits += TakeDigits(sql);
  }
  SLUICE_CHECK(digits > 0);
  if (absl::ConsumePrefix(&sql, "e") || absl::ConsumePrefix(&sql, "E")) {
    if (!absl::ConsumePrefix(&sql, "-")) {
      absl::ConsumePrefix(&sql, "+");
    }
    SLUICE_CHECK(TakeDigits(sql) > 0);
  }
  SLUICE_CHECK(sql.empty());
}

}  // namespace sluice::fuzz
