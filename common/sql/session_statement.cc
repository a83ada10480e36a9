// Statements about the session: SET, USE, SHOW, KILL, transactions.

#include "common/sql/session_statement.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sluice::sql {
namespace {

std::string Lower(absl::string_view text) {
  return absl::AsciiStrToLower(text);
}

std::string Unquoted(absl::string_view text) {
  if (text.size() >= 2 && (text.front() == '\'' || text.front() == '"' || text.front() == '`') &&
      text.back() == text.front()) {
    text = text.substr(1, text.size() - 2);
  }
  return std::string(text);
}

std::optional<bool> Switch(absl::string_view value) {
  const std::string text = Lower(Unquoted(value));
  if (text == "0" || text == "off" || text == "false") {
    return false;
  }
  if (text == "1" || text == "on" || text == "true" || text == "default") {
    return true;
  }
  return std::nullopt;
}

// Reads the assignments of a SET one by one.
class SetReader {
 public:
  SetReader(const std::vector<Token>& tokens, const TableFinder& finder, Statement& out)
      : tokens_(tokens), finder_(finder), out_(out) {}

  void Read() {
    if (IsSpecial()) {
      return;
    }
    while (at_ < tokens_.size()) {
      Assignment();
      int depth = 0;
      for (; at_ < tokens_.size() && !(depth == 0 && finder_.Punct(at_, ',')); ++at_) {
        depth += finder_.Punct(at_, '(') ? 1 : 0;
        depth -= finder_.Punct(at_, ')') ? 1 : 0;
      }
      ++at_;
    }
  }

 private:
  // Forms that are no list of assignments.
  bool IsSpecial() {
    const bool scoped = finder_.Is(1, "SESSION") || finder_.Is(1, "LOCAL");
    const size_t word = scoped || finder_.Is(1, "GLOBAL") ? 2 : 1;
    if (finder_.Is(word, "TRANSACTION")) {
      out_.sets_global = finder_.Is(1, "GLOBAL");
      out_.set_variables.emplace_back(scoped ? "session transaction" : "transaction");
      return true;
    }
    for (const char* name : {"PASSWORD", "RESOURCE", "DEFAULT"}) {
      if (finder_.Is(1, name)) {
        out_.sets_global = true;
        out_.set_variables.push_back(Lower(name));
        return true;
      }
    }
    if (finder_.Is(1, "ROLE")) {
      out_.set_variables.emplace_back("role");
      return true;
    }
    return false;
  }

  void Assignment() {
    bool global = false;
    if (finder_.Is(at_, "GLOBAL") || finder_.Is(at_, "PERSIST") ||
        finder_.Is(at_, "PERSIST_ONLY")) {
      global = true;
      ++at_;
    } else if (finder_.Is(at_, "SESSION") || finder_.Is(at_, "LOCAL")) {
      ++at_;
    }
    if (at_ >= tokens_.size()) {
      return;
    }
    const bool charset = finder_.Is(at_, "CHARSET");
    if (finder_.Is(at_, "NAMES") || charset ||
        (finder_.Is(at_, "CHARACTER") && finder_.Is(at_ + 1, "SET"))) {
      out_.set_variables.emplace_back(finder_.Is(at_, "NAMES") ? "names" : "character set");
      at_ += finder_.Is(at_, "CHARACTER") ? 2U : 1U;
      out_.set_charset = at_ < tokens_.size() ? Lower(Unquoted(tokens_[at_].value)) : "";
      return;
    }
    std::string name = Name(global);
    if (finder_.Punct(at_, '.')) {  // SET a structured variable: cache.size
      at_ += 2;
    }
    at_ +=
        at_ < tokens_.size() && (finder_.Punct(at_, '=') || tokens_[at_].value == ":=") ? 1U : 0U;
    const std::string value = at_ < tokens_.size() ? tokens_[at_].value : "";
    if (!global && name == "autocommit") {
      out_.autocommit = Switch(value);
    } else if (!global && name == "sql_mode") {
      out_.set_sql_mode = value;
    } else if (!global && absl::StartsWith(name, "character_set_")) {
      out_.set_charset = Lower(Unquoted(value));
    }
    out_.sets_global = out_.sets_global || global;
    out_.set_variables.push_back(global ? absl::StrCat("global ", name) : std::move(name));
  }

  // The variable's name without @@ and scope; `global` becomes true when the scope says so.
  std::string Name(bool& global) {
    const Token& token = tokens_[at_++];
    std::string name = Lower(token.value);
    if (token.kind != TokenKind::kVariable || !absl::StartsWith(name, "@@")) {
      return name;
    }
    absl::string_view rest = absl::string_view(name).substr(2);
    if (absl::ConsumePrefix(&rest, "global.") || absl::ConsumePrefix(&rest, "persist.") ||
        absl::ConsumePrefix(&rest, "persist_only.")) {
      global = true;
    } else if (!absl::ConsumePrefix(&rest, "session.")) {
      absl::ConsumePrefix(&rest, "local.");
    }
    return Unquoted(rest);
  }

