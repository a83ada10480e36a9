// ClosedName, ViewName.

#include "agent/gate/closed_name.h"

#include <gtest/gtest.h>

#include <string>

namespace sluice::gate {
namespace {

TEST(ClosedNameTest, KeepsShortNamesWhole) {
  EXPECT_EQ(ClosedName("customer"), "_sluice_closed_customer");
  EXPECT_EQ(ViewName("customer"), "_sluice_view_customer");
  EXPECT_EQ(ClosedName(std::string(39, 'a')), "_sluice_closed_" + std::string(39, 'a'));
}

TEST(ClosedNameTest, CutsLongNamesAndKeepsThemDistinct) {
  const std::string a = std::string(63, 'a') + "1";
  const std::string b = std::string(63, 'a') + "2";
  EXPECT_EQ(ClosedName(a).substr(0, 46), "_sluice_closed_" + std::string(30, 'a') + "_");
  EXPECT_NE(ClosedName(a), ClosedName(b));
}

TEST(ClosedNameTest, LeavesRoomForGeneratedConstraintNames) {
  EXPECT_LE(ClosedName(std::string(64, 'a')).size() + std::string("_ibfk_9999").size(), 64U);
  EXPECT_LE(ClosedName(std::string(39, 'a')).size() + std::string("_ibfk_9999").size(), 64U);
}

TEST(ClosedNameTest, IsTheSameInEveryBuild) {
  EXPECT_EQ(ClosedName(std::string(40, 'x')),
            "_sluice_closed_" + std::string(30, 'x') + "_84ae4e65");
}

TEST(ClosedNameTest, DoesNotSplitACharacter) {
  // 29 bytes, then two-byte characters: byte 30 is inside the first of them.
  std::string name(29, 'a');
  for (int i = 0; i < 10; ++i) {
    name += "\xc3\xa4";
  }
  EXPECT_EQ(ClosedName(name).substr(0, 45), "_sluice_closed_" + std::string(29, 'a') + "_");
}

TEST(ClosedNameTest, KnowsItsOwnNames) {
  EXPECT_TRUE(IsClosedName(ClosedName("t")));
  EXPECT_TRUE(IsClosedName(ClosedName(std::string(64, 't'))));
  EXPECT_FALSE(IsClosedName("t"));
  EXPECT_FALSE(IsClosedName(ViewName("t")));
}

}  // namespace
}  // namespace sluice::gate
