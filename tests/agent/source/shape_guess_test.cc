// ShapeGuess: keeps what stays, and gives up where nothing does.

#include "agent/source/shape_guess.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"

namespace sluice::source {
namespace {

TEST(ShapeGuessTest, TheLastShapeIsTheNext) {
  ShapeGuess guess;
  EXPECT_FALSE(guess.shape().has_value());
  guess.Learn(R"({"a": 1})");
  EXPECT_EQ(guess.shape(), binlog::ShapeOf(R"({"a": 2})"));
  guess.Learn(R"({"a": "x"})");
  EXPECT_EQ(guess.shape(), binlog::ShapeOf(R"({"a": "y"})"));
  guess.Learn(
      "\x01"
      "DECIMAL\x01"
      "1.5");
  EXPECT_FALSE(guess.shape().has_value());
}

TEST(ShapeGuessTest, DocumentsThatAreNeverAlikeHaveNone) {
  ShapeGuess guess;
  for (int i = 0; i < 20; ++i) {
    guess.Learn(absl::StrCat("[", i % 2 == 0 ? "1" : "true", "]"));
  }
  EXPECT_FALSE(guess.shape().has_value());
  for (int i = 0; i < 100; ++i) {
    guess.Learn("[1]");
  }
  EXPECT_EQ(guess.shape(), binlog::ShapeOf("[1]"));
}

}  // namespace
}  // namespace sluice::source
