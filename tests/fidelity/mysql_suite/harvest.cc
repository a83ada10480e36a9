// Harvest: choosing statements, keeping tables.

#include "tests/fidelity/mysql_suite/harvest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/mysql/table_schema.h"
#include "common/sql/statement.h"
#include "common/sql/tokenizer.h"
#include "tests/fidelity/mysql_suite/script.h"

namespace sluice::testing {
namespace {

constexpr char kKept[] = "kept_";
constexpr absl::Duration kStatementTimeout = absl::Seconds(20);
// Some scripts double a table until it is large; its values are no more odd for that.
constexpr uint64_t kRowsMax = 2000;

// What a statement may begin with. Global variables, accounts, programs and other databases are
// left alone.
bool IsWanted(const std::vector<sql::Token>& tokens) {
  static const std::set<std::string>& verbs =
      *new std::set<std::string>({"CREATE", "ALTER", "INSERT", "REPLACE", "UPDATE", "DELETE", "SET",
                                  "TRUNCATE", "BEGIN", "COMMIT", "ROLLBACK", "RENAME", "WITH"});
  const bool verb = !tokens.empty() && std::any_of(verbs.begin(), verbs.end(),
                                                   [&](const auto& v) { return tokens[0].Is(v); });
  if (!verb) {
    return false;
  }
  for (const absl::string_view other :
       {"GLOBAL",     "PERSIST",       "PERSIST_ONLY",
        "PASSWORD",   "ROLE",          "USER",
        "TRIGGER",    "PROCEDURE",     "FUNCTION",
        "EVENT",      "VIEW",          "DATABASE",
        "SCHEMA",     "TEMPORARY",     "SERVER",
        "TABLESPACE", "INSTANCE",      "SLEEP",
        "GET_LOCK",   "LOGFILE",       "UNDO",
        "RESOURCE",   "RESET",         "SQL_LOG_BIN",
        "GTID_NEXT",  "BINLOG_FORMAT", "BINLOG_ROW_IMAGE",
        "RESTART",    "DEBUG",         "SQL_GENERATE_INVISIBLE_PRIMARY_KEY",
        "XA"}) {
    for (size_t i = 1; i < std::min<size_t>(tokens.size(), 8); ++i) {
      if (tokens[i].Is(other)) {
        return false;
      }
    }
  }
  return true;
}

}  // namespace

Harvest::Harvest(StreamWorld& world, std::string root) : world_(world), root_(std::move(root)) {}

void Harvest::Connect() {
  mysql::ConnectionOptions options = world_.source_mysqld().Root();
  options.database = kSourceDatabase;
  options.read_timeout = kStatementTimeout;
  auto connection = mysql::Connection::Connect(options);
  ASSERT_TRUE(connection.ok()) << connection.status();
  session_ = *std::move(connection);
  const auto set = session_->Execute(
      "SET sql_generate_invisible_primary_key = 1, foreign_key_checks = 0, "
      "default_storage_engine = InnoDB, sql_mode = 'ALLOW_INVALID_DATES', lock_wait_timeout = 5, "
      "cte_max_recursion_depth = 2000");
  ASSERT_TRUE(set.ok()) << set.status();
}

std::vector<std::string> Harvest::Standing() {
  const auto names =
      ConnectTo(world_.source_mysqld(), "")
          ->Query(absl::StrCat("SELECT TABLE_NAME FROM information_schema.TABLES "
                               "WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = '",
                               kSourceDatabase, "'"));
  EXPECT_TRUE(names.ok()) << names.status();
  std::vector<std::string> standing;
  if (names.ok()) {
    for (const mysql::Row& row : names->rows) {
      if (!absl::StartsWith(*row[0], kKept)) {
        standing.push_back(*row[0]);
      }
    }
  }
  return standing;
}

void Harvest::Keep(const std::vector<std::string>& tables) {
  for (const std::string& table : tables) {
    const std::string kept = absl::StrCat(kKept, origins_.size());
    const auto renamed =
        session_->Execute(absl::StrCat("ALTER TABLE ", mysql::QuoteTable(kSourceDatabase, table),
                                       " RENAME TO ", mysql::QuoteTable(kSourceDatabase, kept)));
    if (renamed.ok()) {
      origins_.push_back(absl::StrCat(script_, " (", table, ")"));
    }
  }
}

void Harvest::Execute(const std::string& statement) {
  const auto tokens = sql::Tokenize(statement, {.ansi_quotes = false});
  if (!tokens.ok() || tokens->empty()) {
    return;
  }
  if ((*tokens)[0].Is("DROP")) {
    const auto parsed = sql::AnalyzeStatement(*tokens);
    if (parsed.ok() && tokens->size() > 1 &&
        ((*tokens)[1].Is("TABLE") || (*tokens)[1].Is("TABLES"))) {
      std::vector<std::string> names;
      for (const sql::TableName& table : parsed->tables) {
        names.push_back(table.table);
      }
      Keep(names);
      return;
    }
    // An index that goes is a change of the table.
    if (tokens->size() < 2 || !(*tokens)[1].Is("INDEX")) {
      return;
    }
  } else if (!IsWanted(*tokens)) {
    return;
  }
  ++counts_.statements;
  if (!session_->Execute(statement).ok()) {
    ++counts_.failed;
    if (!session_->healthy()) {
      Connect();
    }
  }
}

void Harvest::Run(const std::string& script) {
  const auto statements = ReadScript(root_, script);
  ASSERT_TRUE(statements.ok()) << statements.status();
  ++counts_.scripts;
  script_ = script;
  Connect();
  for (const std::string& statement : *statements) {
    Execute(statement);
  }
  Connect();  // ends what is open
  Keep(Standing());
  for (const std::string& table : Standing()) {  // that could not be renamed
    session_->Execute(absl::StrCat("DROP TABLE ", mysql::QuoteName(table))).IgnoreError();
  }
}

std::set<std::string> Harvest::Movable(mysql::Connection& reader) const {
  std::vector<std::string> all;
  for (size_t i = 0; i < origins_.size(); ++i) {
    all.push_back(absl::StrCat(kKept, i));
  }
  const auto schemas = mysql::ReadTableSchemas(reader, kSourceDatabase, all);
  const auto bound = reader.Query(
      absl::StrCat("SELECT TABLE_NAME, REFERENCED_TABLE_NAME FROM "
                   "information_schema.KEY_COLUMN_USAGE WHERE REFERENCED_TABLE_NAME IS NOT NULL "
                   "AND TABLE_SCHEMA = '",
                   kSourceDatabase, "'"));
  const auto foreign = reader.Query(absl::StrCat(
      "SELECT TABLE_NAME, TABLE_NAME FROM information_schema.TABLES WHERE ENGINE <> 'InnoDB' "
      "AND TABLE_SCHEMA = '",
      kSourceDatabase, "'"));
  EXPECT_TRUE(schemas.ok() && bound.ok() && foreign.ok());
  std::set<std::string> movable;
  if (schemas.ok() && bound.ok() && foreign.ok()) {
    for (const mysql::TableSchema& schema : *schemas) {
      if (!schema.key_columns.empty()) {
        movable.insert(schema.name);
      }
    }
    for (const auto* answer : {&*bound, &*foreign}) {
      for (const mysql::Row& row : answer->rows) {
        movable.erase(row[0].value_or(""));
        movable.erase(row[1].value_or(""));
      }
    }
  }
  return movable;
}

std::vector<std::string> Harvest::Tables() {
  std::vector<std::string> tables;
  const auto reader = ConnectTo(world_.source_mysqld(), kSourceDatabase);
  EXPECT_TRUE(mysql::ConfigureDataSession(*reader).ok());
  const std::set<std::string> movable = Movable(*reader);
  std::vector<std::string> others;
  for (size_t i = 0; i < origins_.size(); ++i) {
    const std::string table = absl::StrCat(kKept, i);
    const auto count = reader->QueryScalar(absl::StrCat("SELECT COUNT(*) FROM ", table));
    uint64_t rows = 0;
    const bool counted = count.ok() && absl::SimpleAtoi(*count, &rows);
    if (counted && rows > 0 && rows <= kRowsMax && movable.contains(table)) {
      tables.push_back(table);
      counts_.rows += rows;
    } else {
      others.push_back(table);
    }
  }
  for (const std::string& table : others) {
    reader->Execute(absl::StrCat("DROP TABLE IF EXISTS ", table)).IgnoreError();
  }
  counts_.tables += tables.size();
  return tables;
}

std::string Harvest::Origin(const std::string& table) const {
  size_t number = 0;
  const absl::string_view digits = absl::string_view(table).substr(table.rfind('_') + 1);
  return absl::SimpleAtoi(digits, &number) && number < origins_.size() ? origins_[number] : table;
}

}  // namespace sluice::testing
