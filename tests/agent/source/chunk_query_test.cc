// Tests of the statement that reads a chunk.

#include "agent/source/chunk_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace sluice::source {
namespace {

using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

mysql::ColumnSchema Column(const std::string& name, const std::string& type,
                           const std::string& charset = "") {
  mysql::ColumnSchema column;
  column.name = name;
  column.data_type = type;
  column.column_type = type;
  column.charset = charset;
  return column;
}

TEST(OwnedGtidsTest, ThreadsAreLeftOut) {
  EXPECT_EQ(OwnedGtids(""), "");
  EXPECT_EQ(OwnedGtids("3e11fa47-71ca-11e1-9e33-c80aa9429562:7#12#3,\n"
                       "3e11fa47-71ca-11e1-9e33-c80aa9429563:tag:8#4"),
            "3e11fa47-71ca-11e1-9e33-c80aa9429562:7,\n3e11fa47-71ca-11e1-9e33-c80aa9429563:tag:8");
}

TEST(ChunkQueryTest, ConditionOfThreeColumnsIsTheOrderOfTheKey) {
  const auto a = Column("a", "int");
  const auto b = Column("b", "varbinary");
  const auto c = Column("c`", "datetime");
  const auto condition = AfterKeyCondition({&a, &b, &c}, {"-1", "x'", "2024-01-02 03:04:05.6"});
  ASSERT_TRUE(condition.ok()) << condition.status();
  EXPECT_EQ(*condition,
            "(`a` > -1) OR (`a` = -1 AND `b` > X'7827') OR "
            "(`a` = -1 AND `b` = X'7827' AND `c``` > '2024-01-02 03:04:05.6')");
}

TEST(ChunkQueryTest, AConditionUpToAKeyIncludesItInTheOrderOfTheKey) {
  const auto a = Column("a", "int");
  const auto b = Column("b", "int");
  const auto condition = UpToKeyCondition({&a, &b}, {"1", "2"});
  ASSERT_TRUE(condition.ok()) << condition.status();
  EXPECT_EQ(*condition, "(`a` < 1) OR (`a` = 1 AND `b` <= 2)");
}

TEST(ChunkQueryTest, TextIsComparedInTheCharacterSetOfItsColumn) {
  EXPECT_EQ(*KeyLiteral(Column("k", "varchar", "latin1"), "\xE9"), "_latin1 X'e9'");
  EXPECT_EQ(*KeyLiteral(Column("k", "char", "utf8mb4"), ""), "_utf8mb4 X''");
  EXPECT_EQ(*KeyLiteral(Column("k", "varchar", "binary"), "a"), "X'61'");
}

TEST(ChunkQueryTest, MembersAreComparedByNumberAsTheyAreSorted) {
  EXPECT_EQ(KeyExpression(Column("e", "enum")), "`e`+0");
  EXPECT_EQ(KeyExpression(Column("b", "bit")), "`b`+0");
  EXPECT_EQ(KeyExpression(Column("f", "float")), "CAST(`f` AS DOUBLE)");
  EXPECT_EQ(KeyExpression(Column("k", "varchar")), "`k`");
  EXPECT_EQ(*KeyLiteral(Column("e", "enum", "utf8mb4"), "3"), "3");
}

TEST(ChunkQueryTest, CellsThatAreNoNumberCannotReachTheStatement) {
  EXPECT_TRUE(absl::IsInvalidArgument(KeyLiteral(Column("a", "int"), "1 OR 1=1").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(KeyLiteral(Column("a", "int"), "").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(KeyLiteral(Column("d", "date"), "2024'").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(KeyLiteral(Column("d", "decimal"), "1;").status()));
  EXPECT_TRUE(absl::IsUnimplemented(KeyLiteral(Column("j", "json"), "1").status()));
}

TEST(ChunkQueryTest, ANullOrMissingKeyCellIsRefused) {
  const auto a = Column("a", "int");
  EXPECT_TRUE(absl::IsInvalidArgument(AfterKeyCondition({&a}, {std::nullopt}).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(AfterKeyCondition({&a}, {"1", "2"}).status()));
}

TEST(ChunkQueryTest, StatementReadsTheKeysIndexInOrderWithALimit) {
  mysql::TableSchema schema;
  schema.database = "d";
  schema.name = "t";
  schema.columns = {Column("v", "int"), Column("k", "int")};
  schema.indexes = {{.name = "other", .is_unique = true, .columns = {"v"}},
                    {.name = "PRIMARY", .is_unique = true, .columns = {"k"}}};
  ChunkQuery query;
  query.schema = &schema;
  query.columns = {&schema.columns[1], &schema.columns[0]};
  query.key = {&schema.columns[1]};
  query.limit = 10;
  auto sql = BuildChunkQuery(query);
  ASSERT_TRUE(sql.ok()) << sql.status();
  EXPECT_THAT(*sql, HasSubstr("FROM `d`.`t` FORCE INDEX (`PRIMARY`)"));
  EXPECT_THAT(*sql, EndsWith(" ORDER BY `k` LIMIT 10"));
  EXPECT_THAT(*sql, Not(HasSubstr("WHERE")));
  query.after_key = {"5"};
  sql = BuildChunkQuery(query);
  ASSERT_TRUE(sql.ok()) << sql.status();
  EXPECT_THAT(*sql, HasSubstr(" WHERE (`k` > 5) ORDER BY"));
  query.end_key = {"9"};
  sql = BuildChunkQuery(query);
  ASSERT_TRUE(sql.ok()) << sql.status();
  EXPECT_THAT(*sql, HasSubstr(" WHERE ((`k` > 5)) AND ((`k` <= 9)) ORDER BY"));
  // The key so many rows on, and nothing else.
  sql = BuildBoundaryQuery(query);
  ASSERT_TRUE(sql.ok()) << sql.status();
  EXPECT_THAT(*sql, StartsWith("SELECT `k` FROM `d`.`t` FORCE INDEX (`PRIMARY`)"));
  EXPECT_THAT(*sql, EndsWith(" ORDER BY `k` LIMIT 1 OFFSET 9"));
}

}  // namespace
}  // namespace sluice::source
