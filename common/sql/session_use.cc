// SessionUse: functions and variables that belong to a server's session.

#include "common/sql/session_use.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace sluice::sql {
namespace {

// Built in, and the same on every server at every moment.
constexpr std::array kSteadyFunctions = std::to_array<absl::string_view>(
    {"ABS",      "ADDDATE",    "ASCII",        "BIN",           "CAST",     "CEIL",
     "CEILING",  "CHAR",       "CHAR_LENGTH",  "COALESCE",      "CONCAT",   "CONCAT_WS",
     "CONV",     "CONVERT",    "DATE",         "DATEDIFF",      "DATE_ADD", "DATE_FORMAT",
     "DATE_SUB", "DAY",        "ELT",          "FIELD",         "FLOOR",    "FORMAT",
     "GREATEST", "HEX",        "IF",           "IFNULL",        "IN",       "INSTR",
     "INTERVAL", "JSON_ARRAY", "JSON_EXTRACT", "JSON_OBJECT",   "LCASE",    "LEAST",
     "LEFT",     "LENGTH",     "LOCATE",       "LOWER",         "LPAD",     "LTRIM",
     "MD5",      "MID",        "MOD",          "MONTH",         "NULLIF",   "POW",
     "POWER",    "REPEAT",     "REPLACE",      "REVERSE",       "RIGHT",    "ROUND",
     "RPAD",     "RTRIM",      "SHA1",         "SHA2",          "SIGN",     "SPACE",
     "SUBSTR",   "SUBSTRING",  "TIMESTAMP",    "TIMESTAMPDIFF", "TRIM",     "TRUNCATE",
     "UCASE",    "UNHEX",      "UPPER",        "VALUES",        "YEAR"});

// Built in, without reading tables, but another value on another server or at another moment.
constexpr std::array kVaryingFunctions = std::to_array<absl::string_view>(
    {"BENCHMARK",         "CONNECTION_ID", "CURDATE",        "CURRENT_DATE",
     "CURRENT_ROLE",      "CURRENT_TIME",  "CURRENT_USER",   "CURTIME",
     "CURRENT_TIMESTAMP", "DATABASE",      "FOUND_ROWS",     "GET_LOCK",
     "IS_FREE_LOCK",      "IS_USED_LOCK",  "LAST_INSERT_ID", "LOCALTIME",
     "LOCALTIMESTAMP",    "NOW",           "RAND",           "RANDOM_BYTES",
     "RELEASE_ALL_LOCKS", "RELEASE_LOCK",  "ROW_COUNT",      "SCHEMA",
     "SESSION_USER",      "SLEEP",         "SYSDATE",        "SYSTEM_USER",
     "UNIX_TIMESTAMP",    "USER",          "UTC_DATE",       "UTC_TIME",
     "UTC_TIMESTAMP",     "UUID",          "UUID_SHORT",     "VERSION"});

// Functions that may be written without parentheses.
constexpr std::array kBareFunctions = std::to_array<absl::string_view>(
    {"CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "LOCALTIME",
     "LOCALTIMESTAMP", "UTC_DATE", "UTC_TIME", "UTC_TIMESTAMP"});

constexpr std::array kLockFunctions = std::to_array<absl::string_view>(
    {"GET_LOCK", "RELEASE_LOCK", "RELEASE_ALL_LOCKS", "IS_FREE_LOCK", "IS_USED_LOCK"});

template <size_t N>
bool IsOneOf(const std::array<absl::string_view, N>& words, absl::string_view word) {
  return std::any_of(words.begin(), words.end(),
                     [word](absl::string_view each) { return absl::EqualsIgnoreCase(each, word); });
}

void AddOnce(std::vector<std::string>& names, std::string name) {
  if (std::find(names.begin(), names.end(), name) == names.end()) {
    names.push_back(std::move(name));
  }
}

class Finder {
 public:
  explicit Finder(const std::vector<Token>& tokens) : tokens_(tokens) {}

