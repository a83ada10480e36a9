// StoredProgram: reading information_schema.EVENTS and ROUTINES.

#include "common/mysql/stored_programs.h"

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/sql/tokenizer.h"

namespace sluice::mysql {
namespace {

std::set<std::string> NamesIn(absl::string_view body, absl::string_view sql_mode) {
  const auto tokens = sql::Tokenize(
      body, {.ansi_quotes = absl::StrContains(sql_mode, "ANSI_QUOTES"),
             .no_backslash_escapes = absl::StrContains(sql_mode, "NO_BACKSLASH_ESCAPES")});
  std::set<std::string> names;
  if (!tokens.ok()) {
    return names;
  }
  for (const sql::Token& token : *tokens) {
    if (token.kind == sql::TokenKind::kIdentifier || token.kind == sql::TokenKind::kQuotedName) {
      names.insert(token.value);
    }
  }
  return names;
}

}  // namespace

absl::StatusOr<std::vector<StoredProgram>> ReadStoredPrograms(Connection& connection,
                                                              absl::string_view quoted_database) {
  std::vector<StoredProgram> programs;
  for (const std::string& sql :
       {absl::StrCat("SELECT 'event', EVENT_NAME, EVENT_DEFINITION, SQL_MODE "
                     "FROM information_schema.EVENTS WHERE EVENT_SCHEMA = ",
                     quoted_database, " ORDER BY 2"),
        absl::StrCat("SELECT ROUTINE_TYPE, ROUTINE_NAME, ROUTINE_DEFINITION, SQL_MODE "
                     "FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = ",
                     quoted_database, " ORDER BY 2, 1")}) {
    SLUICE_ASSIGN_OR_RETURN(const QueryResult result, connection.Query(sql));
    for (const Row& row : result.rows) {
      programs.push_back({.title = absl::StrCat(absl::AsciiStrToLower(row[0].value_or("")), " ",
                                                row[1].value_or("")),
                          .names = NamesIn(row[2].value_or(""), row[3].value_or(""))});
    }
  }
  return programs;
}

}  // namespace sluice::mysql
