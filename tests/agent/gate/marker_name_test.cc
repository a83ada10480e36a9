// Names of markers, and whose they are.

#include "agent/gate/marker_name.h"

#include <gtest/gtest.h>

namespace sluice::gate {
namespace {

TEST(MarkerNameTest, IsReadByTheStreamOfItsDatabaseOnly) {
  const std::string name = MarkerName("4f2a/1", "vt_ks_-80");
  EXPECT_EQ(MarkerIdFor(name, "vt_ks_-80"), "4f2a/1");
  EXPECT_EQ(MarkerIdFor(name, "vt_ks_80-"), std::nullopt);
  EXPECT_EQ(MarkerIdFor(name, ""), std::nullopt);
}

TEST(MarkerNameTest, TakesTheDatabaseAsItIsWritten) {
  const std::string name = MarkerName("m", "a@b@c");
  EXPECT_EQ(MarkerIdFor(name, "a@b@c"), "m");
  EXPECT_EQ(MarkerIdFor(name, "c"), std::nullopt);
}

TEST(MarkerNameTest, WithoutADatabaseIsForAll) {
  EXPECT_EQ(MarkerIdFor("m-17", "vt_ks_-80"), "m-17");
}

TEST(MarkerNameTest, FitsIntoItsColumn) {
  EXPECT_LE(MarkerName(std::string(kMarkerIdBytesMax, 'm'), std::string(64, 'd')).size(), 128U);
}

}  // namespace
}  // namespace sluice::gate
