// Quoting of strings and names for statements.

#include <array>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {
namespace {

// What stands behind the backslash for a byte that needs one; 0 for others.
constexpr char EscapeOf(char c) {
  switch (c) {
    case '\0':
      return '0';
    case '\n':
      return 'n';
    case '\r':
      return 'r';
    case '\x1a':
      return 'Z';
    case '\\':
    case '\'':
    case '"':
      return c;
    default:
      return 0;
  }
}

constexpr std::array<char, 256> MakeEscapes() {
  std::array<char, 256> escapes{};
  for (size_t i = 0; i < escapes.size(); ++i) {
    escapes[i] = EscapeOf(static_cast<char>(i));
  }
  return escapes;
}
constexpr std::array<char, 256> kEscapes = MakeEscapes();

}  // namespace

void AppendQuoted(absl::string_view text, std::string& sql) {
  sql.push_back('\'');
  size_t copied = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char escape = kEscapes[static_cast<uint8_t>(text[i])];
    if (escape != 0) {
      sql.append(text.data() + copied, i - copied);
      sql.push_back('\\');
      sql.push_back(escape);
      copied = i + 1;
    }
  }
  sql.append(text.data() + copied, text.size() - copied);
  sql.push_back('\'');
}

std::string QuoteString(absl::string_view text) {
  std::string quoted;
  quoted.reserve(text.size() + 2);
  AppendQuoted(text, quoted);
  return quoted;
}

std::string QuoteName(absl::string_view name) {
  std::string quoted = "`";
  for (const char c : name) {
    quoted.append(c == '`' ? 2 : 1, c);
  }
  quoted.push_back('`');
  return quoted;
}

std::optional<std::string> TakeQuotedName(absl::string_view& text) {
  std::string name;
  for (size_t i = 1; i < text.size() && text[0] == '`'; ++i) {
    if (text[i] == '`') {
      if (i + 1 == text.size() || text[i + 1] != '`') {
        text.remove_prefix(i + 1);
        return name;
      }
      ++i;
    }
    name.push_back(text[i]);
  }
  return std::nullopt;
}

std::string QuoteTable(absl::string_view database, absl::string_view table) {
  return absl::StrCat(QuoteName(database), ".", QuoteName(table));
}

}  // namespace sluice::mysql
