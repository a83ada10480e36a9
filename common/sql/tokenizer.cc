// Tokenizer: the lexical rules of MySQL 9.7 as far as names, strings and comments need them.

#include "common/sql/tokenizer.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::sql {
namespace {

bool IsSpace(char c) {
  return absl::ascii_isspace(static_cast<unsigned char>(c)) || c == '\0';
}

bool IsDigit(char c) {
  return absl::ascii_isdigit(static_cast<unsigned char>(c));
}

bool IsNameCharacter(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_' || c == '$' ||
         (static_cast<unsigned char>(c) & 0x80U) != 0;
}

class Lexer {
 public:
  Lexer(absl::string_view sql, const TokenizerOptions& options) : sql_(sql), options_(options) {}

  absl::StatusOr<std::vector<Token>> Run() {
    while (true) {
      SLUICE_RETURN_IF_ERROR(SkipBlanks());
      if (at_ >= sql_.size()) {
        break;
      }
      SLUICE_RETURN_IF_ERROR(ReadToken());
    }
    if (conditional_) {
      return absl::InvalidArgumentError(
          absl::StrCat("unterminated comment at offset ", conditional_begin_));
    }
    return std::move(tokens_);
  }

 private:
  [[nodiscard]] char Peek(size_t ahead = 0) const {
    return at_ + ahead < sql_.size() ? sql_[at_ + ahead] : '\0';
  }

  absl::Status SkipBlanks() {
    while (at_ < sql_.size()) {
      const char c = sql_[at_];
      if (IsSpace(c)) {
        ++at_;
      } else if (c == '#' || IsDashComment()) {
        const size_t newline = sql_.find('\n', at_);
        at_ = newline == absl::string_view::npos ? sql_.size() : newline + 1;
      } else if (c == '/' && Peek(1) == '*') {
        SLUICE_RETURN_IF_ERROR(OpenComment());
      } else if (conditional_ && c == '*' && Peek(1) == '/') {
        conditional_ = false;
        at_ += 2;
      } else {
        break;
      }
    }
    return absl::OkStatus();
  }

  // "--" starts a comment only in front of a blank, a control character or the end.
  [[nodiscard]] bool IsDashComment() const {
    if (Peek() != '-' || Peek(1) != '-') {
      return false;
    }
    if (at_ + 2 >= sql_.size()) {
      return true;
    }
    const char next = Peek(2);
    return IsSpace(next) || absl::ascii_iscntrl(static_cast<unsigned char>(next));
  }

  absl::Status OpenComment() {
    const size_t begin = at_;
    if (Peek(2) == '!' && !conditional_) {
      size_t cursor = at_ + 3;
      size_t digits = 0;
      unsigned version = 0;
      while (digits < 6 && cursor < sql_.size() && IsDigit(sql_[cursor])) {
        version = version * 10 + static_cast<unsigned>(sql_[cursor] - '0');
        ++cursor;
        ++digits;
      }
      // Fewer than five digits are not a version but the beginning of the text.
      if (digits < 5) {
        cursor = at_ + 3;
        version = 0;
      }
      if (version <= options_.server_version) {
        conditional_ = true;
        conditional_begin_ = begin;
        at_ = cursor;
        return absl::OkStatus();
      }
      return SkipConditional(begin);
    }
    const size_t close = sql_.find("*/", at_ + 2);
    if (close == absl::string_view::npos) {
      return absl::InvalidArgumentError(absl::StrCat("unterminated comment at offset ", begin));
    }
    at_ = close + 2;
    return absl::OkStatus();
  }

  // A conditional comment for newer servers may hold plain comments.
  absl::Status SkipConditional(size_t begin) {
    int depth = 0;
    while (at_ + 1 < sql_.size()) {
      if (sql_[at_] == '/' && sql_[at_ + 1] == '*') {
        ++depth;
        at_ += 2;
      } else if (sql_[at_] == '*' && sql_[at_ + 1] == '/') {
        at_ += 2;
        if (--depth == 0) {
          return absl::OkStatus();
        }
      } else {
        ++at_;
      }
    }
    return absl::InvalidArgumentError(absl::StrCat("unterminated comment at offset ", begin));
  }

  absl::Status ReadToken() {
    const char c = sql_[at_];
    if (c == '`' || (c == '"' && options_.ansi_quotes)) {
      return ReadQuoted(TokenKind::kQuotedName, at_);
    }
    if (c == '\'' || c == '"') {
      return ReadQuoted(TokenKind::kString, at_);
    }
    if (IsNameCharacter(c)) {
      return ReadWord();
    }
    if (c == '.' && IsDigit(Peek(1)) && !FollowsName()) {
      ReadNumber();
      return absl::OkStatus();
    }
    if (c == '@') {
      return ReadVariable();
    }
    const size_t length = c == ':' && Peek(1) == '=' ? 2 : 1;
    Emit(TokenKind::kPunctuation, at_, at_ + length);
    return absl::OkStatus();
  }

  [[nodiscard]] static bool IsName(const Token& token) {
    return token.kind == TokenKind::kIdentifier || token.kind == TokenKind::kQuotedName;
  }

  // Whether a name ends right in front of us, so that a dot here separates names.
  [[nodiscard]] bool FollowsName() const {
    return !tokens_.empty() && tokens_.back().end == at_ && IsName(tokens_.back());
  }

