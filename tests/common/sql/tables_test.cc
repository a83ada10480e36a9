// Tests of the table finder: for each statement, the tables that it touches.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/sql/statement.h"
#include "common/sql/tokenizer.h"
#include "gtest/gtest.h"

namespace sluice::sql {
namespace {

// "a k.b": tables in the order found, the schema in front.
std::string Tables(absl::string_view sql) {
  absl::StatusOr<std::vector<Token>> tokens = Tokenize(sql);
  if (!tokens.ok()) {
    return std::string(tokens.status().message());
  }
  absl::StatusOr<Statement> statement = AnalyzeStatement(*tokens);
  if (!statement.ok()) {
    return std::string(statement.status().message());
  }
  return absl::StrJoin(statement->tables, " ", [&](std::string* out, const TableName& name) {
    absl::StrAppend(out, name.schema, name.schema.empty() ? "" : ".", name.table);
    if (!name.schema.empty()) {
      const absl::string_view text =
          sql.substr(name.qualifier_begin, name.qualifier_end - name.qualifier_begin);
      EXPECT_TRUE(text == name.schema || text == absl::StrCat("`", name.schema, "`")) << text;
    }
  });
}

struct TablesCase {
  std::string sql;
  std::string expected;
};

class TablesTest : public testing::TestWithParam<TablesCase> {};

TEST_P(TablesTest, AreFound) {
  EXPECT_EQ(Tables(GetParam().sql), GetParam().expected) << GetParam().sql;
}

INSTANTIATE_TEST_SUITE_P(
    Select, TablesTest,
    testing::Values(
        TablesCase{"select 1", ""}, TablesCase{"select 1 from dual", ""},
        TablesCase{"SELECT * FROM t", "t"}, TablesCase{"SELECT * FROM k.t", "k.t"},
        TablesCase{"SELECT * FROM `k`.`t` AS x", "k.t"}, TablesCase{"select*from`t`", "t"},
        TablesCase{"SELECT a FROM t x WHERE x.b = 1", "t"},
        TablesCase{"SELECT a, b FROM t, u AS v, k.w z WHERE t.a = 1, 2", "t u k.w"},
        TablesCase{"SELECT a FROM t ORDER BY a, b", "t"},
        TablesCase{"SELECT a FROM t GROUP BY a, b WITH ROLLUP HAVING a, b", "t"},
        TablesCase{"SELECT a FROM t LIMIT 1, 2", "t"},
        TablesCase{"SELECT a INTO @x, @y FROM t", "t"},
        TablesCase{"SELECT a FROM t INTO @x, @y", "t"},
        TablesCase{"SELECT a INTO OUTFILE 'x' FROM t", "t"},
        TablesCase{"SELECT a FROM t WINDOW w AS (PARTITION BY b), x AS (ORDER BY c)", "t"},
        TablesCase{"SELECT a FROM t PARTITION (p0, p1) AS x, u", "t u"},
        TablesCase{"SELECT * FROM t USE INDEX (i, j) IGNORE INDEX (k), u", "t u"},
        TablesCase{"SELECT * FROM t USE INDEX FOR JOIN (i), u", "t u"},
        TablesCase{"SELECT * FROM t FORCE KEY FOR ORDER BY (i), u", "t u"},
        TablesCase{"SELECT * FROM t FOR UPDATE", "t"},
        TablesCase{"SELECT * FROM t, u FOR UPDATE OF t, u SKIP LOCKED", "t u"},
        TablesCase{"SELECT * FROM t LOCK IN SHARE MODE", "t"}, TablesCase{"(SELECT * FROM t)", "t"},
        TablesCase{"((SELECT * FROM t)) UNION (SELECT * FROM u)", "t u"},
        TablesCase{"SELECT * FROM t UNION ALL SELECT * FROM u ORDER BY a, b", "t u"},
        TablesCase{"SELECT a FROM t EXCEPT SELECT a FROM u INTERSECT TABLE v", "t u v"},
        TablesCase{"TABLE t", "t"}, TablesCase{"TABLE k.t ORDER BY a, b LIMIT 1", "k.t"},
        TablesCase{"VALUES ROW(1, 2), ROW(3, 4)", ""},
        TablesCase{"SELECT /*! STRAIGHT_JOIN */ a FROM t /* , u */", "t"},
        TablesCase{"SELECT a /* FROM x */ FROM t -- , u", "t"},
        TablesCase{"SELECT 'from x' FROM t WHERE a = 'join y'", "t"},
        TablesCase{"SELECT k.t.a, b FROM k.t", "k.t"},
        TablesCase{"SELECT `from` FROM `select`", "select"},
        TablesCase{"SELECT t.from FROM t", "t"}));

INSTANTIATE_TEST_SUITE_P(
    Joins, TablesTest,
    testing::Values(
        TablesCase{"SELECT * FROM t JOIN u ON t.a = u.a", "t u"},
        TablesCase{"SELECT * FROM t LEFT OUTER JOIN k.u USING (a, b) WHERE a IN (1, 2)", "t k.u"},
        TablesCase{"SELECT * FROM t NATURAL JOIN u", "t u"},
        TablesCase{"SELECT * FROM t STRAIGHT_JOIN u ON LEFT(t.a, 2) = u.a", "t u"},
        TablesCase{"SELECT STRAIGHT_JOIN * FROM t CROSS JOIN u", "t u"},
        TablesCase{"SELECT * FROM t a JOIN (u b, v c) ON a.x = b.x", "t u v"},
        TablesCase{"SELECT * FROM (t JOIN u ON t.a = u.a) JOIN v ON v.a = u.a, w", "t u v w"},
        TablesCase{"SELECT * FROM ((t))", "t"},
        TablesCase{"SELECT * FROM { OJ t LEFT OUTER JOIN u ON t.a = u.a }", "t u"},
        TablesCase{"SELECT * FROM t JOIN u ON t.a IN (SELECT a FROM v), w", "t u v w"},
        TablesCase{"SELECT * FROM t JOIN u ON t.a BETWEEN 1 AND 2 JOIN w USING (a)", "t u w"}));

INSTANTIATE_TEST_SUITE_P(
    Subqueries, TablesTest,
    testing::Values(
        TablesCase{"SELECT (SELECT max(a) FROM u) FROM t", "u t"},
        TablesCase{"SELECT * FROM t WHERE a IN (SELECT a FROM u WHERE b = t.b)", "t u"},
        TablesCase{"SELECT * FROM t WHERE EXISTS (SELECT * FROM u JOIN v USING (a))", "t u v"},
        TablesCase{"SELECT * FROM (SELECT a, b FROM t) x", "t"},
        TablesCase{"SELECT * FROM (SELECT a, b FROM t) AS x (c, d), u", "t u"},
        TablesCase{"SELECT * FROM ((SELECT a FROM t) UNION (SELECT a FROM u)) x, v", "t u v"},
        TablesCase{"SELECT * FROM t, LATERAL (SELECT * FROM u WHERE u.a = t.a) x, w", "t u w"},
        TablesCase{"SELECT * FROM (VALUES ROW(1, 2), ROW(3, 4)) x, t", "t"},
        TablesCase{"SELECT * FROM (TABLE t) x", "t"},
        TablesCase{"SELECT * FROM t WHERE a = ANY (TABLE u)", "t u"},
        TablesCase{"SELECT * FROM JSON_TABLE('[]', '$[*]' COLUMNS (a INT PATH '$.a')) x, t", "t"},
        TablesCase{"SELECT * FROM t WHERE (a, b) = (SELECT a, b FROM u LIMIT 1)", "t u"}));

INSTANTIATE_TEST_SUITE_P(
    Functions, TablesTest,
    testing::Values(TablesCase{"SELECT EXTRACT(YEAR FROM d) FROM t", "t"},
                    TablesCase{"SELECT TRIM(LEADING 'x' FROM a), b FROM t", "t"},
                    TablesCase{"SELECT TRIM(a FROM b)", ""},
                    TablesCase{"SELECT SUBSTRING(a FROM 2 FOR 3) FROM t", "t"},
                    TablesCase{"SELECT SUBSTRING((SELECT a FROM u) FROM 2) FROM t", "u t"},
                    TablesCase{"SELECT NTH_VALUE(a, 2) FROM FIRST OVER (ORDER BY b) FROM t", "t"},
                    TablesCase{"SELECT COUNT(DISTINCT a) OVER (PARTITION BY b) FROM t", "t"},
                    TablesCase{"SELECT REPLACE(a, 'b', 'c'), INSERT(a, 1, 2, 'x') FROM t", "t"},
                    TablesCase{"SELECT MATCH (a, b) AGAINST ('x' WITH QUERY EXPANSION) FROM t",
                               "t"},
                    TablesCase{"SELECT CASE WHEN a THEN b ELSE c END FROM t", "t"},
                    TablesCase{"SELECT VALUES(a) FROM t", "t"},
                    TablesCase{"SELECT CONVERT(a USING utf8mb4) FROM t", "t"},
                    TablesCase{"SELECT k.f(a) FROM t", "t"}));

INSTANTIATE_TEST_SUITE_P(
    CommonTableExpressions, TablesTest,
    testing::Values(
        TablesCase{"WITH c AS (SELECT * FROM t) SELECT * FROM c", "t"},
        TablesCase{"WITH c (a, b) AS (SELECT * FROM t), d AS (SELECT * FROM c) SELECT * FROM d, u",
                   "t u"},
        TablesCase{"WITH t AS (SELECT * FROM t) SELECT * FROM t", "t"},
        TablesCase{"WITH RECURSIVE c AS (SELECT 1 UNION ALL SELECT a FROM c JOIN t) TABLE c", "t"},
        TablesCase{"SELECT * FROM (WITH c AS (SELECT * FROM t) SELECT * FROM c) x, c", "t c"},
        TablesCase{"WITH c AS (SELECT 1) SELECT * FROM k.c", "k.c"},
        TablesCase{"WITH c AS (SELECT a FROM t) UPDATE u, c SET u.a = c.a", "t u"},
        TablesCase{"WITH c AS (SELECT a FROM t) DELETE u FROM u JOIN c USING (a)", "t u"},
        TablesCase{"INSERT INTO t WITH c AS (SELECT * FROM u) SELECT * FROM c", "t u"},
        TablesCase{"SELECT * FROM t WHERE a IN (WITH c AS (TABLE u) TABLE c) AND c IN (TABLE c)",
                   "t u c"}));

INSTANTIATE_TEST_SUITE_P(
    Changes, TablesTest,
    testing::Values(
        TablesCase{"INSERT INTO t VALUES (1, 2), (3, 4)", "t"},
        TablesCase{"insert ignore t set a = 1, b = 2", "t"},
        TablesCase{"INSERT LOW_PRIORITY INTO k.t(a, b) VALUES (1, 'x')", "k.t"},
        TablesCase{"INSERT INTO t PARTITION (p0) (a) VALUES ROW(1), ROW(2)", "t"},
        TablesCase{"INSERT INTO t SELECT * FROM u", "t u"},
        TablesCase{"INSERT INTO t (a) (SELECT a FROM u)", "t u"},
        TablesCase{"INSERT INTO t TABLE u", "t u"},
        TablesCase{"INSERT INTO t (a) SELECT a FROM u ON DUPLICATE KEY UPDATE a = 1, b = 2", "t u"},
        TablesCase{"INSERT INTO t VALUES (1) AS n (a) ON DUPLICATE KEY UPDATE b = n.a, c = 1", "t"},
        TablesCase{"INSERT INTO t VALUES ((SELECT max(a) FROM u), 2)", "t u"},
        TablesCase{"INSERT INTO t SELECT * FROM u ON DUPLICATE KEY UPDATE a = (SELECT 1 FROM v)",
                   "t u v"},
        TablesCase{"REPLACE INTO t VALUES (1)", "t"},
        TablesCase{"REPLACE DELAYED t SELECT * FROM k.u", "t k.u"},
        TablesCase{"UPDATE t SET a = 1, b = 2 WHERE c = 3", "t"},
        TablesCase{"UPDATE LOW_PRIORITY IGNORE k.t AS x SET x.a = 1", "k.t"},
        TablesCase{"UPDATE t, u SET t.a = u.a, u.b = 1 WHERE t.c = u.c", "t u"},
        TablesCase{"UPDATE t JOIN k.u ON t.a = u.a SET t.b = 1", "t k.u"},
        TablesCase{"UPDATE t SET a = (SELECT b FROM u), c = 1", "t u"},
        TablesCase{"DELETE FROM t WHERE a = 1", "t"}, TablesCase{"DELETE FROM t", "t"},
        TablesCase{"DELETE QUICK FROM k.t AS x WHERE x.a = 1 ORDER BY a, b", "k.t"},
        TablesCase{"DELETE FROM t PARTITION (p0, p1) WHERE a = 1", "t"},
        TablesCase{"DELETE t, u FROM t JOIN u JOIN v", "t u v"},
        TablesCase{"DELETE x.*, k.u.* FROM t AS x, k.u", "t k.u"},
        TablesCase{"DELETE FROM t, u USING t JOIN u JOIN v WHERE t.a IN (SELECT a FROM w)",
                   "t u v w"},
        TablesCase{"DELETE FROM x USING t AS x JOIN u", "t u"},
        TablesCase{"LOAD DATA LOCAL INFILE 'f' REPLACE INTO TABLE k.t FIELDS TERMINATED BY ','",
                   "k.t"},
        TablesCase{"LOAD DATA INFILE 'f' INTO TABLE t (a, @b) SET c = (SELECT 1 FROM u)", "t u"},
        TablesCase{"LOAD XML INFILE 'f' INTO TABLE t", "t"}));

INSTANTIATE_TEST_SUITE_P(
    Definitions, TablesTest,
    testing::Values(
        TablesCase{"CREATE TABLE t (a INT DEFAULT (1), b INT)", "t"},
        TablesCase{"CREATE TEMPORARY TABLE IF NOT EXISTS k.t (a INT)", "k.t"},
        TablesCase{"CREATE TABLE t LIKE u", "t u"},
        TablesCase{"CREATE TABLE t (LIKE k.u)", "t k.u"},
        TablesCase{"CREATE TABLE t (a INT CHECK (b LIKE c))", "t"},
        TablesCase{"CREATE TABLE t AS SELECT a FROM u", "t u"},
        TablesCase{"CREATE TABLE t (a INT, FOREIGN KEY (a) REFERENCES k.u (a))", "t k.u"},
        TablesCase{"CREATE UNIQUE INDEX i ON t (a, b)", "t"},
        TablesCase{"CREATE INDEX i USING BTREE ON k.t(a)", "k.t"},
        TablesCase{"DROP INDEX i ON t", "t"},
        TablesCase{
            "CREATE OR REPLACE DEFINER=`a`@`b` SQL SECURITY INVOKER VIEW v AS SELECT * FROM t",
            "v t"},
        TablesCase{"CREATE TRIGGER x BEFORE INSERT ON t FOR EACH ROW SET NEW.a = 1", "t"},
        TablesCase{"CREATE TRIGGER x AFTER DELETE ON t FOR EACH ROW INSERT INTO u VALUES (1)", "t"},
        TablesCase{"ALTER TABLE t ADD COLUMN a INT, DROP COLUMN b", "t"},
        TablesCase{"ALTER TABLE t RENAME TO k.u", "t k.u"},
        TablesCase{"ALTER TABLE t RENAME COLUMN a TO b, RENAME INDEX c TO d", "t"},
        TablesCase{"ALTER TABLE t EXCHANGE PARTITION p WITH TABLE u", "t u"},
        TablesCase{"DROP TABLE IF EXISTS t, k.u", "t k.u"},
        TablesCase{"DROP TEMPORARY TABLE t", "t"}, TablesCase{"DROP VIEW v, w CASCADE", "v w"},
        TablesCase{"RENAME TABLE a TO b, k.c TO k.d", "a b k.c k.d"}, TablesCase{"TRUNCATE t", "t"},
        TablesCase{"TRUNCATE TABLE k.t", "k.t"},
        TablesCase{"ANALYZE NO_WRITE_TO_BINLOG TABLE t, u", "t u"},
        TablesCase{"OPTIMIZE TABLE t", "t"}, TablesCase{"CHECK TABLE t, u QUICK", "t u"},
        TablesCase{"CHECKSUM TABLE t EXTENDED", "t"}, TablesCase{"CREATE DATABASE x", ""},
        TablesCase{"CREATE USER x@'%' IDENTIFIED BY 'y'", ""}));

INSTANTIATE_TEST_SUITE_P(
    Others, TablesTest,
    testing::Values(
        TablesCase{"SHOW TABLES", ""}, TablesCase{"SHOW CREATE TABLE k.t", "k.t"},
        TablesCase{"SHOW FULL COLUMNS FROM t IN k LIKE 'x'", "k.t"},
        TablesCase{"SHOW COLUMNS FROM `k`.t", "k.t"}, TablesCase{"SHOW INDEX FROM t", "t"},
        TablesCase{"SHOW KEYS FROM t FROM `k`", "k.t"}, TablesCase{"EXPLAIN SELECT * FROM t", "t"},
        TablesCase{"DESC t", "t"}, TablesCase{"DESCRIBE k.t a", "k.t"},
        TablesCase{"EXPLAIN ANALYZE FORMAT=TREE UPDATE t SET a = 1", "t"},
        TablesCase{"EXPLAIN FOR CONNECTION 5", ""},
        TablesCase{"LOCK TABLES t READ, k.u AS x WRITE", "t k.u"},
        TablesCase{"SET @a = (SELECT max(b) FROM t), @c = 1", "t"},
        TablesCase{"DO (SELECT SLEEP(a) FROM t)", "t"},
        TablesCase{"CALL p((SELECT 1 FROM t))", "t"}, TablesCase{"HANDLER t OPEN", "t"},
        TablesCase{"KILL 5", ""}, TablesCase{"select", ""}, TablesCase{"select * from", ""},
        TablesCase{"select * from (", ""}, TablesCase{"select ) from t", "t"},
        TablesCase{"with", ""}, TablesCase{"delete", ""}, TablesCase{"insert into", ""},
        TablesCase{"create", ""}, TablesCase{"show", ""}));

TEST(TableFinderTest, DeepNestingIsRefused) {
  const std::string sql =
      absl::StrCat("SELECT ", std::string(100000, '('), "1", std::string(100000, ')'));
  EXPECT_NE(Tables(sql).find("too deeply"), std::string::npos);
}

TEST(TableFinderTest, ManyUnclosedParenthesesAreLookedAtOnce) {
  EXPECT_NE(Tables(absl::StrCat("SELECT ", std::string(100000, '('))).find("too deeply"),
            std::string::npos);
}

}  // namespace
}  // namespace sluice::sql