  SessionUse Find() {
    is_set_ = Is(0, "SET");
    is_call_ = Is(0, "CALL");
    is_load_ = Is(0, "LOAD");
    use_.last_insert_id = is_call_;
    use_.makes_temporary = Is(0, "CREATE") && Is(1, "TEMPORARY");
    is_get_ = Is(0, "GET");
    use_.diagnostics =
        is_get_ || (Is(0, "SHOW") && (Is(1, "WARNINGS") || Is(1, "ERRORS") || Is(1, "COUNT")));
    int depth = 0;
    for (size_t i = 0; i < tokens_.size(); ++i) {
      depth += Punct(i, "(") ? 1 : 0;
      depth -= Punct(i, ")") ? 1 : 0;
      // A list INTO @a, @b ends where something else than a variable comes.
      in_into_ = Is(i, "INTO") || (in_into_ && (IsVariable(i) || Punct(i, ",")));
      if (IsVariable(i)) {
        Variable(i, depth);
      } else {
        Function(i);
      }
    }
    return std::move(use_);
  }

 private:
  [[nodiscard]] bool Is(size_t i, absl::string_view word) const {
    return i < tokens_.size() && tokens_[i].Is(word);
  }
  [[nodiscard]] bool Punct(size_t i, absl::string_view value) const {
    return i < tokens_.size() && tokens_[i].kind == TokenKind::kPunctuation &&
           tokens_[i].value == value;
  }
  [[nodiscard]] bool IsVariable(size_t i) const {
    return i < tokens_.size() && tokens_[i].kind == TokenKind::kVariable;
  }

  void Variable(size_t i, int depth) {
    absl::string_view text = tokens_[i].value;
    if (absl::ConsumePrefix(&text, "@@")) {
      const std::string name = absl::AsciiStrToLower(text);
      const auto names = [&](absl::string_view variable) { return absl::EndsWith(name, variable); };
      use_.last_insert_id = use_.last_insert_id || names("last_insert_id") || names("identity");
      use_.diagnostics = use_.diagnostics || names("warning_count") || names("error_count");
      return;
    }
    absl::ConsumePrefix(&text, "@");
    if (text.size() >= 2 && (text[0] == '`' || text[0] == '\'' || text[0] == '"')) {
      text = text.substr(1, text.size() - 2);
    }
    const std::string name = absl::AsciiStrToLower(text);
    // The lists of SET and GET DIAGNOSTICS, and := in an expression.
    const bool begins = i > 0 && (Punct(i - 1, ",") || Is(i - 1, "SET"));
    const bool listed = is_get_ || (is_set_ && depth == 0 && begins);
    const bool is_target =
        (listed && Punct(i + 1, "=")) || Punct(i + 1, ":=") || in_into_ || is_load_;
    if (is_target || is_call_) {
      AddOnce(use_.assigns, name);
    }
    if (!is_target) {
      AddOnce(use_.reads, name);
    }
  }

  void Function(size_t i) {
    const Token& token = tokens_[i];
    const bool is_word = token.kind == TokenKind::kIdentifier;
    if (!is_word && token.kind != TokenKind::kQuotedName) {
      return;
    }
    const bool qualified = i > 0 && Punct(i - 1, ".");
    const bool bare = is_word && !qualified;
    if (!Punct(i + 1, "(")) {
      use_.varies = use_.varies || (bare && IsOneOf(kBareFunctions, token.value));
      return;
    }
    if (bare && IsOneOf(kSteadyFunctions, token.value)) {
      return;
    }
    use_.varies = true;
    if (!bare || !IsOneOf(kVaryingFunctions, token.value)) {
      use_.unknown_calls = true;
      return;
    }
    use_.last_insert_id = use_.last_insert_id || token.Is("LAST_INSERT_ID");
    use_.diagnostics = use_.diagnostics || token.Is("ROW_COUNT") || token.Is("FOUND_ROWS");
    use_.named_locks = use_.named_locks || IsOneOf(kLockFunctions, token.value);
  }

  const std::vector<Token>& tokens_;
  SessionUse use_;
  bool is_set_ = false;
  bool is_call_ = false;
  bool is_get_ = false;
  bool is_load_ = false;
  bool in_into_ = false;
};

}  // namespace

SessionUse FindSessionUse(const std::vector<Token>& tokens) {
  return Finder(tokens).Find();
}

}  // namespace sluice::sql
