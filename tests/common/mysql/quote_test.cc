// Tests of quoting names and values.

#include <gtest/gtest.h>

#include <string>

#include "common/mysql/connection.h"

namespace sluice::mysql {
namespace {

TEST(QuoteTest, StringsAreEscaped) {
  EXPECT_EQ(QuoteString(""), "''");
  EXPECT_EQ(QuoteString("it's"), "'it\\'s'");
  EXPECT_EQ(QuoteString(absl::string_view("a\0b\n\r\x1a\\\"", 8)), "'a\\0b\\n\\r\\Z\\\\\\\"'");
  EXPECT_EQ(QuoteString("ü"), "'ü'");
}

TEST(QuoteTest, NamesDoubleTheirBackTicks) {
  EXPECT_EQ(QuoteName("a`b"), "`a``b`");
  EXPECT_EQ(QuoteTable("d", "t"), "`d`.`t`");
}

TEST(QuoteTest, AppendingLeavesWhatIsThere) {
  std::string sql = "SELECT ";
  AppendQuoted("x'", sql);
  EXPECT_EQ(sql, "SELECT 'x\\''");
}

}  // namespace
}  // namespace sluice::mysql
