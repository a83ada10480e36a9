// Tests of AnalyzeStatement: kinds, and what SET, USE, SHOW, KILL and transactions say.

#include "common/sql/statement.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::sql {
namespace {

using testing::ElementsAre;

Statement Analyze(absl::string_view sql) {
  absl::StatusOr<std::vector<Token>> tokens = Tokenize(sql);
  EXPECT_TRUE(tokens.ok()) << tokens.status();
  absl::StatusOr<Statement> statement = AnalyzeStatement(*tokens);
  EXPECT_TRUE(statement.ok()) << statement.status();
  return *statement;
}

struct KindCase {
  std::string sql;
  StatementKind kind;
  bool is_read;
};

class StatementKindTest : public testing::TestWithParam<KindCase> {};

TEST_P(StatementKindTest, IsSeen) {
  const Statement statement = Analyze(GetParam().sql);
  EXPECT_EQ(statement.kind, GetParam().kind) << GetParam().sql;
  EXPECT_EQ(statement.is_read, GetParam().is_read) << GetParam().sql;
}

INSTANTIATE_TEST_SUITE_P(
    Each, StatementKindTest,
    testing::Values(KindCase{"", StatementKind::kEmpty, false},
                    KindCase{" ;", StatementKind::kEmpty, false},
                    KindCase{"-- x", StatementKind::kEmpty, false},
                    KindCase{"/* x */ select 1", StatementKind::kSelect, true},
                    KindCase{"((select 1))", StatementKind::kSelect, true},
                    KindCase{"with a as (select 1) table a", StatementKind::kSelect, true},
                    KindCase{"with a as (select 1) delete from t", StatementKind::kDelete, false},
                    KindCase{"values row(1)", StatementKind::kSelect, true},
                    KindCase{"insert t values (1)", StatementKind::kInsert, false},
                    KindCase{"replace t values (1)", StatementKind::kReplace, false},
                    KindCase{"update t set a=1", StatementKind::kUpdate, false},
                    KindCase{"delete from t", StatementKind::kDelete, false},
                    KindCase{"load data infile 'x' into table t", StatementKind::kLoad, false},
                    KindCase{"load index into cache t", StatementKind::kOther, false},
                    KindCase{"create table t (a int)", StatementKind::kDdl, false},
                    KindCase{"truncate t", StatementKind::kDdl, false},
                    KindCase{"analyze table t", StatementKind::kDdl, false},
                    KindCase{"begin", StatementKind::kBegin, false},
                    KindCase{"begin work", StatementKind::kBegin, false},
                    KindCase{"start transaction read only", StatementKind::kBegin, false},
                    KindCase{"start replica", StatementKind::kOther, false},
                    KindCase{"commit", StatementKind::kCommit, false},
                    KindCase{"rollback", StatementKind::kRollback, false},
                    KindCase{"rollback work to savepoint a", StatementKind::kSavepoint, false},
                    KindCase{"rollback to a", StatementKind::kSavepoint, false},
                    KindCase{"savepoint a", StatementKind::kSavepoint, false},
                    KindCase{"release savepoint a", StatementKind::kSavepoint, false},
                    KindCase{"set names utf8mb4", StatementKind::kSet, false},
                    KindCase{"use k", StatementKind::kUse, false},
                    KindCase{"show tables", StatementKind::kShow, true},
                    KindCase{"call p()", StatementKind::kCall, false},
                    KindCase{"lock tables t read", StatementKind::kLockTables, false},
                    KindCase{"lock instance for backup", StatementKind::kOther, false},
                    KindCase{"unlock tables", StatementKind::kUnlockTables, false},
                    KindCase{"kill 7", StatementKind::kKill, false},
                    KindCase{"explain delete from t", StatementKind::kExplain, true},
                    KindCase{"desc t", StatementKind::kExplain, true},
                    KindCase{"do sleep(1)", StatementKind::kOther, true},
                    KindCase{"prepare s from 'select 1'", StatementKind::kOther, false},
                    KindCase{"xa start 'x'", StatementKind::kOther, false},
                    KindCase{"grant all on *.* to x", StatementKind::kOther, false}));

TEST(StatementTest, LockingReadsAreSeen) {
  EXPECT_TRUE(Analyze("select * from t for update").for_update);
  EXPECT_TRUE(Analyze("select * from t for share nowait").for_update);
  EXPECT_TRUE(
      Analyze("select * from t where a in (select b from u lock in share mode)").for_update);
  EXPECT_FALSE(Analyze("select substring(a from 1 for 2) from t").for_update);
  EXPECT_FALSE(Analyze("select 'for update' from t").for_update);
}

TEST(StatementTest, SeveralStatementsAreSeen) {
  EXPECT_TRUE(Analyze("select 1; select 2").multiple);
  EXPECT_TRUE(Analyze("; select 2").multiple);
  EXPECT_FALSE(Analyze("select 1;").multiple);
  EXPECT_FALSE(Analyze("select 1 ; ; -- x").multiple);
  EXPECT_FALSE(Analyze("select ';'; /* ; select */").multiple);
  EXPECT_FALSE(Analyze("create procedure p() begin select 1; select 2; end").multiple);
  EXPECT_FALSE(
      Analyze("create definer=`a`@`b` trigger x before insert on t for each row begin set @a=1; "
              "set @b=2; end")
          .multiple);
  EXPECT_TRUE(Analyze("create table t (`procedure` int); drop table u").multiple);
}

TEST(StatementTest, DatabaseDefinitionsAreSeen) {
  EXPECT_TRUE(Analyze("create database if not exists x").is_database_ddl);
  EXPECT_TRUE(Analyze("drop schema x").is_database_ddl);
  EXPECT_TRUE(Analyze("alter database x character set utf8mb4").is_database_ddl);
  EXPECT_FALSE(Analyze("create table x (a int)").is_database_ddl);
}

TEST(StatementTest, SetNamesItsVariables) {
  EXPECT_THAT(Analyze("set autocommit=0").set_variables, ElementsAre("autocommit"));
  EXPECT_THAT(Analyze("set @@session.sql_mode = '', @a := 1, session wait_timeout = (1 + f(2, 3))")
                  .set_variables,
              ElementsAre("sql_mode", "@a", "wait_timeout"));
  EXPECT_THAT(Analyze("set names 'utf8mb4' collate utf8mb4_bin").set_variables,
              ElementsAre("names"));
  EXPECT_THAT(Analyze("set character set latin1").set_variables, ElementsAre("character set"));
  EXPECT_THAT(Analyze("set session transaction isolation level serializable").set_variables,
              ElementsAre("session transaction"));
  EXPECT_THAT(Analyze("set transaction read only").set_variables, ElementsAre("transaction"));
  EXPECT_THAT(Analyze("set @@local.`unique_checks`=0").set_variables, ElementsAre("unique_checks"));
  EXPECT_THAT(Analyze("/*!40014 SET @OLD=@@UNIQUE_CHECKS, UNIQUE_CHECKS=0 */").set_variables,
              ElementsAre("@old", "unique_checks"));
}

TEST(StatementTest, SetOfGlobalStateIsSeen) {
  EXPECT_TRUE(Analyze("set global max_connections = 5").sets_global);
  EXPECT_TRUE(Analyze("set @@global.max_connections = 5").sets_global);
  EXPECT_TRUE(Analyze("set persist max_connections = 5").sets_global);
  EXPECT_TRUE(Analyze("set password = 'x'").sets_global);
  EXPECT_TRUE(Analyze("set global transaction read only").sets_global);
  EXPECT_FALSE(Analyze("set session max_execution_time = 5").sets_global);
}

TEST(StatementTest, SetReadsAutocommit) {
  EXPECT_EQ(Analyze("set autocommit=0").autocommit, false);
  EXPECT_EQ(Analyze("set @@autocommit = ON").autocommit, true);
  EXPECT_EQ(Analyze("set session autocommit := 'off'").autocommit, false);
  EXPECT_EQ(Analyze("set @x = 1, autocommit = 1").autocommit, true);
  EXPECT_EQ(Analyze("set global autocommit = 0").autocommit, std::nullopt);
  EXPECT_EQ(Analyze("set @autocommit = 0").autocommit, std::nullopt);
  EXPECT_EQ(Analyze("set autocommit = @x").autocommit, std::nullopt);
}

TEST(StatementTest, SetReadsModeAndCharset) {
  EXPECT_EQ(Analyze("set sql_mode = 'ANSI_QUOTES'").set_sql_mode, "'ANSI_QUOTES'");
  EXPECT_EQ(Analyze("set names GBK").set_charset, "gbk");
  EXPECT_EQ(Analyze("set character_set_client = 'sjis'").set_charset, "sjis");
}

struct UseCase {
  std::string sql;
  std::string target;
};

class UseTest : public testing::TestWithParam<UseCase> {};

TEST_P(UseTest, GivesTheTarget) {
  EXPECT_EQ(Analyze(GetParam().sql).use_target, GetParam().target);
}

INSTANTIATE_TEST_SUITE_P(Spellings, UseTest,
                         testing::Values(UseCase{"use k", "k"}, UseCase{"USE `k`;", "k"},
                                         UseCase{"use k@replica", "k@replica"},
                                         UseCase{"use `k@replica`", "k@replica"},
                                         UseCase{"use `k`@replica", "k@replica"},
                                         UseCase{"use k:-80@rdonly", "k:-80@rdonly"},
                                         UseCase{"use `k:-80@rdonly` ;", "k:-80@rdonly"},
                                         UseCase{"use k/40-80", "k/40-80"},
                                         UseCase{"use k:80-@primary", "k:80-@primary"},
                                         UseCase{"use k:a0-c0", "k:a0-c0"},
                                         UseCase{"use a\nb", "a b"}, UseCase{"use", ""}));

TEST(StatementTest, ShowGivesItsSubject) {
  EXPECT_EQ(Analyze("show databases").show_subject, "databases");
  EXPECT_EQ(Analyze("SHOW FULL TABLES FROM k LIKE 'a%'").show_subject, "tables");
  EXPECT_EQ(Analyze("show create table t").show_subject, "create table");
  EXPECT_EQ(Analyze("show global variables like 'x'").show_subject, "variables");
  EXPECT_EQ(Analyze("show table status").show_subject, "table status");
  EXPECT_EQ(Analyze("show warnings").show_subject, "warnings");
}

TEST(StatementTest, KillReadsItsNumber) {
  EXPECT_EQ(Analyze("kill 12").kill_id, 12U);
  EXPECT_FALSE(Analyze("kill connection 12").kill_query);
  EXPECT_TRUE(Analyze("KILL QUERY 12").kill_query);
  EXPECT_EQ(Analyze("kill @x").kill_id, std::nullopt);
}

TEST(StatementTest, EndOfATransactionReadsItsOptions) {
  EXPECT_TRUE(Analyze("commit and chain").chains);
  EXPECT_FALSE(Analyze("commit and no chain").chains);
  EXPECT_TRUE(Analyze("rollback work and no chain release").releases);
  EXPECT_FALSE(Analyze("rollback no release").releases);
}

TEST(StatementTest, SystemSchemasAreKnown) {
  EXPECT_TRUE(IsSystemSchema("MYSQL"));
  EXPECT_TRUE(IsSystemSchema("information_schema"));
  EXPECT_FALSE(IsSystemSchema("commerce"));
}

}  // namespace
}  // namespace sluice::sql
