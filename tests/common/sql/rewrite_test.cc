// Tests of RewriteQualifiers: only names of schemas change, wherever they stand.

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/sql/statement.h"
#include "gtest/gtest.h"

namespace sluice::sql {
namespace {

// Every schema "k" becomes "db", others stay.
std::string Rewrite(absl::string_view sql) {
  absl::StatusOr<std::vector<Token>> tokens = Tokenize(sql);
  EXPECT_TRUE(tokens.ok());
  absl::StatusOr<Statement> statement = AnalyzeStatement(*tokens);
  EXPECT_TRUE(statement.ok());
  return RewriteQualifiers(sql, statement->qualifiers,
                           [](const Qualifier& qualifier) -> std::optional<std::string> {
                             if (qualifier.schema != "k") {
                               return std::nullopt;
                             }
                             return "db";
                           });
}

struct RewriteCase {
  std::string sql;
  std::string expected;
};

class RewriteTest : public testing::TestWithParam<RewriteCase> {};

TEST_P(RewriteTest, ChangesSchemasAndNothingElse) {
  EXPECT_EQ(Rewrite(GetParam().sql), GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Each, RewriteTest,
    testing::Values(
        RewriteCase{"select * from t", "select * from t"},
        RewriteCase{"select * from k.t", "select * from `db`.t"},
        RewriteCase{"select k.t.id, t.k, k.id from k . t -- k.t",
                    "select `db`.t.id, t.k, k.id from `db` . t -- k.t"},
        RewriteCase{"select k.t.* from `k`.`t` where k.t.a='k.t.b'",
                    "select `db`.t.* from `db`.`t` where `db`.t.a='k.t.b'"},
        RewriteCase{"select k from k.k where k.k.k = 1", "select k from `db`.k where `db`.k.k = 1"},
        RewriteCase{"select * from k.t join j.u on k.t.a = j.u.a",
                    "select * from `db`.t join j.u on `db`.t.a = j.u.a"},
        RewriteCase{"insert into k.t(a) values(k.f(1))", "insert into `db`.t(a) values(`db`.f(1))"},
        RewriteCase{"update k.t set k.t.a = 1 order by k.t.a",
                    "update `db`.t set `db`.t.a = 1 order by `db`.t.a"},
        RewriteCase{"delete k.t, u from k.t join u", "delete `db`.t, u from `db`.t join u"},
        RewriteCase{"delete k.t.* from k.t", "delete `db`.t.* from `db`.t"},
        RewriteCase{"delete from k.t using k.t join u", "delete from `db`.t using `db`.t join u"},
        RewriteCase{"delete from k.t where k.t.a = 1", "delete from `db`.t where `db`.t.a = 1"},
        RewriteCase{"drop table k.a, k.b", "drop table `db`.a, `db`.b"},
        RewriteCase{"rename table k.a to k.b", "rename table `db`.a to `db`.b"},
        RewriteCase{"create table k.a (b int references k.c(d))",
                    "create table `db`.a (b int references `db`.c(d))"},
        RewriteCase{"create trigger k.x before insert on k.t for each row set @a = 1",
                    "create trigger `db`.x before insert on `db`.t for each row set @a = 1"},
        RewriteCase{"drop trigger k.x", "drop trigger `db`.x"},
        RewriteCase{"call k.p(1)", "call `db`.p(1)"}, RewriteCase{"call k.p", "call `db`.p"},
        RewriteCase{"drop procedure k.p", "drop procedure `db`.p"},
        RewriteCase{"show tables from k", "show tables from `db`"},
        RewriteCase{"show columns from t from k", "show columns from t from `db`"},
        RewriteCase{"show create table k.t", "show create table `db`.t"},
        RewriteCase{"show create procedure k.p", "show create procedure `db`.p"},
        RewriteCase{"show create database k", "show create database `db`"},
        RewriteCase{"explain select * from k.t", "explain select * from `db`.t"},
        RewriteCase{"select * from k.t for update of k.t",
                    "select * from `db`.t for update of `db`.t"},
        RewriteCase{"select 1.5, a.b from t a", "select 1.5, a.b from t a"},
        RewriteCase{"set @a = (select k.t.x from k.t)", "set @a = (select `db`.t.x from `db`.t)"}));

TEST(RewriteQualifiersTest, BackTicksInNamesAreDoubled) {
  EXPECT_EQ(RewriteQualifiers("x.t", {{"x", "t", 0, 1}},
                              [](const Qualifier&) { return std::optional<std::string>("a`b"); }),
            "`a``b`.t");
}

TEST(RewriteQualifiersTest, AKeywordIsNoSchema) {
  for (const absl::string_view sql :
       {"UPDATE .hop.customer(1, 2)", "SELECT a > (SELECT .max(k) FROM corder)",
        "START TRANSACTION.x()", "SET GLOBAL.x(1)"}) {
    const auto tokens = Tokenize(sql);
    ASSERT_TRUE(tokens.ok()) << sql;
    const auto statement = AnalyzeStatement(*tokens);
    ASSERT_TRUE(statement.ok()) << sql;
    EXPECT_TRUE(statement->qualifiers.empty()) << sql;
  }
}

TEST(RewriteQualifiersTest, ANameBesideAQuotedOneStaysAnotherName) {
  const auto rewrite = [](absl::string_view sql, const Qualifier& qualifier) {
    return RewriteQualifiers(sql, {qualifier},
                             [](const Qualifier&) { return std::optional<std::string>("db"); });
  };
  EXPECT_EQ(rewrite("`a`k.t", {"k", "t", 3, 4}), "`a` `db`.t");
  EXPECT_EQ(rewrite("k`a`", {"k", "", 0, 1}), "`db` `a`");
  EXPECT_EQ(rewrite("`k`.`t`", {"k", "t", 0, 3}), "`db`.`t`");
}

}  // namespace
}  // namespace sluice::sql
