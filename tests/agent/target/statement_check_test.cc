// Tests of what a stream passes over in the source's binlog.

#include "agent/target/statement_check.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice::target {
namespace {

using ::testing::HasSubstr;

const WatchedTables& Watched() {
  static const WatchedTables* const watched =
      new WatchedTables{.database = "shop", .tables = {"customer", "corder"}};
  return *watched;
}

class PassedStatementTest : public ::testing::TestWithParam<const char*> {};
class RefusedStatementTest : public ::testing::TestWithParam<const char*> {};

TEST_P(PassedStatementTest, IsPassedOver) {
  const absl::Status status = CheckStatement(Watched(), "shop", GetParam());
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(RefusedStatementTest, IsRefusedWithTheStatement) {
  const absl::Status status = CheckStatement(Watched(), "shop", GetParam());
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam()));
}

INSTANTIATE_TEST_SUITE_P(
    All, PassedStatementTest,
    ::testing::Values("ALTER TABLE product ADD x INT", "ALTER TABLE other.customer ADD x INT",
                      "CREATE TABLE product (id INT)", "CREATE TABLE copy LIKE customer",
                      "CREATE TABLE child (c INT, FOREIGN KEY (c) REFERENCES customer (id))",
                      "CREATE VIEW v AS SELECT * FROM customer", "DROP VIEW customer_view",
                      "CREATE TRIGGER tr BEFORE INSERT ON product FOR EACH ROW SET @a = 1",
                      "CREATE USER customer IDENTIFIED BY 'x'",
                      "GRANT SELECT ON shop.customer TO someone", "ANALYZE TABLE customer",
                      "OPTIMIZE TABLE customer", "FLUSH TABLES customer", "DROP DATABASE other",
                      "CREATE DATABASE shop2", "ALTER DATABASE shop CHARACTER SET utf8mb4",
                      "DROP /*!40005 TEMPORARY */ TABLE IF EXISTS `customer`",
                      "CREATE TEMPORARY TABLE customer (a INT)",
                      "RENAME TABLE `shop`.`customer` TO `shop`.`_sluice_closed_customer`",
                      "RENAME TABLE `shop`.`customer` TO `shop`.`_sluice_closed_customer`, "
                      "`shop`.`_sluice_view_customer` TO `shop`.`customer`",
                      "RENAME TABLE `shop`.`_sluice_closed_customer` TO `shop`.`customer`",
                      "DROP TABLE `_sluice_closed_customer`", "INSERT INTO product VALUES (1)",
                      "UPDATE other.customer SET a = 1", "XA COMMIT 'x'"));

INSTANTIATE_TEST_SUITE_P(
    All, RefusedStatementTest,
    ::testing::Values(
        "ALTER TABLE customer ADD x INT", "alter table `shop`.`customer` drop column x",
        "ALTER TABLE shop . customer ENGINE=InnoDB", "TRUNCATE customer", "TRUNCATE TABLE corder",
        "DROP TABLE product, customer", "DROP TABLE IF EXISTS corder",
        "RENAME TABLE customer TO old_customer", "RENAME TABLE new_customer TO customer",
        "CREATE TABLE customer (a INT)", "CREATE TABLE IF NOT EXISTS shop.customer (a INT)",
        "CREATE UNIQUE INDEX i ON customer (a)", "DROP INDEX i ON customer",
        "ALTER TABLE \"customer\" ADD x INT", "DROP DATABASE shop", "DROP SCHEMA IF EXISTS shop",
        "/* hint */ ALTER TABLE /* x */ customer ADD x INT", "INSERT INTO customer VALUES (1)",
        "REPLACE INTO customer SELECT * FROM product", "DELETE FROM corder WHERE a = 1",
        "UPDATE customer SET a = 'it''s'", "LOAD DATA INFILE 'x' INTO TABLE customer",
        "ALTER TABLE customer ADD x VARCHAR(9) DEFAULT 'unterminated"));

TEST(StatementCheckTest, ABareNameBelongsToTheSessionsDatabase) {
  EXPECT_TRUE(CheckStatement(Watched(), "other", "TRUNCATE customer").ok());
  EXPECT_TRUE(CheckStatement(Watched(), "", "ALTER TABLE customer ADD x INT").ok());
  EXPECT_FALSE(CheckStatement(Watched(), "other", "TRUNCATE shop.customer").ok());
}

TEST(StatementCheckTest, ALongStatementIsCut) {
  const absl::Status status = CheckStatement(
      Watched(), "shop", "ALTER TABLE customer COMMENT '" + std::string(100'000, 'x') + "'");
  EXPECT_FALSE(status.ok());
  EXPECT_LT(status.message().size(), 1000U);
}

}  // namespace
}  // namespace sluice::target
