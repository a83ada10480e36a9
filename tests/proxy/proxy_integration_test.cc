// Tests of the proxy before real mysqlds: sessions, routing, transactions.

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "tests/proxy/proxy_fixture.h"

namespace sluice::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::vector<std::string> Column(mysql::Connection& connection, const std::string& sql) {
  std::vector<std::string> cells;
  const auto result = connection.Query(sql);
  EXPECT_TRUE(result.ok()) << sql << ": " << result.status();
  if (result.ok()) {
    for (const auto& row : result->rows) {
      cells.push_back(row[0].value_or("NULL"));
    }
  }
  return cells;
}

class ProxyIntegrationTest : public ProxyFixture {};

TEST_F(ProxyIntegrationTest, LetsInOnlyThoseWhoKnowThePassword) {
  EXPECT_TRUE(Connect("commerce").ok());
  EXPECT_EQ(MysqlErrnoOf(Connect("commerce", kUser, "wrong").status()), 1045U);
  EXPECT_EQ(MysqlErrnoOf(Connect("commerce", kUser, "").status()), 1045U);
  EXPECT_EQ(MysqlErrnoOf(Connect("commerce", "nobody", kPassword).status()), 1045U);
  EXPECT_EQ(MysqlErrnoOf(Connect("nowhere").status()), 1049U);
  EXPECT_EQ(MysqlErrnoOf(Connect("wide:40-80").status()), 1049U);
}

