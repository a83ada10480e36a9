// ReadCreateStatement: SHOW CREATE TABLE, and what its character set loses. CreateAsPrinted: the
// way back, for what strict mode refuses.

#include "common/mysql/create_statement.h"

#include <cstdint>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/error.h"

namespace sluice::mysql {
namespace {

constexpr absl::string_view kScratch = "`_sluice`.`_definition`";
constexpr unsigned kDoubledMember = 1291;  // ER_DUPLICATED_VALUE_IN_TYPE

// Reads the lines of columns: "  `name` type(…) …".
class Scanner {
 public:
  explicit Scanner(absl::string_view text) : text_(text) {}

  std::vector<DoubtfulMembers> Run() {
    size_t line = 0;
    while (line < text_.size()) {
      at_ = line;
      if (absl::StartsWith(text_.substr(line), "  `")) {
        at_ += 2;
        Column();
      }
      const size_t end = text_.find('\n', at_);
      line = end == absl::string_view::npos ? text_.size() : end + 1;
    }
    return std::move(found_);
  }

 private:
  void Column() {
    const std::string name = Name();
    if (Take(" enum(")) {
      Members(name, false);
    } else if (Take(" set(")) {
      Members(name, true);
    }
  }

  void Members(const std::string& column, bool is_set) {
    const size_t begin = at_;
    size_t count = 0;
    bool doubtful = false;
    while (at_ < text_.size() && text_[at_] != ')') {
      if (!Quote()) {
        ++at_;
        continue;
      }
      ++count;
      doubtful = SkipString() || doubtful;
    }
    if (doubtful) {
      found_.push_back({column, is_set, begin, at_, count});
    }
  }

  // From a back-tick to behind its partner.
  std::string Name() {
    std::string name;
    for (++at_; at_ < text_.size(); ++at_) {
      if (text_[at_] == '`' && (at_ + 1 == text_.size() || text_[++at_] != '`')) {
        break;
      }
      name.push_back(text_[at_]);
    }
    return name;
  }

  // True when there is a question mark in it.
  bool SkipString() {
    const char quote = text_[at_++];
    bool doubtful = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      doubtful = doubtful || c == '?';
      const bool pair =
          c == '\\' || (c == quote && at_ + 1 < text_.size() && text_[at_ + 1] == quote);
      if (pair) {
        ++at_;
      } else if (c == quote) {
        ++at_;
        break;
      }
    }
    return doubtful;
  }

  [[nodiscard]] bool Quote() const {
    return at_ < text_.size() && (text_[at_] == '\'' || text_[at_] == '"' || text_[at_] == '`');
  }

  bool Take(absl::string_view word) {
    const bool there = absl::StartsWith(text_.substr(at_), word);
    at_ += there ? word.size() : 0;
    return there;
  }

