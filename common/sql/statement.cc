// AnalyzeStatement: what kind of statement it is, and who looks further into it.

#include "common/sql/statement.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "common/sql/session_statement.h"
#include "common/sql/table_finder.h"

namespace sluice::sql {
namespace {

bool StartsDml(const TableFinder& finder, size_t i) {
  static constexpr std::array<absl::string_view, 8> kWords = {
      "SELECT", "WITH", "INSERT", "REPLACE", "UPDATE", "DELETE", "TABLE", "VALUES"};
  return finder.Punct(i, '(') ||
         std::any_of(kWords.begin(), kWords.end(),
                     [&](absl::string_view word) { return finder.Is(i, word); });
}

bool StartsDdl(const TableFinder& finder) {
  static constexpr std::array<absl::string_view, 10> kWords = {
      "CREATE",  "ALTER", "DROP",     "RENAME",   "TRUNCATE",
      "ANALYZE", "CHECK", "CHECKSUM", "OPTIMIZE", "REPAIR"};
  return std::any_of(kWords.begin(), kWords.end(),
                     [&](absl::string_view word) { return finder.Is(0, word); });
}

// CREATE PROCEDURE, FUNCTION, TRIGGER and EVENT hold statements that end with semicolons.
bool HasBody(const TableFinder& finder) {
  if (!finder.Is(0, "CREATE") && !finder.Is(0, "ALTER")) {
    return false;
  }
  for (size_t i = 1; i < std::min<size_t>(finder.size(), 16); ++i) {
    if (finder.Is(i, "PROCEDURE") || finder.Is(i, "FUNCTION") || finder.Is(i, "TRIGGER") ||
        finder.Is(i, "EVENT")) {
      return true;
    }
    if (finder.Is(i, "TABLE") || finder.Is(i, "VIEW")) {
      return false;
    }
  }
  return false;
}

bool IsMultiple(const TableFinder& finder) {
  bool ended = false;
  for (size_t i = 0; i < finder.size(); ++i) {
    const bool semicolon = finder.Punct(i, ';');
    if (ended && !semicolon) {
      return true;
    }
    ended = ended || semicolon;
  }
  return false;
}

// EXPLAIN [ANALYZE] [FORMAT = x] [INTO @v] [FOR SCHEMA s] statement | FOR CONNECTION n | table
// [column]
void ReadExplain(TableFinder& finder, Statement& out) {
  size_t i = 1;
  while (finder.Is(i, "ANALYZE") || finder.Is(i, "EXTENDED") || finder.Is(i, "PARTITIONS") ||
         finder.Is(i, "FORMAT") || finder.Is(i, "INTO")) {
    i += finder.Is(i, "FORMAT") ? 3U : (finder.Is(i, "INTO") ? 2U : 1U);
  }
  if (finder.Is(i, "FOR") && (finder.Is(i + 1, "SCHEMA") || finder.Is(i + 1, "DATABASE"))) {
    finder.Schema(i + 2);
    i += 3;
  }
  if (StartsDml(finder, i)) {
    finder.Dml(i);
  } else if (finder.IsName(i) && !finder.Is(i, "FOR")) {
    finder.Table(i);
  }
  out.kind = StatementKind::kExplain;
  out.is_read = true;
}

}  // namespace

absl::StatusOr<Statement> AnalyzeStatement(const std::vector<Token>& tokens) {
  Statement out;
  TableFinder finder(tokens, out);
  if (tokens.empty() || finder.Punct(0, ';')) {
    out.multiple = IsMultiple(finder);
    return out;
  }
  out.kind = StatementKind::kOther;
  out.verb = finder.IsName(0) ? absl::AsciiStrToUpper(tokens[0].value) : tokens[0].value;
  out.multiple = !HasBody(finder) && IsMultiple(finder);
  if (AnalyzeSessionStatement(tokens, finder, out)) {
    // SET @x = (SELECT … FROM t) touches tables as well.
    if (out.kind == StatementKind::kSet) {
      finder.Queries(1);
    }
  } else if (StartsDml(finder, 0)) {
    finder.Dml(0);
    out.is_read = out.kind == StatementKind::kSelect;
  } else if (StartsDdl(finder)) {
    finder.Ddl(0);
  } else if (finder.Is(0, "LOAD") && !finder.Is(1, "INDEX")) {
    finder.Load(1);
  } else if (finder.Is(0, "EXPLAIN") || finder.Is(0, "DESCRIBE") || finder.Is(0, "DESC")) {
    ReadExplain(finder, out);
  } else if (finder.Is(0, "CALL")) {
    out.kind = StatementKind::kCall;
    finder.Queries(finder.QualifierOnly(1));
  } else if (finder.Is(0, "DO")) {
    out.is_read = true;
    finder.Queries(1);
  } else if (finder.Is(0, "HANDLER")) {
    finder.Table(1);
  }
  if (finder.too_deep()) {
    return absl::InvalidArgumentError("parentheses are nested too deeply (more than 200 levels)");
  }
  finder.OtherQualifiers();
  out.session = FindSessionUse(tokens);
  return out;
}

}  // namespace sluice::sql
