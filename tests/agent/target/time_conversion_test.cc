// Tests of the expressions that convert DATETIMEs.

#include "agent/target/time_conversion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::target {
namespace {

using ::testing::HasSubstr;

mysql::TableSchema Schema() {
  mysql::TableSchema schema;
  schema.database = "d";
  schema.name = "t";
  for (const char* type : {"int", "datetime", "timestamp"}) {
    mysql::ColumnSchema& column = schema.columns.emplace_back();
    column.name = type;
    column.data_type = type;
  }
  return schema;
}

std::string Wrapped(const TimeConversion& times, const std::string& literal) {
  std::string sql = "x = ";
  sql += literal;
  times.Wrap(4, sql);
  return sql;
}

TEST(TimeConversionTest, OnlyDatetimesAreConverted) {
  const TimeConversion times(Schema(), "Europe/Berlin", "UTC");
  EXPECT_FALSE(times.Converts(0));
  EXPECT_TRUE(times.Converts(1));
  EXPECT_FALSE(times.Converts(2));
  EXPECT_FALSE(times.Converts(3));
  EXPECT_FALSE(TimeConversion().Converts(1));
  EXPECT_FALSE(TimeConversion(Schema(), "", "").Converts(1));
  EXPECT_EQ(Wrapped(times, "'2024-02-29 12:00:00.25'"),
            "x = CAST(COALESCE(CONVERT_TZ('2024-02-29 12:00:00.25', 'Europe/Berlin', '+00:00'), "
            "'2024-02-29 12:00:00.25') AS DATETIME(6))");
}

TEST(TimeConversionTest, WhatHasNoPlaceInTimeStays) {
  const TimeConversion times(Schema(), "+02:00", "UTC");
  for (const char* literal :
       {"NULL", "'0000-00-00 00:00:00'", "'2024-00-01 10:00:00'", "'2024-10-00 10:00:00'",
        "'2024-04-31 10:00:00'", "'2023-02-29 10:00:00'", "'1900-02-29 10:00:00'"}) {
    EXPECT_EQ(Wrapped(times, literal), std::string("x = ") + literal);
  }
}

TEST(TimeConversionTest, ADatetimeOfATableWithoutAKeyIsRefusedWhereClocksTurnBack) {
  mysql::TableSchema schema = Schema();
  EXPECT_THAT(std::string(CheckConvertible(schema, "Europe/Berlin", "UTC").message()),
              HasSubstr("column datetime of table d.t"));
  EXPECT_TRUE(CheckConvertible(schema, "+02:00", "UTC").ok());
  schema.columns[1].data_type = "date";
  EXPECT_TRUE(CheckConvertible(schema, "Europe/Berlin", "UTC").ok());
}

TEST(TimeConversionTest, ADatetimeOfAUniqueKeyIsRefusedWhereClocksTurnBack) {
  mysql::TableSchema schema = Schema();
  schema.key_columns = {"int"};
  schema.indexes.push_back({.name = "by_day", .is_unique = false, .columns = {"datetime"}});
  EXPECT_TRUE(CheckConvertible(schema, "Europe/Berlin", "UTC").ok());
  schema.indexes.push_back({.name = "PRIMARY", .is_unique = true, .columns = {"int", "datetime"}});
  EXPECT_THAT(std::string(CheckConvertible(schema, "Europe/Berlin", "UTC").message()),
              HasSubstr("column datetime of the unique key PRIMARY of table d.t"));
  EXPECT_TRUE(CheckConvertible(schema, "+02:00", "UTC").ok());
  EXPECT_TRUE(CheckConvertible(schema, "", "").ok());
}

}  // namespace
}  // namespace sluice::target
