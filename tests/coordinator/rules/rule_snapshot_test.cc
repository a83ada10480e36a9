// Homes of tables.

#include "coordinator/rules/rule_snapshot.h"

#include "gmock/gmock.h"

namespace sluice::rules {
namespace {

using store::TableHome;
using ::testing::ElementsAre;

TEST(RuleSnapshotTest, ATableOfOneKeyspaceIsAtHomeThereAndOfSeveralNowhere) {
  EXPECT_THAT(ComputeHomes({{"a", {"t", "u"}}, {"b", {"u", "v"}}, {"c", {"u"}}}, {}),
              ElementsAre(TableHome{"t", "a"}, TableHome{"u", ""}, TableHome{"v", "b"}));
}

TEST(RuleSnapshotTest, AnExplicitHomeDecidesAsLongAsTheTableStandsThere) {
  EXPECT_THAT(ComputeHomes({{"a", {"t"}}, {"b", {"t"}}}, {{"t", "b"}}),
              ElementsAre(TableHome{"t", "b"}));
  EXPECT_THAT(ComputeHomes({{"a", {"t"}}, {"b", {}}}, {{"t", "b"}}),
              ElementsAre(TableHome{"t", "a"}));
  EXPECT_THAT(ComputeHomes({{"a", {"t"}}, {"c", {"t"}}}, {{"t", "gone"}}),
              ElementsAre(TableHome{"t", ""}));
}

}  // namespace
}  // namespace sluice::rules