  const std::vector<Token>& tokens_;
  const TableFinder& finder_;
  Statement& out_;
  size_t at_ = 1;
};

void ReadShow(const std::vector<Token>& tokens, TableFinder& finder, Statement& out) {
  out.kind = StatementKind::kShow;
  out.is_read = true;
  size_t i = 1;
  while (finder.Is(i, "FULL") || finder.Is(i, "EXTENDED") || finder.Is(i, "GLOBAL") ||
         finder.Is(i, "SESSION") || finder.Is(i, "LOCAL")) {
    ++i;
  }
  if (i >= tokens.size()) {
    return;
  }
  out.show_subject = Lower(tokens[i].value);
  const bool two_words = finder.Is(i, "CREATE") || finder.Is(i, "TABLE") || finder.Is(i, "OPEN") ||
                         finder.Is(i, "CHARACTER");
  if (two_words && i + 1 < tokens.size()) {
    absl::StrAppend(&out.show_subject, " ", Lower(tokens[i + 1].value));
  }
  const std::string& subject = out.show_subject;
  if (subject == "create table" || subject == "create view") {
    finder.Table(i + 2);
    return;
  }
  if (subject == "create database" || subject == "create schema") {
    size_t name = i + 2;
    while (finder.Is(name, "IF") || finder.Is(name, "NOT") || finder.Is(name, "EXISTS")) {
      ++name;
    }
    finder.Schema(name);
    return;
  }
  if (absl::StartsWith(subject, "create ")) {
    finder.QualifierOnly(i + 2);
    return;
  }
  const bool of_table = subject == "columns" || subject == "fields" || subject == "index" ||
                        subject == "indexes" || subject == "keys";
  const bool of_schema = subject == "tables" || subject == "table status" ||
                         subject == "open tables" || subject == "triggers" || subject == "events";
  if (!of_table && !of_schema) {
    return;
  }
  while (i < tokens.size() && !finder.Is(i, "FROM") && !finder.Is(i, "IN") &&
         !finder.Is(i, "LIKE") && !finder.Is(i, "WHERE")) {
    ++i;
  }
  if (!finder.Is(i, "FROM") && !finder.Is(i, "IN")) {
    return;
  }
  if (of_schema) {
    finder.Schema(i + 1);
    return;
  }
  // FROM t FROM schema
  const size_t behind = finder.Table(i + 1);
  if ((finder.Is(behind, "FROM") || finder.Is(behind, "IN")) && finder.IsName(behind + 1) &&
      !out.tables.empty()) {
    const Token& schema = tokens[behind + 1];
    TableName& table = out.tables.back();
    table.schema = schema.value;
    table.qualifier_begin = schema.begin;
    table.qualifier_end = schema.end;
    out.qualifiers.push_back({schema.value, table.table, schema.begin, schema.end});
  }
}

void ReadUse(const std::vector<Token>& tokens, Statement& out) {
  out.kind = StatementKind::kUse;
  // `ks`@replica and ks:-80@replica are several tokens; names are put together unquoted.
  for (size_t i = 1; i < tokens.size(); ++i) {
    if (tokens[i].kind == TokenKind::kPunctuation && tokens[i].value == ";") {
      break;
    }
    // What stands apart is another word, and no target has two.
    const bool apart = i > 1 && tokens[i].begin != tokens[i - 1].end;
    absl::StrAppend(&out.use_target, apart ? " " : "", tokens[i].value);
  }
}

void ReadKill(const std::vector<Token>& tokens, const TableFinder& finder, Statement& out) {
  out.kind = StatementKind::kKill;
  size_t i = 1;
  if (finder.Is(i, "QUERY") || finder.Is(i, "CONNECTION")) {
    out.kill_query = finder.Is(i, "QUERY");
    ++i;
  }
  uint64_t id = 0;
  if (i < tokens.size() && absl::SimpleAtoi(tokens[i].value, &id)) {
    out.kill_id = id;
  }
}

void ReadEnd(const std::vector<Token>& tokens, const TableFinder& finder, Statement& out) {
  const bool rollback = finder.Is(0, "ROLLBACK");
  const size_t i = finder.Is(1, "WORK") ? 2 : 1;
  if (rollback && finder.Is(i, "TO")) {
    out.kind = StatementKind::kSavepoint;
    return;
  }
  out.kind = rollback ? StatementKind::kRollback : StatementKind::kCommit;
  for (size_t at = i; at < tokens.size(); ++at) {
    const bool negated = finder.Is(at - 1, "NO");
    out.chains = out.chains || (finder.Is(at, "CHAIN") && !negated);
    out.releases = out.releases || (finder.Is(at, "RELEASE") && !negated);
  }
}

}  // namespace

bool AnalyzeSessionStatement(const std::vector<Token>& tokens, TableFinder& finder,
                             Statement& out) {
  if (finder.Is(0, "SET")) {
    out.kind = StatementKind::kSet;
    SetReader(tokens, finder, out).Read();
  } else if (finder.Is(0, "USE")) {
    ReadUse(tokens, out);
  } else if (finder.Is(0, "SHOW")) {
    ReadShow(tokens, finder, out);
  } else if (finder.Is(0, "KILL")) {
    ReadKill(tokens, finder, out);
  } else if (finder.Is(0, "BEGIN") || (finder.Is(0, "START") && finder.Is(1, "TRANSACTION"))) {
    out.kind = StatementKind::kBegin;
  } else if (finder.Is(0, "COMMIT") || finder.Is(0, "ROLLBACK")) {
    ReadEnd(tokens, finder, out);
  } else if (finder.Is(0, "SAVEPOINT") || (finder.Is(0, "RELEASE") && finder.Is(1, "SAVEPOINT"))) {
    out.kind = StatementKind::kSavepoint;
  } else if (finder.Is(0, "UNLOCK")) {
    out.kind = StatementKind::kUnlockTables;
  } else if (finder.Is(0, "LOCK") && (finder.Is(1, "TABLES") || finder.Is(1, "TABLE"))) {
    out.kind = StatementKind::kLockTables;
    size_t i = 2;
    while (finder.IsName(i)) {
      i = finder.Table(i);
      while (i < finder.size() && !finder.Punct(i, ',')) {
        ++i;
      }
      ++i;
    }
  } else {
    return false;
  }
  return true;
}

}  // namespace sluice::sql