  // Whether "name." ends right in front of us, so that digits here begin a name.
  [[nodiscard]] bool FollowsNameAndDot() const {
    return tokens_.size() >= 2 && tokens_.back().end == at_ && tokens_.back().value == "." &&
           tokens_.back().kind == TokenKind::kPunctuation && IsName(tokens_[tokens_.size() - 2]);
  }

  absl::Status ReadWord() {
    const size_t begin = at_;
    if (IsDigit(sql_[at_]) && !FollowsNameAndDot() && ReadNumber()) {
      return absl::OkStatus();
    }
    at_ = begin;
    while (at_ < sql_.size() && IsNameCharacter(sql_[at_])) {
      ++at_;
    }
    // x'4d', b'01' and n'text' are literals.
    if (at_ - begin == 1 && Peek() == '\'' && absl::StrContains("xXbBnN", sql_.substr(begin, 1))) {
      return ReadQuoted(TokenKind::kString, begin);
    }
    Emit(TokenKind::kIdentifier, begin, at_);
    return absl::OkStatus();
  }

  // Reads a number; false (nothing read) when the digits are the beginning of a name.
  bool ReadNumber() {
    const size_t begin = at_;
    size_t cursor = at_;
    const auto digits = [&] {
      while (cursor < sql_.size() && IsDigit(sql_[cursor])) {
        ++cursor;
      }
    };
    digits();
    const bool whole = cursor > begin;
    if (cursor < sql_.size() && sql_[cursor] == '.') {
      ++cursor;
      digits();
    }
    if (cursor < sql_.size() && (sql_[cursor] == 'e' || sql_[cursor] == 'E')) {
      size_t exponent = cursor + 1;
      const bool has_sign =
          exponent < sql_.size() && (sql_[exponent] == '+' || sql_[exponent] == '-');
      exponent += has_sign ? 1U : 0U;
      if (exponent < sql_.size() && IsDigit(sql_[exponent])) {
        cursor = exponent;
        digits();
      }
    }
    const bool is_plain = sql_.substr(begin, cursor - begin).find('.') == absl::string_view::npos;
    if (whole && is_plain && cursor < sql_.size() && IsNameCharacter(sql_[cursor])) {
      // 0x4d and 0b01 are numbers, 1abc is a name.
      const bool prefixed =
          cursor == begin + 1 && sql_[begin] == '0' && (sql_[cursor] == 'x' || sql_[cursor] == 'b');
      if (!prefixed) {
        return false;
      }
      while (cursor < sql_.size() && IsNameCharacter(sql_[cursor])) {
        ++cursor;
      }
    }
    Emit(TokenKind::kNumber, begin, cursor);
    return true;
  }

  absl::Status ReadVariable() {
    const size_t begin = at_;
    at_ += Peek(1) == '@' ? 2U : 1U;
    if (Peek() == '`' || Peek() == '\'' || Peek() == '"') {
      return ReadQuoted(TokenKind::kVariable, begin);
    }
    while (at_ < sql_.size() && (IsNameCharacter(sql_[at_]) || sql_[at_] == '.')) {
      ++at_;
    }
    // @@session.`name`
    if ((Peek() == '`' || (Peek() == '"' && options_.ansi_quotes)) && sql_[at_ - 1] == '.') {
      return ReadQuoted(TokenKind::kVariable, begin);
    }
    Emit(TokenKind::kVariable, begin, at_);
    return absl::OkStatus();
  }

  // Reads from `begin` to the quote that closes the next one at or after at_.
  absl::Status ReadQuoted(TokenKind kind, size_t begin) {
    const size_t open = sql_.find_first_of("'\"`", at_);
    const char quote = sql_[open];
    const bool escapes =
        quote != '`' && kind != TokenKind::kQuotedName && !options_.no_backslash_escapes;
    std::string name;
    size_t cursor = open + 1;
    while (cursor < sql_.size()) {
      const char c = sql_[cursor];
      if (c == '\\' && escapes) {
        cursor += 2;
        continue;
      }
      if (c == quote) {
        if (cursor + 1 < sql_.size() && sql_[cursor + 1] == quote) {
          ++cursor;
        } else {
          Emit(kind, begin, cursor + 1);
          if (kind == TokenKind::kQuotedName) {
            tokens_.back().value = std::move(name);
          }
          return absl::OkStatus();
        }
      }
      if (kind == TokenKind::kQuotedName) {
        name.push_back(c);
      }
      ++cursor;
    }
    return absl::InvalidArgumentError(absl::StrCat("unterminated quote at offset ", open));
  }

  void Emit(TokenKind kind, size_t begin, size_t end) {
    tokens_.push_back({kind, std::string(sql_.substr(begin, end - begin)), begin, end});
    at_ = end;
  }

  absl::string_view sql_;
  const TokenizerOptions& options_;
  size_t at_ = 0;
  bool conditional_ = false;
  size_t conditional_begin_ = 0;
  std::vector<Token> tokens_;
};

}  // namespace

bool Token::Is(absl::string_view keyword) const {
  return kind == TokenKind::kIdentifier && absl::EqualsIgnoreCase(value, keyword);
}

absl::StatusOr<std::vector<Token>> Tokenize(absl::string_view sql,
                                            const TokenizerOptions& options) {
  return Lexer(sql, options).Run();
}

}  // namespace sluice::sql
