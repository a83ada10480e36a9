// DeferrableKeys: reading the lines of SHOW CREATE TABLE.

#include "agent/target/deferrable_keys.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/mysql/connection.h"

namespace sluice::target {
namespace {

// The columns of "(`a`,`b`(10) DESC)" at the start of the text; nullopt with expressions.
std::optional<std::vector<std::string>> TakeColumns(absl::string_view text) {
  std::vector<std::string> columns;
  if (!absl::ConsumePrefix(&text, "(")) {
    return std::nullopt;
  }
  while (true) {
    std::optional<std::string> name = mysql::TakeQuotedName(text);
    if (!name.has_value()) {
      return std::nullopt;
    }
    columns.push_back(*std::move(name));
    if (absl::ConsumePrefix(&text, "(")) {  // of a prefix
      const size_t end = text.find(')');
      if (end == absl::string_view::npos) {
        return std::nullopt;
      }
      text.remove_prefix(end + 1);
    }
    absl::ConsumePrefix(&text, " DESC");
    if (absl::ConsumePrefix(&text, ")")) {
      return columns;
    }
    if (!absl::ConsumePrefix(&text, ",")) {
      return std::nullopt;
    }
  }
}

// Columns with which no deferred key may begin, or which none may have.
struct Bound {
  std::set<std::string> first;
  std::set<std::string> any;
};

// A word within a comment or default may bind a column too many, which only keeps a key.
void ReadColumn(absl::string_view line, Bound& bound) {
  absl::string_view rest = line;
  const std::optional<std::string> name = mysql::TakeQuotedName(rest);
  if (!name.has_value()) {
    return;
  }
  if (absl::StrContains(rest, "AUTO_INCREMENT")) {
    bound.first.insert(*name);
  }
  if (absl::StrContains(rest, "GENERATED ALWAYS AS")) {
    bound.any.insert(*name);
  }
}

void ReadForeignKey(absl::string_view line, Bound& bound) {
  constexpr absl::string_view kForeignKey = " FOREIGN KEY ";
  const size_t at = line.find(kForeignKey);
  if (at == absl::string_view::npos) {
    return;
  }
  const auto columns = TakeColumns(line.substr(at + kForeignKey.size()));
  if (columns.has_value()) {
    bound.first.insert(columns->begin(), columns->end());
  }
}

std::string Joined(absl::string_view table, const std::vector<std::string>& parts) {
  return absl::StrCat("ALTER TABLE ", table, " ", absl::StrJoin(parts, ", "));
}

}  // namespace

std::vector<OwedKey> DeferrableKeys(absl::string_view create,
                                    const std::set<std::string>& referenced) {
  // mysqld writes one column or key per line; line breaks inside quotes are escaped.
  const std::vector<absl::string_view> lines = absl::StrSplit(create, '\n');
  Bound bound{.first = referenced, .any = {}};
  bool innodb = false;
  for (absl::string_view line : lines) {
    innodb = innodb || absl::StartsWith(line, ") ENGINE=InnoDB");
    if (absl::ConsumePrefix(&line, "  CONSTRAINT ")) {
      ReadForeignKey(line, bound);
    } else if (absl::ConsumePrefix(&line, "  ")) {
      ReadColumn(line, bound);
    }
  }
  std::vector<OwedKey> keys;
  for (const absl::string_view line : lines) {
    absl::string_view rest = absl::StripSuffix(line, ",");
    if (!innodb || !absl::ConsumePrefix(&rest, "  ") || !absl::StartsWith(rest, "KEY `")) {
      continue;
    }
    const absl::string_view definition = rest;
    absl::ConsumePrefix(&rest, "KEY ");
    std::optional<std::string> name = mysql::TakeQuotedName(rest);
    absl::ConsumePrefix(&rest, " ");
    const auto columns = TakeColumns(rest);
    if (!name.has_value() || !columns.has_value() || bound.first.contains(columns->front()) ||
        std::any_of(columns->begin(), columns->end(),
                    [&](const std::string& column) { return bound.any.contains(column); })) {
      continue;
    }
    keys.push_back({.name = *std::move(name), .definition = std::string(definition)});
  }
  return keys;
}

std::string DropKeysStatement(absl::string_view table, const std::vector<OwedKey>& keys) {
  std::vector<std::string> parts;
  parts.reserve(keys.size() + 1);
  for (const OwedKey& key : keys) {
    parts.push_back(absl::StrCat("DROP KEY ", mysql::QuoteName(key.name)));
  }
  return Joined(table, parts);
}

std::string AddKeysStatement(absl::string_view table, const std::vector<OwedKey>& keys,
                             bool online) {
  std::vector<std::string> parts;
  parts.reserve(keys.size() + 1);
  for (const OwedKey& key : keys) {
    parts.push_back(absl::StrCat("ADD ", key.definition));
  }
  if (online) {
    parts.emplace_back("ALGORITHM=INPLACE, LOCK=NONE");
  }
  return Joined(table, parts);
}

}  // namespace sluice::target
