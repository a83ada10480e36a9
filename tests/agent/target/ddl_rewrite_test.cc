// Tests of statements of the source in the target's terms.

#include "agent/target/ddl_rewrite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::target {
namespace {

using ::testing::HasSubstr;

const WatchedTables& Watched() {
  static const WatchedTables* const watched =
      new WatchedTables{.database = "shop", .tables = {"customer", "corder"}};
  return *watched;
}

absl::StatusOr<RewrittenDdl> Rewrite(absl::string_view sql, absl::string_view database = "shop",
                                     bool ansi_quotes = false) {
  const DdlPlaces places{.watched = Watched(),
                         .database = "vt`x",
                         .physical = [](const std::string& table) { return "_c_" + table; }};
  return RewriteDdl(places, database, sql, {.ansi_quotes = ansi_quotes});
}

struct Case {
  const char* sql;
  const char* rewritten;
};

class RewrittenDdlTest : public ::testing::TestWithParam<Case> {};
class RefusedDdlTest : public ::testing::TestWithParam<const char*> {};

TEST_P(RewrittenDdlTest, NamesTheTargetsTables) {
  const auto rewritten = Rewrite(GetParam().sql);
  ASSERT_TRUE(rewritten.ok()) << rewritten.status();
  EXPECT_EQ(rewritten->sql, GetParam().rewritten);
}

INSTANTIATE_TEST_SUITE_P(
    All, RewrittenDdlTest,
    ::testing::Values(
        Case{"ALTER TABLE customer ADD x INT", "ALTER TABLE `vt``x`.`_c_customer` ADD x INT"},
        Case{"/* why */ alter table `shop`.`customer` drop x /* xid=9 */",
             "/* why */ alter table `vt``x`.`_c_customer` drop x /* xid=9 */"},
        Case{"ALTER TABLE shop . customer RENAME COLUMN a TO customer, RENAME INDEX b TO c",
             "ALTER TABLE `vt``x`.`_c_customer` RENAME COLUMN a TO customer, RENAME INDEX b TO c"},
        Case{"ALTER TABLE corder ADD FOREIGN KEY (c) REFERENCES customer (id), ADD CONSTRAINT k "
             "FOREIGN KEY (d) REFERENCES `shop`.`corder` (id)",
             "ALTER TABLE `vt``x`.`_c_corder` ADD FOREIGN KEY (c) REFERENCES "
             "`vt``x`.`_c_customer` (id), ADD CONSTRAINT k FOREIGN KEY (d) REFERENCES "
             "`vt``x`.`_c_corder` (id)"},
        Case{"ALTER TABLE corder ADD exchange INT COMMENT 'REFERENCES x, RENAME TO y'",
             "ALTER TABLE `vt``x`.`_c_corder` ADD exchange INT COMMENT 'REFERENCES x, RENAME TO "
             "y'"},
        Case{"ALTER TABLE corder DROP PARTITION p0",
             "ALTER TABLE `vt``x`.`_c_corder` DROP PARTITION p0"},
        Case{"TRUNCATE customer", "TRUNCATE `vt``x`.`_c_customer`"},
        Case{"TRUNCATE TABLE shop.customer", "TRUNCATE TABLE `vt``x`.`_c_customer`"},
        Case{"CREATE UNIQUE INDEX i ON customer (a)",
             "CREATE UNIQUE INDEX i ON `vt``x`.`_c_customer` (a)"},
        Case{"DROP INDEX `on` ON customer", "DROP INDEX `on` ON `vt``x`.`_c_customer`"}));

TEST_P(RefusedDdlTest, IsRefusedWithTheStatement) {
  const auto rewritten = Rewrite(GetParam());
  EXPECT_TRUE(absl::IsFailedPrecondition(rewritten.status())) << rewritten.status();
  EXPECT_THAT(std::string(rewritten.status().message()), HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    All, RefusedDdlTest,
    ::testing::Values("DROP TABLE customer", "RENAME TABLE customer TO x",
                      "CREATE TABLE customer (a INT)", "DROP DATABASE shop",
                      "ALTER TABLE customer RENAME TO x", "ALTER TABLE customer RENAME x",
                      "ALTER TABLE customer EXCHANGE PARTITION p WITH TABLE y",
                      "ALTER TABLE customer DISCARD TABLESPACE",
                      "ALTER TABLE corder ADD FOREIGN KEY (c) REFERENCES product (id)",
                      "ALTER TABLE other.customer ADD x INT", "ALTER TABLE"));

TEST(RewriteDdlTest, TheSessionDecidesWhatAQuoteIs) {
  const auto name = Rewrite("ALTER TABLE \"customer\" ADD \"x\" INT", "shop", true);
  ASSERT_TRUE(name.ok()) << name.status();
  EXPECT_EQ(name->sql, "ALTER TABLE `vt``x`.`_c_customer` ADD \"x\" INT");
  EXPECT_FALSE(Rewrite("ALTER TABLE customer ADD x INT", "other").ok());
}

TEST(RewriteDdlTest, ALongStatementIsCutInTheMessage) {
  const auto refused =
      Rewrite(absl::StrCat("DROP TABLE customer /*", std::string(100'000, 'x'), "*/"));
  EXPECT_FALSE(refused.ok());
  EXPECT_LT(refused.status().message().size(), 1000U);
}

}  // namespace
}  // namespace sluice::target