  absl::string_view text_;
  size_t at_ = 0;
  std::vector<DoubtfulMembers> found_;
};

// Each member alone, by its number.
std::string Values(const DoubtfulMembers& members) {
  std::string values;
  for (size_t i = 0; i < members.count; ++i) {
    const uint64_t number = members.is_set ? uint64_t{1} << i : uint64_t{i} + 1;
    absl::StrAppend(&values, i == 0 ? "(" : ",(", number, ")");
  }
  return values;
}

// The members as literals.
absl::StatusOr<std::string> ReadMembers(Connection& connection, const std::string& table,
                                        const DoubtfulMembers& members) {
  const std::string column = QuoteName(members.column);
  // A key of its own, for servers that demand one.
  const absl::string_view key = members.column == "_key" ? "_key2" : "_key";
  SLUICE_RETURN_IF_ERROR(
      connection.Execute(absl::StrCat("DROP TEMPORARY TABLE IF EXISTS ", kScratch)).status());
  SLUICE_RETURN_IF_ERROR(
      CreateAsPrinted(connection,
                      absl::StrCat("CREATE TEMPORARY TABLE ", kScratch, " (", key,
                                   " INT AUTO_INCREMENT PRIMARY KEY) AS SELECT ", column, " FROM ",
                                   table, " LIMIT 0"),
                      kScratch));
  SLUICE_RETURN_IF_ERROR(connection
                             .Execute(absl::StrCat("INSERT INTO ", kScratch, " (", column,
                                                   ") VALUES ", Values(members)))
                             .status());
  SLUICE_ASSIGN_OR_RETURN(const QueryResult result,
                          connection.Query(absl::StrCat("SELECT HEX(", column, ") FROM ", kScratch,
                                                        " ORDER BY ", column, " + 0")));
  std::string literals;
  for (const Row& row : result.rows) {
    absl::StrAppend(&literals, literals.empty() ? "x'" : ",x'", row[0].value_or(""), "'");
  }
  return literals;
}

absl::StatusOr<std::string> Restore(Connection& connection, const std::string& table,
                                    absl::string_view create) {
  std::string restored;
  size_t copied = 0;
  for (const DoubtfulMembers& members : FindDoubtfulMembers(create)) {
    SLUICE_ASSIGN_OR_RETURN(const std::string literals, ReadMembers(connection, table, members));
    absl::StrAppend(&restored, create.substr(copied, members.begin - copied), literals);
    copied = members.end;
  }
  absl::StrAppend(&restored, create.substr(copied));
  return restored;
}

// The first warning of the last statement that is about neither doubled members nor an old way of
// writing something; empty where there is none.
absl::StatusOr<std::string> FirstChange(Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(const QueryResult result, connection.Query("SHOW WARNINGS"));
  for (const Row& row : result.rows) {
    if (row.size() < 3) {
      return absl::InternalError("SHOW WARNINGS answered with fewer than three columns");
    }
    const std::string text = row[2].value_or("");
    if (row[1] != absl::StrCat(kDoubledMember) &&
        !absl::StrContains(absl::AsciiStrToLower(text), "deprecated")) {
      return text;
    }
  }
  return "";
}

absl::Status CreateWithDoubledMembers(Connection& connection, absl::string_view create,
                                      absl::string_view quoted) {
  SLUICE_RETURN_IF_ERROR(connection.Execute(create).status());
  SLUICE_ASSIGN_OR_RETURN(const std::string change, FirstChange(connection));
  if (change.empty()) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(connection.Execute(absl::StrCat("DROP TABLE ", quoted)).status());
  return absl::InternalError(
      absl::StrCat("mysqld would change the definition of ", quoted, ": ", change));
}

}  // namespace

std::vector<DoubtfulMembers> FindDoubtfulMembers(absl::string_view create) {
  return Scanner(create).Run();
}

absl::StatusOr<std::string> ShowCreateTable(Connection& connection, absl::string_view database,
                                            absl::string_view table) {
  const std::string quoted = QuoteTable(database, table);
  SLUICE_ASSIGN_OR_RETURN(const QueryResult result,
                          connection.Query(absl::StrCat("SHOW CREATE TABLE ", quoted)));
  if (result.rows.empty() || result.rows[0].size() < 2) {
    return absl::InternalError(absl::StrCat("SHOW CREATE TABLE ", quoted, " gave no statement"));
  }
  return result.rows[0][1].value_or("");
}

absl::StatusOr<std::string> ReadCreateStatement(Connection& connection, absl::string_view database,
                                                absl::string_view table) {
  constexpr unsigned kAccessDenied = 1044;
  const std::string quoted = QuoteTable(database, table);
  SLUICE_ASSIGN_OR_RETURN(const std::string create, ShowCreateTable(connection, database, table));
  if (FindDoubtfulMembers(create).empty()) {
    return create;
  }
  absl::StatusOr<std::string> restored = Restore(connection, quoted, create);
  SLUICE_RETURN_IF_ERROR(
      connection.Execute(absl::StrCat("DROP TEMPORARY TABLE IF EXISTS ", kScratch)).status());
  if (MysqlErrnoOf(restored.status()) == kAccessDenied) {
    return absl::FailedPreconditionError(
        absl::StrCat("the definition of ", quoted,
                     " holds question marks, which may stand for characters that mysqld does not "
                     "print; to look, "
                     "the agent's account needs GRANT CREATE TEMPORARY TABLES ON `_sluice`.* (",
                     restored.status().message(), ")"));
  }
  return restored;
}

absl::Status CreateAsPrinted(Connection& connection, absl::string_view create,
                             absl::string_view quoted) {
  absl::Status created = connection.Execute(create).status();
  if (MysqlErrnoOf(created) != kDoubledMember) {
    return created;
  }
  // Deprecations have too many numbers to know them other than by their text.
  SLUICE_RETURN_IF_ERROR(
      connection
          .Execute(
              "SET @sluice_mode = @@SESSION.sql_mode, @sluice_language = @@SESSION.lc_messages, "
              "SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES', "
              "SESSION lc_messages = 'en_US'")
          .status());
  created = CreateWithDoubledMembers(connection, create, quoted);
  const absl::Status restored =
      connection
          .Execute("SET SESSION sql_mode = @sluice_mode, SESSION lc_messages = @sluice_language")
          .status();
  return created.ok() ? restored : created;
}

}  // namespace sluice::mysql
