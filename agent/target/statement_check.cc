// CheckStatement: kinds of statements, and the tables that they change.

#include "agent/target/statement_check.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/sql/statement.h"
#include "common/sql/tokenizer.h"

namespace sluice::target {
namespace {

constexpr size_t kShownBytes = 512;

std::string Shown(absl::string_view sql) {
  std::string shown(sql.substr(0, kShownBytes));
  return sql.size() > kShownBytes ? shown + "…" : shown;
}

absl::Status RefuseDdl(absl::string_view sql) {
  return absl::FailedPreconditionError(
      absl::StrCat("the definition of a moving table was changed on the source: ", Shown(sql),
                   "; cancel the workflow and create it anew (--on-ddl=EXEC has such statements "
                   "run on the target)"));
}

absl::Status RefuseRows(absl::string_view sql) {
  return absl::FailedPreconditionError(absl::StrCat(
      "rows of a moving table were changed by a statement that stands as text in the source's "
      "binlog: ",
      Shown(sql), "; use binlog_format=ROW on the source, cancel the workflow and create it anew"));
}

bool IsMaintenance(absl::string_view verb) {
  return verb == "ANALYZE" || verb == "CHECK" || verb == "CHECKSUM" || verb == "OPTIMIZE" ||
         verb == "REPAIR";
}

bool IsOurs(absl::string_view name) {
  return absl::StartsWith(name, "_sluice_closed_") || absl::StartsWith(name, "_sluice_view_");
}

// The first of the words that tell kinds of objects apart, within CREATE, ALTER or DROP.
absl::string_view ObjectKind(const std::vector<sql::Token>& tokens) {
  for (const sql::Token& token : tokens) {
    for (const absl::string_view kind :
         {"TABLE", "TABLES", "INDEX", "VIEW", "TRIGGER", "EVENT", "PROCEDURE", "FUNCTION", "USER",
          "ROLE", "DATABASE", "SCHEMA", "SERVER", "TABLESPACE"}) {
      if (token.Is(kind)) {
        return kind;
      }
    }
    if (token.kind == sql::TokenKind::kQuotedName && token.begin == 0) {
      break;
    }
  }
  return "";
}

bool IsTemporary(const std::vector<sql::Token>& tokens) {
  return tokens.size() > 1 && tokens[1].Is("TEMPORARY");
}

bool Names(const WatchedTables& watched, absl::string_view default_database,
           const sql::TableName& name) {
  const absl::string_view database =
      name.schema.empty() ? default_database : absl::string_view(name.schema);
  return database == watched.database && watched.tables.contains(name.table);
}

// ALTER TABLE with one of these takes rows away or brings some, or renames the table.
bool ChangesTables(const std::vector<sql::Token>& tokens, const sql::Statement& statement) {
  if (statement.verb == "RENAME" || statement.verb == "TRUNCATE") {
    return true;
  }
  const absl::string_view kind = ObjectKind(tokens);
  if (statement.verb != "ALTER") {
    return kind != "INDEX";
  }
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    const sql::Token& token = tokens[i];
    const sql::Token& next = tokens[i + 1];
    const bool of_partition =
        next.Is("PARTITION") && (token.Is("DROP") || token.Is("TRUNCATE") || token.Is("EXCHANGE"));
    const bool of_files = (token.Is("DISCARD") || token.Is("IMPORT")) &&
                          (next.Is("PARTITION") || next.Is("TABLESPACE"));
    const bool renames =
        token.Is("RENAME") && !next.Is("COLUMN") && !next.Is("INDEX") && !next.Is("KEY");
    if (of_partition || of_files || renames) {
      return true;
    }
  }
  return false;
}

StatementEffect JudgeDdl(const WatchedTables& watched, absl::string_view default_database,
                         const std::vector<sql::Token>& tokens, const sql::Statement& statement) {
  if (IsMaintenance(statement.verb) || IsTemporary(tokens)) {
    return StatementEffect::kNone;
  }
  if (statement.is_database_ddl) {
    const bool drops = statement.verb == "DROP" &&
                       std::any_of(statement.qualifiers.begin(), statement.qualifiers.end(),
                                   [&](const sql::Qualifier& qualifier) {
                                     return qualifier.schema == watched.database;
                                   });
    return drops ? StatementEffect::kTables : StatementEffect::kNone;
  }
  const absl::string_view kind = ObjectKind(tokens);
  const bool of_table = statement.verb == "RENAME" || statement.verb == "TRUNCATE" ||
                        kind == "TABLE" || kind == "TABLES" || kind == "INDEX";
  if (!of_table) {
    return StatementEffect::kNone;
  }
  if (statement.verb == "RENAME" &&
      std::any_of(statement.tables.begin(), statement.tables.end(),
                  [](const sql::TableName& name) { return IsOurs(name.table); })) {
    return StatementEffect::kNone;
  }
  // A new table may refer to a moving one (LIKE, REFERENCES) without a change to it.
  const size_t judged = statement.verb == "CREATE" && kind == "TABLE"
                            ? std::min<size_t>(1, statement.tables.size())
                            : statement.tables.size();
  for (size_t i = 0; i < judged; ++i) {
    if (Names(watched, default_database, statement.tables[i])) {
      return ChangesTables(tokens, statement) ? StatementEffect::kTables
                                              : StatementEffect::kDefinition;
    }
  }
  return StatementEffect::kNone;
}

StatementEffect JudgeParsed(const WatchedTables& watched, absl::string_view default_database,
                            const std::vector<sql::Token>& tokens,
                            const sql::Statement& statement) {
  switch (statement.kind) {
    case sql::StatementKind::kDdl:
      return JudgeDdl(watched, default_database, tokens, statement);
    case sql::StatementKind::kInsert:
    case sql::StatementKind::kUpdate:
    case sql::StatementKind::kDelete:
    case sql::StatementKind::kReplace:
    case sql::StatementKind::kLoad:
    case sql::StatementKind::kSelect:  // a function that writes is logged as SELECT
      for (const sql::TableName& name : statement.tables) {
        if (Names(watched, default_database, name)) {
          return StatementEffect::kRows;
        }
      }
      return StatementEffect::kNone;
    default:
      return StatementEffect::kNone;
  }
}

// Whether any name of a watched table occurs in the text.
bool Mentions(const WatchedTables& watched, absl::string_view sql) {
  return std::any_of(watched.tables.begin(), watched.tables.end(), [&](const std::string& table) {
    return absl::StrContains(absl::AsciiStrToLower(sql), absl::AsciiStrToLower(table));
  });
}

}  // namespace

