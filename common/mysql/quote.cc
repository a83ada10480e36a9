// Quoting of strings and names for statements.

#include "absl/strings/str_cat.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {

std::string QuoteString(absl::string_view text) {
  std::string quoted;
  quoted.reserve(text.size() + 2);
  quoted.push_back('\'');
  for (const char c : text) {
    switch (c) {
      case '\0':
        quoted += "\\0";
        break;
      case '\n':
        quoted += "\\n";
        break;
      case '\r':
        quoted += "\\r";
        break;
      case '\x1a':
        quoted += "\\Z";
        break;
      case '\\':
      case '\'':
      case '"':
        quoted.push_back('\\');
        quoted.push_back(c);
        break;
      default:
        quoted.push_back(c);
    }
  }
  quoted.push_back('\'');
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

std::string QuoteTable(absl::string_view database, absl::string_view table) {
  return absl::StrCat(QuoteName(database), ".", QuoteName(table));
}

}  // namespace sluice::mysql
