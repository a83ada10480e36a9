// Reading and rewriting the text of SHOW CREATE TABLE.

#include "agent/gate/create_statement.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"

namespace sluice::gate {
namespace {

bool IsWordCharacter(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return std::isalnum(byte) != 0 || c == '_' || c == '$' || byte >= 0x80;
}

absl::Status Malformed(absl::string_view create) {
  return absl::InvalidArgumentError(
      absl::StrCat("not the text of SHOW CREATE TABLE of a base table: ", create.substr(0, 80)));
}

// Copies a statement piece by piece. Owned by one thread.
class Rewriter {
 public:
  Rewriter(absl::string_view text, const std::map<std::string, std::string>& references)
      : text_(text), references_(references) {}

  absl::StatusOr<std::string> Run(absl::string_view new_name) {
    constexpr absl::string_view kBegin = "CREATE TABLE ";
    if (!absl::StartsWith(text_, kBegin)) {
      return Malformed(text_);
    }
    Copy(kBegin.size());
    if (!At('`') || !TakeName().has_value()) {
      return Malformed(text_);
    }
    out_ += mysql::QuoteName(new_name);
    while (position_ < text_.size()) {
      SLUICE_RETURN_IF_ERROR(Step());
    }
    return std::move(out_);
  }

 private:
  // One quoted run, word, or other byte.
  absl::Status Step() {
    const char c = text_[position_];
    if (c == '\'' || c == '"') {
      return CopyString(c);
    }
    if (c == '`') {
      const size_t begin = position_;
      if (!TakeName().has_value()) {
        return Malformed(text_);
      }
      absl::StrAppend(&out_, text_.substr(begin, position_ - begin));
      return absl::OkStatus();
    }
    if (!IsWordCharacter(c)) {
      Copy(1);
      return absl::OkStatus();
    }
    const size_t begin = position_;
    while (position_ < text_.size() && IsWordCharacter(text_[position_])) {
      ++position_;
    }
    const absl::string_view word = text_.substr(begin, position_ - begin);
    absl::StrAppend(&out_, word);
    return word == "REFERENCES" ? Reference() : absl::OkStatus();
  }

  // The table after REFERENCES.
  absl::Status Reference() {
    while (At(' ')) {
      Copy(1);
    }
    if (!At('`')) {
      return absl::OkStatus();
    }
    const size_t begin = position_;
    const std::optional<std::string> name = TakeName();
    if (!name.has_value()) {
      return Malformed(text_);
    }
    const auto found = references_.find(*name);
    if (At('.')) {
      // Schema and table: both are copied as they stand.
      Advance(1);
      if (!At('`') || !TakeName().has_value()) {
        return Malformed(text_);
      }
      absl::StrAppend(&out_, text_.substr(begin, position_ - begin));
    } else if (found != references_.end()) {
      out_ += mysql::QuoteName(found->second);
    } else {
      absl::StrAppend(&out_, text_.substr(begin, position_ - begin));
    }
    return absl::OkStatus();
  }

  absl::Status CopyString(char quote) {
    Copy(1);
    while (position_ < text_.size()) {
      const char c = text_[position_];
      const bool pair = c == '\\' || (c == quote && position_ + 1 < text_.size() &&
                                      text_[position_ + 1] == quote);
      Copy(pair ? 2 : 1);
      if (!pair && c == quote) {
        return absl::OkStatus();
      }
    }
    return Malformed(text_);
  }

  // Moves past a back-ticked name and returns it unquoted; nullopt when it does not end.
  std::optional<std::string> TakeName() {
    absl::string_view rest = text_.substr(position_);
    std::optional<std::string> name = mysql::TakeQuotedName(rest);
    position_ = text_.size() - rest.size();
    return name;
  }

  [[nodiscard]] bool At(char c) const { return position_ < text_.size() && text_[position_] == c; }

  void Advance(size_t bytes) { position_ = std::min(position_ + bytes, text_.size()); }

  void Copy(size_t bytes) {
    const size_t begin = position_;
    Advance(bytes);
    absl::StrAppend(&out_, text_.substr(begin, position_ - begin));
  }

  absl::string_view text_;
  const std::map<std::string, std::string>& references_;
  size_t position_ = 0;
  std::string out_;
};

// What SameColumns compares: mysqld writes one column or key per line, line breaks inside quotes
// escaped, and the table's options on the last line that begins with ")".
std::vector<absl::string_view> ColumnLines(absl::string_view create) {
  std::vector<absl::string_view> lines;
  for (absl::string_view line : absl::StrSplit(create, '\n')) {
    line = absl::StripSuffix(line, ",");
    if (absl::StartsWith(line, "  `") || absl::StartsWith(line, "  PRIMARY KEY")) {
      lines.push_back(line);
    } else if (absl::StartsWith(line, ")")) {
      const size_t charset = line.find("DEFAULT CHARSET=");
      const absl::string_view from = charset == absl::string_view::npos ? "" : line.substr(charset);
      // DEFAULT CHARSET=utf8mb4 [COLLATE=utf8mb4_bin] …
      for (const absl::string_view option : absl::StrSplit(from, ' ')) {
        if (absl::StartsWith(option, "CHARSET=") || absl::StartsWith(option, "COLLATE=")) {
          lines.push_back(option);
        }
      }
    }
  }
  return lines;
}

// What the foreign key of a line refers to, "table" or "db.table"; nullopt where there is none.
std::optional<std::string> ParentOf(absl::string_view line) {
  if (!absl::ConsumePrefix(&line, "  CONSTRAINT ") || !mysql::TakeQuotedName(line).has_value() ||
      !absl::ConsumePrefix(&line, " FOREIGN KEY (")) {
    return std::nullopt;
  }
  while (mysql::TakeQuotedName(line).has_value()) {
    absl::ConsumePrefix(&line, ", ");
    absl::ConsumePrefix(&line, ",");
  }
  if (!absl::ConsumePrefix(&line, ") REFERENCES ")) {
    return std::nullopt;
  }
  std::optional<std::string> name = mysql::TakeQuotedName(line);
  if (name.has_value() && absl::ConsumePrefix(&line, ".")) {
    const std::optional<std::string> table = mysql::TakeQuotedName(line);
    name = absl::StrCat(*name, ".", table.value_or(""));
  }
  return name;
}

}  // namespace

std::string LeaveOutForeignKeys(absl::string_view create, const std::set<std::string>& kept) {
  const std::vector<absl::string_view> lines = absl::StrSplit(create, '\n');
  std::vector<absl::string_view> out;
  bool left_out_last = false;
  for (const absl::string_view line : lines) {
    const std::optional<std::string> parent = ParentOf(line);
    if (parent.has_value() && !kept.contains(*parent)) {
      left_out_last = !absl::EndsWith(line, ",");
      continue;
    }
    if (left_out_last && absl::StartsWith(line, ")")) {
      out.back() = absl::StripSuffix(out.back(), ",");
    }
    left_out_last = false;
    out.push_back(line);
  }
  return absl::StrJoin(out, "\n");
}

bool SameColumns(absl::string_view left, absl::string_view right) {
  return ColumnLines(left) == ColumnLines(right);
}

absl::StatusOr<std::string> RewriteCreateTable(
    absl::string_view create, absl::string_view new_name,
    const std::map<std::string, std::string>& references) {
  return Rewriter(create, references).Run(new_name);
}

}  // namespace sluice::gate