StatementEffect JudgeStatement(const WatchedTables& watched, absl::string_view default_database,
                               absl::string_view sql) {
  // The session's sql_mode is not known here: with ANSI_QUOTES, "x" is a name.
  const bool ambiguous = absl::StrContains(sql, "\"");
  for (const bool ansi_quotes : {false, true}) {
    if (ansi_quotes && !ambiguous) {
      break;
    }
    const auto tokens = sql::Tokenize(sql, {.ansi_quotes = ansi_quotes});
    const auto statement = tokens.ok() ? sql::AnalyzeStatement(*tokens) : tokens.status();
    StatementEffect effect = StatementEffect::kNone;
    if (statement.ok()) {
      effect = JudgeParsed(watched, default_database, *tokens, *statement);
    } else if (Mentions(watched, sql)) {
      effect = StatementEffect::kUnreadable;
    }
    if (effect != StatementEffect::kNone) {
      return effect;
    }
  }
  return StatementEffect::kNone;
}

absl::Status RefuseStatement(StatementEffect effect, absl::string_view sql) {
  switch (effect) {
    case StatementEffect::kNone:
      return absl::OkStatus();
    case StatementEffect::kRows:
      return RefuseRows(sql);
    case StatementEffect::kDefinition:
    case StatementEffect::kTables:
    case StatementEffect::kUnreadable:
      break;
  }
  return RefuseDdl(sql);
}

absl::Status CheckStatement(const WatchedTables& watched, absl::string_view default_database,
                            absl::string_view sql) {
  return RefuseStatement(JudgeStatement(watched, default_database, sql), sql);
}

}  // namespace sluice::target
