// SQL: what clients and the binlog say, as text.

#include "agent/target/statement_check.h"
#include "common/base/check.h"
#include "common/sql/statement.h"
#include "common/sql/tokenizer.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using sql::Qualifier;
using sql::Statement;
using sql::Token;
using sql::TokenKind;

void CheckTokens(absl::string_view text, const std::vector<Token>& tokens) {
  size_t end = 0;
  for (const Token& token : tokens) {
    SLUICE_CHECK(token.begin >= end && token.begin < token.end && token.end <= text.size());
    end = token.end;
    const absl::string_view raw = text.substr(token.begin, token.end - token.begin);
    SLUICE_CHECK(token.kind == TokenKind::kQuotedName ? token.value.size() + 2 <= raw.size()
                                                      : token.value == raw);
  }
}

bool Same(const std::vector<Token>& a, const std::vector<Token>& b) {
  if (a.size() != b.size()) {
    return false;
  }
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i].value != b[i].value) {
      return false;
    }
  }
  return true;
}

void CheckPlaces(absl::string_view text, const Statement& statement) {
  size_t end = 0;
  for (const Qualifier& qualifier : statement.qualifiers) {
    SLUICE_CHECK(qualifier.begin >= end && qualifier.begin < qualifier.end &&
                 qualifier.end <= text.size());
    end = qualifier.end;
  }
  for (const sql::TableName& table : statement.tables) {
    SLUICE_CHECK(table.qualifier_begin <= table.qualifier_end &&
                 table.qualifier_end <= text.size());
  }
}

// Schemas that are replaced by themselves leave the same statement.
void CheckRewriting(absl::string_view text, const std::vector<Token>& tokens,
                    const Statement& statement, const sql::TokenizerOptions& options) {
  const std::string kept = sql::RewriteQualifiers(text, statement.qualifiers,
                                                  [](const Qualifier&) { return std::nullopt; });
  SLUICE_CHECK(kept == text);
  const std::string again = sql::RewriteQualifiers(
      text, statement.qualifiers,
      [](const Qualifier& qualifier) { return std::optional<std::string>(qualifier.schema); });
  const auto new_tokens = sql::Tokenize(again, options);
  SLUICE_CHECK_OK(new_tokens.status());
  SLUICE_CHECK(Same(*new_tokens, tokens));
  const auto new_statement = sql::AnalyzeStatement(*new_tokens);
  SLUICE_CHECK_OK(new_statement.status());
  SLUICE_CHECK(new_statement->kind == statement.kind);
  SLUICE_CHECK(new_statement->tables.size() == statement.tables.size());
  SLUICE_CHECK(new_statement->qualifiers.size() == statement.qualifiers.size());
}

void RunWith(absl::string_view text, const sql::TokenizerOptions& options) {
  const auto tokens = sql::Tokenize(text, options);
  if (!tokens.ok()) {
    return;
  }
  CheckTokens(text, *tokens);
  const auto statement = sql::AnalyzeStatement(*tokens);
  if (!statement.ok()) {
    return;
  }
  CheckPlaces(text, *statement);
  CheckRewriting(text, *tokens, *statement, options);
}

void Run(absl::string_view input) {
  static const target::WatchedTables& watched =
      *new target::WatchedTables{.database = "shop", .tables = {"customer", "corder"}};
  const Exact text(input);
  RunWith(text.view(), {});
  RunWith(text.view(), {.ansi_quotes = true, .no_backslash_escapes = true});
  (void)target::CheckStatement(watched, "shop", text.view()).ok();
}

std::vector<std::string> Seeds() {
  return {
      "SELECT a, 'it''s', x'4d', 1.5e-3, @@session.`sql_mode` FROM shop.customer AS c WHERE `c`.a "
      "> "
      "(SELECT MAX(k) FROM corder) FOR UPDATE",
      "INSERT INTO `shop`.`customer` (a, b) VALUES (1, \"x\\\"y\"), (0x4d, b'01') ON DUPLICATE KEY "
      "UPDATE a = a + 1",
      "UPDATE shop.customer c JOIN other.t USING (id) SET c.a = t.b WHERE t.`x``y` IN (1, 2)",
      "DELETE c FROM customer AS c, shop.corder WHERE c.id = corder.id",
      "WITH cte (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM cte) SELECT * FROM cte, db.t",
      "REPLACE INTO t SELECT * FROM s.u -- comment\n WHERE a = 1 # more",
      "/*!50000 CREATE */ TABLE shop.customer (id INT /* inner */ PRIMARY KEY, FOREIGN KEY (a) "
      "REFERENCES p.q (id))",
      "/*!99999 nothing /* nested */ here */ SELECT /*+ SET_VAR(a=1) */ 1",
      "ALTER TABLE customer ADD INDEX (a), RENAME TO shop.c2",
      "RENAME TABLE a.b TO c.d, e TO _sluice_closed_e",
      "DROP TABLE IF EXISTS shop.customer, corder",
      "CREATE OR REPLACE VIEW v AS SELECT * FROM shop.customer",
      "SET SESSION sql_mode = 'ANSI_QUOTES', @x := 5, GLOBAL max_connections = 7, autocommit = 0",
      "SET NAMES utf8mb4 COLLATE utf8mb4_bin",
      "USE `shop@replica`",
      "SHOW FULL TABLES FROM shop LIKE 'a%'",
      "KILL QUERY 15",
      "BEGIN; COMMIT AND CHAIN",
      "ROLLBACK TO SAVEPOINT a",
      "LOAD DATA LOCAL INFILE 'f' REPLACE INTO TABLE shop.customer FIELDS TERMINATED BY ','",
      "LOCK TABLES shop.customer AS c READ, t WRITE",
      "CALL shop.p(1, 'x')",
      "SELECT `a`op.`t`.b, op.`t`.c",
      "UPDATE .shop.customer(1)",
      "SET @@global.\"x\".p = 1",
      "SELECT a > (SELECT .max(k) FROM corder)",
      "TRUNCATE customer",
      "EXPLAIN FORMAT=JSON SELECT * FROM t",
      "TABLE customer ORDER BY 1 LIMIT 1",
      "SELECT 1.e5, .5, t.1a, 1a.b, \"ansi\".\"quoted\" FROM 2b",
  };
}

}  // namespace

const Target kSql = {.run = Run, .seeds = Seeds};

}  // namespace sluice::fuzz
