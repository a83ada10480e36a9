// Tests of what LOAD DATA carries, and how.

#include "agent/target/load_text.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace sluice::target {
namespace {

using binlog::ColumnFamily;
using ::testing::HasSubstr;

TablePlan Plan(const std::vector<std::string>& names) {
  TablePlan plan;
  plan.database = "d";
  plan.physical = "_sluice_closed_t";
  for (const std::string& name : names) {
    plan.written.push_back(plan.schema.columns.size());
    plan.schema.columns.emplace_back().name = name;
  }
  return plan;
}

std::string Carried(ColumnFamily family, const mysql::Cell& cell) {
  std::string text = "before";
  mysql::ColumnSchema column;
  column.data_type = family == ColumnFamily::kEnum ? "enum" : "";
  const bool carried = AppendLoadCell(family, column, cell, text);
  EXPECT_TRUE(carried || text == "before");
  return carried ? text.substr(6) : "not carried";
}

TEST(LoadTextTest, NumbersForColumnsThatReadTextOtherwiseGoThroughVariables) {
  const auto sql = LoadStatement(Plan({"a", "e", "j"}),
                                 {ColumnFamily::kText, ColumnFamily::kEnum, ColumnFamily::kJson});
  ASSERT_TRUE(sql.has_value());
  EXPECT_THAT(*sql, HasSubstr("REPLACE INTO TABLE `d`.`_sluice_closed_t` CHARACTER SET binary"));
  EXPECT_THAT(*sql, HasSubstr("(`a`, @sluice_1, @sluice_2) SET `e` = CAST(@sluice_1 AS UNSIGNED), "
                              "`j` = CAST(CONVERT(@sluice_2 USING utf8mb4) AS JSON)"));
}

TEST(LoadTextTest, ATypeItCannotWriteExactlyKeepsTheTableFromIt) {
  for (const ColumnFamily never :
       {ColumnFamily::kFloat, ColumnFamily::kGeometry, ColumnFamily::kVector}) {
    EXPECT_FALSE(LoadStatement(Plan({"a", "b"}), {ColumnFamily::kInteger, never}).has_value());
  }
}

TEST(LoadTextTest, WhatWouldEndACellOrARowIsEscaped) {
  EXPECT_EQ(Carried(ColumnFamily::kBinary, "a\tb\nc\\N"), "a\\\tb\\\nc\\\\N");
  EXPECT_EQ(Carried(ColumnFamily::kBinary, std::string("\0\xff", 2)), std::string("\0\xff", 2));
  EXPECT_EQ(Carried(ColumnFamily::kText, ""), "");
  EXPECT_EQ(Carried(ColumnFamily::kText, std::nullopt), "\\N");
  EXPECT_EQ(Carried(ColumnFamily::kText, "\\N"), "\\\\N");
}

TEST(LoadTextTest, EscapesAreFoundAtEveryPlaceOfALongValue) {
  for (size_t size = 1; size < 40; ++size) {
    for (size_t at = 0; at < size; ++at) {
      for (const char c : {'\t', '\n', '\\'}) {
        std::string value(size, '\x89');
        value[at] = c;
        std::string expected = value;
        expected.insert(at, 1, '\\');
        EXPECT_EQ(Carried(ColumnFamily::kBinary, value), expected) << size << " " << at;
      }
    }
  }
}

TEST(LoadTextTest, ValuesThatOnlyALiteralCarriesAreLeftToStatements) {
  EXPECT_EQ(Carried(ColumnFamily::kJson,
                    "\x01"
                    "DECIMAL\x01"
                    "1.5"),
            "not carried");
  EXPECT_EQ(Carried(ColumnFamily::kJson, "[1]"), "[1]");
  EXPECT_EQ(Carried(ColumnFamily::kEnum, "0"), "not carried");
  EXPECT_EQ(Carried(ColumnFamily::kEnum, "1"), "1");
  EXPECT_EQ(Carried(ColumnFamily::kBinary, std::string(256U << 10U, 'x')), "not carried");
}

}  // namespace
}  // namespace sluice::target
