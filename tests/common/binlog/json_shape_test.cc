// ShapeOf and ShapeCondition.

#include "common/binlog/json_shape.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace sluice::binlog {
namespace {

TEST(JsonShapeTest, NamesEveryContainerAndScalar) {
  const auto shape = ShapeOf(R"({"a": 1, "b": [true, {"c d": 2.5}, "x\"y"], "e": {}, "f": null})");
  ASSERT_TRUE(shape.has_value());
  EXPECT_EQ(ShapeCondition(*shape, "`j`"),
            "JSON_LENGTH(`j`, _utf8mb4'$') = 4"
            " AND JSON_LENGTH(`j`, _utf8mb4'$.\"b\"') = 3"
            " AND JSON_LENGTH(`j`, _utf8mb4'$.\"b\"[1]') = 1"
            " AND JSON_LENGTH(`j`, _utf8mb4'$.\"e\"') = 0"
            " AND JSON_TYPE(JSON_EXTRACT(`j`, _utf8mb4'$.\"a\"')) = 'INTEGER'"
            " AND JSON_EXTRACT(`j`, _utf8mb4'$.\"a\"') <= 4294967295"
            " AND JSON_TYPE(JSON_EXTRACT(`j`, _utf8mb4'$.\"b\"[0]')) = 'BOOLEAN'"
            " AND JSON_TYPE(JSON_EXTRACT(`j`, _utf8mb4'$.\"b\"[1].\"c d\"')) = 'DOUBLE'"
            " AND JSON_TYPE(JSON_EXTRACT(`j`, _utf8mb4'$.\"b\"[2]')) = 'STRING'"
            " AND JSON_TYPE(JSON_EXTRACT(`j`, _utf8mb4'$.\"f\"')) = 'NULL'");
}

TEST(JsonShapeTest, ValuesDoNotMatter) {
  EXPECT_EQ(ShapeOf(R"({"a": 1, "b": "x"})"), ShapeOf(R"({"a": -7, "b": ""})"));
  EXPECT_NE(ShapeOf(R"({"a": 1})"), ShapeOf(R"({"a": 1.0})"));
  EXPECT_NE(ShapeOf("[1]"), ShapeOf("[1, 1]"));
}

TEST(JsonShapeTest, WhatIsNotSimpleHasNone) {
  for (const char* text :
       {"", "{", "[1", "[1}", "{\"a\" 1}", "{\"a\": 1,}", "\"x", "nul", "1 2", "4294967296", "-",
        "{\"\xc3\xa4\": 1}", "{\"a'b\": 1}", "{\"a\\\"b\": 1}", "1e", "[[[[[[[[[[1]]]]]]]]]]"}) {
    EXPECT_FALSE(ShapeOf(text).has_value()) << text;
  }
  std::string many = "[0";
  for (int i = 0; i < 30; ++i) {
    absl::StrAppend(&many, ", ", i);
  }
  EXPECT_FALSE(ShapeOf(many + "]").has_value());
  EXPECT_FALSE(ShapeOf(absl::StrCat("\"", std::string(5000, 'x'), "\"")).has_value());
}

}  // namespace
}  // namespace sluice::binlog