TEST_F(ProxyIntegrationTest, GoesWhereTheSessionWantsTo) {
  auto client = MustConnect();
  EXPECT_THAT(Column(*client, "SHOW DATABASES"), ElementsAre("commerce", "customer", "wide"));
  EXPECT_THAT(Column(*client, "SHOW DATABASES LIKE 'c%r'"), ElementsAre("customer"));
  EXPECT_EQ(Scalar(*client, "SELECT 1"), "1");
  EXPECT_EQ(Scalar(*client, "SELECT DATABASE()"), "");
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM product"), 1046U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM commerce.product"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "USE nowhere"), 1049U);
  EXPECT_EQ(ErrorOfStatement(*client, "USE commerce"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT DATABASE()"), "commerce");
  EXPECT_EQ(Scalar(*client, "SELECT name FROM product WHERE id = 1"), "keyboard");
  EXPECT_THAT(Column(*client, "SHOW TABLES"), ElementsAre("corder", "customer", "product"));
  EXPECT_THAT(Column(*client, "SHOW TABLES FROM commerce LIKE 'c%'"),
              ElementsAre("corder", "customer"));
  EXPECT_EQ(ErrorOfStatement(*client, "USE commerce@replica"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT name FROM product WHERE id = 1"), "from the replica");
  EXPECT_EQ(ErrorOfStatement(*client, "USE `commerce@primary`"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT name FROM product WHERE id = 1"), "keyboard");
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "USE commerce@rdonly"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM product", &message), 1105U);
  EXPECT_THAT(message, HasSubstr("no serving RDONLY tablet in commerce/0"));
}

TEST_F(ProxyIntegrationTest, ShardsAreTargeted) {
  auto client = MustConnect("wide");
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM w", &message), 1105U);
  EXPECT_THAT(message, HasSubstr("-80, 80-"));
  EXPECT_EQ(ErrorOfStatement(*client, "USE wide:-80"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT id FROM w"), "1");
  EXPECT_EQ(ErrorOfStatement(*client, "USE `wide/80-@primary`"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT id FROM w"), "200");
  EXPECT_EQ(Scalar(*MustConnect("wide:80-"), "SELECT id FROM wide.w"), "200");
}

TEST_F(ProxyIntegrationTest, StatementsGoToTheirTables) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  auto client = MustConnect("customer");
  EXPECT_EQ(Scalar(*client, "SELECT c.email FROM customer c JOIN corder USING (id) WHERE id = 1"),
            "a@x");
  EXPECT_EQ(Scalar(*client,
                   "SELECT customer.customer.email FROM customer.customer, commerce.product "
                   "WHERE customer.customer.id = 2 AND product.id = 1"),
            "b@x");
  EXPECT_EQ(
      Scalar(*client, "SELECT count(*) FROM commerce.product WHERE id IN (SELECT id FROM corder)"),
      "2");
  Direct(*second_, "vt_customer")->Execute("CREATE TABLE own (id INT)").IgnoreError();
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM own JOIN corder", &message), 1105U);
  EXPECT_THAT(message, HasSubstr("own is in keyspace customer"));
  EXPECT_THAT(message, HasSubstr("corder is in keyspace commerce"));
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM nowhere.t", &message), 1049U);
  EXPECT_THAT(message, HasSubstr("nowhere"));
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO corder VALUES (3, 1, 7)"), 0U);
  EXPECT_EQ(Scalar(*Direct(*first_, "vt_commerce"), "SELECT price FROM corder WHERE id = 3"), "7");
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO customer (email) VALUES ('c@x')"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT LAST_INSERT_ID()"), "3");
  // Without a keyspace a rule or a home decides.
  auto bare = MustConnect();
  EXPECT_EQ(Scalar(*bare, "SELECT count(*) FROM customer"), "3");
  spec_.homes = {{"product", "commerce"}, {"shared", ""}};
  Publish();
  EXPECT_EQ(Scalar(*bare, "SELECT name FROM product WHERE id = 2"), "monitor");
  EXPECT_EQ(ErrorOfStatement(*bare, "SELECT * FROM shared", &message), 1105U);
  EXPECT_THAT(message, HasSubstr("ambiguous"));
}

TEST_F(ProxyIntegrationTest, SettingsFollowTheClient) {
  auto client = MustConnect("commerce");
  EXPECT_EQ(ErrorOfStatement(*client, "SET SESSION sort_buffer_size = 300000, @tag = 'x'"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SET sort_buffer_size = 'many'"), 1232U);
  EXPECT_EQ(ErrorOfStatement(*client, "USE customer"), 0U);
  Direct(*second_, "vt_customer")->Execute("CREATE TABLE own (id INT)").IgnoreError();
  EXPECT_EQ(Scalar(*client, "SELECT @@sort_buffer_size FROM (SELECT count(*) FROM own) x"),
            "300000");
  EXPECT_EQ(Scalar(*client, "SELECT @tag FROM (SELECT count(*) FROM own) x"), "x");
  EXPECT_EQ(ErrorOfStatement(*client, "SET sql_mode = 'ANSI_QUOTES'"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT \"id\" FROM \"commerce\".\"product\""), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SET NAMES gbk"), 1115U);
}

TEST_F(ProxyIntegrationTest, WhatIsNotSupportedSaysSo) {
  auto client = MustConnect("commerce");
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT 1; SELECT 2"), 1235U);
  EXPECT_EQ(ErrorOfStatement(*client, "PREPARE s FROM 'SELECT 1'"), 1295U);
  EXPECT_EQ(ErrorOfStatement(*client, "LOCK TABLES product READ"), 1235U);
  EXPECT_EQ(ErrorOfStatement(*client, "CREATE DATABASE other"), 1235U);
  EXPECT_EQ(ErrorOfStatement(*client, "XA START 'x'"), 1235U);
  EXPECT_EQ(ErrorOfStatement(*client, "LOAD DATA LOCAL INFILE 'x' INTO TABLE product"), 3948U);
  EXPECT_EQ(ErrorOfStatement(*client, ""), 1065U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT 'open"), 1064U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELEC 1"), 1064U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM missing"), 1146U);
  EXPECT_EQ(Scalar(*client, "SELECT 5"), "5");
}

TEST_F(ProxyIntegrationTest, ProceduresWithSeveralResultsPass) {
  auto server = Direct(*first_, "vt_commerce");
  ASSERT_TRUE(server->Execute("CREATE PROCEDURE two() BEGIN SELECT 1; SELECT 2; END").ok());
  auto client = MustConnect("commerce");
  EXPECT_EQ(Scalar(*client, "CALL two()"), "1");
  EXPECT_EQ(Scalar(*client, "CALL commerce.two()"), "1");
  EXPECT_EQ(Scalar(*client, "SELECT 3"), "3");
}

TEST_F(ProxyIntegrationTest, TransactionsStayOnTheirTablet) {
  auto client = MustConnect("commerce");
  auto server = Direct(*first_, "vt_commerce");
  EXPECT_EQ(ErrorOfStatement(*client, "BEGIN"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SAVEPOINT a"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "UPDATE product SET name = 'x' WHERE id = 1"), 0U);
  EXPECT_EQ(Scalar(*server, "SELECT name FROM product WHERE id = 1"), "keyboard");
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM customer.t", &message), 1105U);
  EXPECT_THAT(message, HasSubstr("zone1-100"));
  EXPECT_THAT(message, HasSubstr("customer/0"));
  EXPECT_EQ(ErrorOfStatement(*client, "ROLLBACK TO a"), 0U);
  EXPECT_EQ(Scalar(*client, "SELECT name FROM product WHERE id = 1"), "keyboard");
  EXPECT_EQ(ErrorOfStatement(*client, "UPDATE product SET name = 'y' WHERE id = 1"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "COMMIT"), 0U);
  EXPECT_EQ(Scalar(*server, "SELECT name FROM product WHERE id = 1"), "y");
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT count(*) FROM customer.t"), 1146U);

  EXPECT_EQ(ErrorOfStatement(*client, "SET autocommit = 0"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "UPDATE product SET name = 'z' WHERE id = 1"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM customer.t"), 1105U);
  EXPECT_EQ(ErrorOfStatement(*client, "ROLLBACK"), 0U);
  EXPECT_EQ(Scalar(*server, "SELECT name FROM product WHERE id = 1"), "y");
  EXPECT_EQ(ErrorOfStatement(*client, "UPDATE product SET name = 'w' WHERE id = 1"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "SET autocommit = 1"), 0U);
  EXPECT_EQ(Scalar(*server, "SELECT name FROM product WHERE id = 1"), "w");

  EXPECT_EQ(ErrorOfStatement(*client, "START TRANSACTION READ ONLY"), 0U);
  EXPECT_EQ(ErrorOfStatement(*client, "DELETE FROM product"), 1792U);
  EXPECT_EQ(ErrorOfStatement(*client, "ROLLBACK"), 0U);
}

TEST_F(ProxyIntegrationTest, ALostClientLeavesNothingBehind) {
  auto server = Direct(*first_, "vt_commerce");
  {
    auto client = MustConnect("commerce");
    ASSERT_EQ(ErrorOfStatement(*client, "BEGIN"), 0U);
    ASSERT_EQ(ErrorOfStatement(*client, "UPDATE product SET name = 'q' WHERE id = 1"), 0U);
  }
  ASSERT_TRUE(server->Execute("SET innodb_lock_wait_timeout = 5").ok());
  EXPECT_TRUE(server->Execute("UPDATE product SET name = 'r' WHERE id = 1").ok());

  auto client = MustConnect("commerce");
  std::jthread sleeper(
      [&] { client->Query("SELECT name FROM product WHERE SLEEP(60)").IgnoreError(); });
  const std::string running =
      "SELECT count(*) FROM information_schema.processlist WHERE info LIKE 'SELECT name FROM "
      "product WHERE SLEEP%'";
  const auto await = [&](const std::string& wanted) {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (Scalar(*server, running) != wanted && absl::Now() < deadline) {
    }
    return Scalar(*server, running);
  };
  ASSERT_EQ(await("1"), "1");
  client->Interrupt();
  EXPECT_EQ(await("0"), "0");
}

TEST_F(ProxyIntegrationTest, KillEndsAStatementOfTheSameUser) {
  auto victim = MustConnect("commerce");
  const std::string id = Scalar(*victim, "SELECT CONNECTION_ID()");
  unsigned error = 0;
  std::jthread sleeper(
      [&] { error = ErrorOfStatement(*victim, "SELECT name FROM product WHERE SLEEP(60)"); });
  auto killer = MustConnect();
  auto server = Direct(*first_, "");
  while (Scalar(*server,
                "SELECT count(*) FROM information_schema.processlist WHERE info LIKE "
                "'SELECT name FROM product WHERE SLEEP%'") != "1") {
  }
  EXPECT_EQ(ErrorOfStatement(*killer, absl::StrCat("KILL QUERY ", id)), 0U);
  sleeper.join();
  EXPECT_EQ(error, 1317U);
  EXPECT_EQ(Scalar(*victim, "SELECT 1"), "1");
  EXPECT_EQ(ErrorOfStatement(*killer, "KILL 999999"), 1094U);
  EXPECT_EQ(ErrorOfStatement(*killer, absl::StrCat("KILL ", id)), 0U);
  EXPECT_NE(ErrorOfStatement(*victim, "SELECT 1"), 0U);
}

TEST_F(ProxyIntegrationTest, AServerThatComesBackIsWaitedFor) {
  auto client = MustConnect("commerce");
  ASSERT_EQ(Scalar(*client, "SELECT name FROM product WHERE id = 1"), "keyboard");
  auto in_transaction = MustConnect("commerce");
  ASSERT_EQ(ErrorOfStatement(*in_transaction, "BEGIN"), 0U);
  ASSERT_EQ(ErrorOfStatement(*in_transaction, "UPDATE product SET name = 'x' WHERE id = 2"), 0U);
  first_->Kill();
  std::string after;
  std::jthread reader([&] { after = Scalar(*client, "SELECT name FROM product WHERE id = 1"); });
  EXPECT_EQ(ErrorOfStatement(*in_transaction, "UPDATE product SET name = 'y' WHERE id = 1"), 2013U);
  // It must not go on outside the transaction that it believes in.
  EXPECT_NE(ErrorOfStatement(*in_transaction, "UPDATE product SET name = 'y' WHERE id = 1"), 0U);
  ASSERT_TRUE(first_->Restart().ok());
  reader.join();
  EXPECT_EQ(after, "keyboard");
}

}  // namespace
}  // namespace sluice::proxy
