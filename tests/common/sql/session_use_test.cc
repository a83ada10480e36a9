// Tests of SessionUse: which statements depend on, or change, the session of their server.

#include "common/sql/session_use.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::sql {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

SessionUse Use(absl::string_view sql) {
  absl::StatusOr<std::vector<Token>> tokens = Tokenize(sql);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  return FindSessionUse(*tokens);
}

TEST(SessionUseTest, LastInsertIdInItsSpellings) {
  EXPECT_TRUE(Use("SELECT LAST_INSERT_ID()").last_insert_id);
  EXPECT_TRUE(Use("insert into c values (last_insert_id(), 1)").last_insert_id);
  EXPECT_TRUE(Use("SELECT @@identity").last_insert_id);
  EXPECT_TRUE(Use("SELECT @@session.last_insert_id").last_insert_id);
  EXPECT_TRUE(Use("CALL p()").last_insert_id);
  EXPECT_FALSE(Use("SELECT last_insert_id FROM t").last_insert_id);
  EXPECT_FALSE(Use("SELECT 'LAST_INSERT_ID()'").last_insert_id);
}

TEST(SessionUseTest, DiagnosticsOfTheStatementBefore) {
  for (const char* sql :
       {"SHOW WARNINGS", "SHOW COUNT(*) ERRORS", "SELECT ROW_COUNT()", "SELECT FOUND_ROWS()",
        "SELECT @@warning_count", "GET DIAGNOSTICS @n = NUMBER"}) {
    EXPECT_TRUE(Use(sql).diagnostics) << sql;
  }
  EXPECT_FALSE(Use("SHOW TABLES").diagnostics);
  EXPECT_FALSE(Use("SELECT 1").diagnostics);
}

TEST(SessionUseTest, LocksAndTemporaryTables) {
  for (const char* sql : {"SELECT GET_LOCK('a', 1)", "DO RELEASE_LOCK('a')",
                          "SELECT RELEASE_ALL_LOCKS()", "SELECT IS_USED_LOCK('a')"}) {
    EXPECT_TRUE(Use(sql).named_locks) << sql;
  }
  EXPECT_FALSE(Use("SELECT get_lock FROM t").named_locks);
  EXPECT_TRUE(Use("CREATE TEMPORARY TABLE t (a INT)").makes_temporary);
  EXPECT_FALSE(Use("CREATE TABLE temporary (a INT)").makes_temporary);
}

TEST(SessionUseTest, VariablesReadAndAssigned) {
  SessionUse use = Use("SET @a = 1, @B = @c + 1");
  EXPECT_THAT(use.assigns, ElementsAre("a", "b"));
  EXPECT_THAT(use.reads, ElementsAre("c"));
  use = Use("SELECT COUNT(*), MAX(id) INTO @`n`, @m FROM t WHERE a = @w");
  EXPECT_THAT(use.assigns, ElementsAre("n", "m"));
  EXPECT_THAT(use.reads, ElementsAre("w"));
  use = Use("SELECT @r := @r + 1 FROM t");
  EXPECT_THAT(use.assigns, ElementsAre("r"));
  EXPECT_THAT(use.reads, ElementsAre("r"));
  use = Use("CALL p(@in_out)");
  EXPECT_THAT(use.assigns, ElementsAre("in_out"));
  EXPECT_THAT(use.reads, ElementsAre("in_out"));
  use = Use("LOAD DATA INFILE 'x' INTO TABLE t (a, @v) SET b = @v");
  EXPECT_THAT(use.assigns, ElementsAre("v"));
  EXPECT_THAT(use.reads, IsEmpty());
  use = Use("INSERT INTO t VALUES (@a, @@sql_mode)");
  EXPECT_THAT(use.assigns, IsEmpty());
  EXPECT_THAT(use.reads, ElementsAre("a"));
  use = Use("SET @a = (SELECT @x = @y), time_zone = @z");
  EXPECT_THAT(use.assigns, ElementsAre("a"));
  EXPECT_THAT(use.reads, ElementsAre("x", "y", "z"));
}

TEST(SessionUseTest, WhatIsTheSameOnEveryServer) {
  for (const char* sql : {"SET @a = 1", "SET @a = CONCAT('a', @@sql_mode)", "SELECT 1 + 1",
                          "SELECT t.current_date FROM t", "SELECT @@version_comment LIMIT 1"}) {
    EXPECT_FALSE(Use(sql).varies) << sql;
    EXPECT_FALSE(Use(sql).unknown_calls) << sql;
  }
  for (const char* sql : {"SET @a = UUID()", "SET @a = NOW()", "SET @a = current_timestamp",
                          "SET @a = LAST_INSERT_ID()", "SELECT VERSION()"}) {
    EXPECT_TRUE(Use(sql).varies) << sql;
    EXPECT_FALSE(Use(sql).unknown_calls) << sql;
  }
  for (const char* sql : {"SELECT f()", "SELECT ks.now()", "SELECT `concat`(1)"}) {
    EXPECT_TRUE(Use(sql).varies) << sql;
    EXPECT_TRUE(Use(sql).unknown_calls) << sql;
  }
}

}  // namespace
}  // namespace sluice::sql
