// Definitions with characters that mysqld does not print.

#include "common/mysql/create_statement.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/common/mysql/server_test.h"

namespace sluice::mysql {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<std::string> Describe(absl::string_view create) {
  std::vector<std::string> found;
  for (const DoubtfulMembers& members : FindDoubtfulMembers(create)) {
    found.push_back(absl::StrCat(members.column, " ", members.count, " ",
                                 create.substr(members.begin, members.end - members.begin)));
  }
  return found;
}

TEST(FindDoubtfulMembersTest, OtherTextIsNotLookedAt) {
  EXPECT_THAT(Describe("CREATE TABLE `t?` (\n"
                       "  `a?` int DEFAULT '1' COMMENT 'enum(\\'?\\') DEFAULT \\'?\\'',\n"
                       "  `g` varchar(9) GENERATED ALWAYS AS (concat(`b`,_utf8mb4'?')) VIRTUAL,\n"
                       "  `x` varchar(9) DEFAULT '?',\n"
                       "  KEY `?` (`b`),\n"
                       "  CONSTRAINT `c` CHECK ((`b` <> _utf8mb4' DEFAULT ?'))\n"
                       ") ENGINE=InnoDB COMMENT='?'"),
              IsEmpty());
}

TEST(FindDoubtfulMembersTest, MembersAreFoundInOrder) {
  EXPECT_THAT(Describe("CREATE TABLE `t` (\n"
                       "  `d``'` varchar(9) NOT NULL DEFAULT 'it''s ?' COMMENT 'x',\n"
                       "  `e``'` enum('a','it''s ?','\\'),?') COLLATE utf8mb4_bin DEFAULT '?',\n"
                       "  `s` set('a','b') DEFAULT NULL,\n"
                       "  `z` set('a)','b?') DEFAULT 'a)'\n"
                       ") ENGINE=InnoDB"),
              ::testing::ElementsAre("e`' 3 'a','it''s ?','\\'),?'", "z 2 'a)','b?'"));
}

TEST(FindDoubtfulMembersTest, WhatIsCutEndsTheSearch) {
  const std::string create = "CREATE TABLE `t` (\n  `e` enum('?','b') DEFAULT '?'";
  for (size_t size = 0; size <= create.size(); ++size) {
    for (const DoubtfulMembers& members : FindDoubtfulMembers(create.substr(0, size))) {
      EXPECT_LE(members.end, size);
    }
  }
}

class ReadCreateStatementTest : public ServerTest {
 protected:
  void SetUp() override {
    ServerTest::SetUp();
    Run("CREATE DATABASE IF NOT EXISTS _sluice");
  }
};

TEST_F(ReadCreateStatementTest, CharactersBeyondTheBasicPlaneAreKept) {
  Run("CREATE TABLE t (_key INT PRIMARY KEY, e ENUM('?','😀','') CHARACTER SET utf8mb4 NOT NULL "
      "DEFAULT '😀', s SET('a','𝄞') CHARACTER SET utf16, v VARCHAR(9) DEFAULT 'x😀')");
  const auto create = ReadCreateStatement(*connection_, "d", "t");
  ASSERT_TRUE(create.ok()) << create.status();
  EXPECT_THAT(*create, HasSubstr("enum(x'3F',x'F09F9880',x'')"));
  EXPECT_THAT(*create, HasSubstr("DEFAULT 0xF09F9880"));
  EXPECT_THAT(*create, HasSubstr("set(x'0061',x'D834DD1E')"));
  EXPECT_THAT(*create, HasSubstr("DEFAULT 0x78F09F9880"));

  Run("CREATE TABLE source LIKE t");
  Run("DROP TABLE t");
  Run(*create);
  EXPECT_EQ(ReadCreateStatement(*connection_, "d", "t").value_or(""), *create);
  for (const char* table : {"source", "t"}) {
    Run(absl::StrCat("INSERT INTO ", table, " (_key, s) VALUES (1, 3)"));
  }
  const auto same = connection_->Query(
      "SELECT COUNT(*) FROM source JOIN t USING (_key) WHERE HEX(source.e) = HEX(t.e) AND "
      "HEX(source.s) = HEX(t.s) AND HEX(source.v) = HEX(t.v) AND HEX(t.e) = 'F09F9880'");
  ASSERT_TRUE(same.ok()) << same.status();
  EXPECT_EQ(same->rows[0][0], "1");
}

TEST_F(ReadCreateStatementTest, AQuestionMarkStaysOne) {
  Run("CREATE TABLE t (id INT PRIMARY KEY, _key ENUM('?') DEFAULT '?')");
  const auto create = ReadCreateStatement(*connection_, "d", "t");
  ASSERT_TRUE(create.ok()) << create.status();
  EXPECT_THAT(*create, HasSubstr("`_key` enum(x'3F') DEFAULT '?'"));
}

TEST_F(ReadCreateStatementTest, AMissingPrivilegeIsNamed) {
  Run("CREATE TABLE t (id INT PRIMARY KEY, e ENUM('?'))");
  Run("CREATE USER limited@'%' IDENTIFIED BY 'secret'");
  Run("GRANT SELECT ON d.* TO limited@'%'");
  ConnectionOptions options = server().RootOverTcp();
  options.user = "limited";
  options.password = "secret";
  auto limited = Connect(options);
  ASSERT_NE(limited, nullptr);
  const auto create = ReadCreateStatement(*limited, "d", "t");
  EXPECT_EQ(create.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(create.status().message(), HasSubstr("CREATE TEMPORARY TABLES"));
  Run("DROP USER limited@'%'");
}

TEST_F(ReadCreateStatementTest, LiteralsOfAnyCharacterSetAreKept) {
  ASSERT_TRUE(ConfigureDefinitionSession(*connection_).ok());
  for (const char* literal : {"_latin1 x'c5'", "_gbk x'd2bb'", "_sjis x'955c'", "_utf16 x'2700'",
                              "_utf8mb4 x'f09f9880'", "_binary x'00ff275c'"}) {
    Run(absl::StrCat(
        "CREATE TABLE t (ключ INT PRIMARY KEY DEFAULT (1), g VARBINARY(20) AS (CONCAT(", literal,
        ")), d VARBINARY(20) DEFAULT (CONCAT(", literal,
        ")), c VARCHAR(9) DEFAULT 'é€' COMMENT 'ß', CHECK (d = ", literal, "))"));
    Run("INSERT INTO t (ключ) VALUES (1)");
    const auto create = ReadCreateStatement(*connection_, "d", "t");
    ASSERT_TRUE(create.ok()) << create.status();
    Run("RENAME TABLE t TO source");
    const absl::Status created = CreateAsPrinted(*connection_, *create, "`t`");
    ASSERT_TRUE(created.ok()) << created;
    Run("INSERT INTO t (ключ) VALUES (1)");
    EXPECT_EQ(connection_
                  ->QueryScalar("SELECT COUNT(*) FROM source JOIN t USING (ключ, g, d) WHERE "
                                "HEX(source.c) = HEX(t.c) AND LENGTH(t.d) > 0")
                  .value_or(""),
              "1")
        << literal;
    EXPECT_EQ(ReadCreateStatement(*connection_, "d", "t").value_or(""), *create);
    Run("DROP TABLE source, t");
  }
}

using CreateAsPrintedTest = ReadCreateStatementTest;

TEST_F(CreateAsPrintedTest, MembersMayStandTwiceAndTheSessionStaysStrict) {
  Run("SET SESSION sql_mode = ''");
  Run("CREATE TABLE t (id INT PRIMARY KEY, s SET('','') CHARACTER SET ucs2, e ENUM('?','a','?'))");
  Run("INSERT INTO t VALUES (1, 2, 3)");
  Run("SET SESSION sql_mode = 'STRICT_ALL_TABLES'");
  const auto create = ReadCreateStatement(*connection_, "d", "t");
  ASSERT_TRUE(create.ok()) << create.status();
  EXPECT_THAT(*create, HasSubstr("enum(x'3F',x'61',x'3F')"));
  Run("RENAME TABLE t TO source");
  const absl::Status created = CreateAsPrinted(*connection_, *create, "`t`");
  ASSERT_TRUE(created.ok()) << created;
  EXPECT_EQ(ReadCreateStatement(*connection_, "d", "t").value_or(""), *create);
  EXPECT_EQ(connection_->QueryScalar("SELECT @@SESSION.sql_mode").value_or(""),
            "STRICT_ALL_TABLES");
}

TEST_F(CreateAsPrintedTest, WhatMysqldWouldChangeIsRefused) {
  const absl::Status created = CreateAsPrinted(
      *connection_, "CREATE TABLE t (s SET('a','a'), v VARCHAR(70000) CHARACTER SET latin1)",
      "`t`");
  EXPECT_EQ(created.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(created.message(), HasSubstr("'v' from VARCHAR to TEXT"));
  EXPECT_EQ(connection_->QueryScalar("SHOW TABLES LIKE 't'").value_or("none"), "none");
}

}  // namespace
}  // namespace sluice::mysql
