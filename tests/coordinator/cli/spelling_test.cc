// Normal form and nearest spelling of names.

#include "coordinator/cli/spelling.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

TEST(SpellingTest, NormalFormHasNeitherCaseNorSeparators) {
  EXPECT_EQ(Normalize("Switch-Traffic"), "switchtraffic");
  EXPECT_EQ(Normalize("switch_traffic"), "switchtraffic");
  EXPECT_EQ(Normalize("--"), "");
}

TEST(SpellingTest, MistakesAreCounted) {
  EXPECT_EQ(Mistakes("create", "create"), 0U);
  EXPECT_EQ(Mistakes("creat", "create"), 1U);
  EXPECT_EQ(Mistakes("craete", "create"), 1U);
  EXPECT_EQ(Mistakes("sauce", "source"), 2U);
  EXPECT_EQ(Mistakes("", "abc"), 3U);
  EXPECT_EQ(Mistakes("abc", ""), 3U);
}

TEST(SpellingTest, TheNearestIsTheOneWithTheFewestMistakes) {
  EXPECT_EQ(Nearest("stat", {"show", "status", "start", "stop"}), "status");
  EXPECT_EQ(Nearest("strat", {"show", "status", "start", "stop"}), "start");
  EXPECT_EQ(Nearest("Swtich-Traffic", {"switchtraffic", "reversetraffic"}), "switchtraffic");
}

TEST(SpellingTest, NothingNearGivesNothing) {
  EXPECT_EQ(Nearest("frobnicate", {"show", "status"}), "");
  EXPECT_EQ(Nearest("x", {"show"}), "");
  EXPECT_EQ(Nearest("anything", {}), "");
}

}  // namespace
}  // namespace sluice::cli
