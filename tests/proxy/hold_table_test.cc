// Tests of HoldTable: which holds name what a statement touches.

#include "proxy/rules/hold_table.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::proxy {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(HoldTableTest, AHoldWithoutShardsNamesItsTablesEverywhere) {
  const HoldTable holds({{"c1", {"a.t", "b.t"}, {}, absl::Seconds(1)}});
  EXPECT_THAT(holds.Of({{"b.t"}, {"b/-80"}}), ElementsAre(0));
  EXPECT_THAT(holds.Of({{"x.x", "a.t"}, {"a/80-"}}), ElementsAre(0));
  EXPECT_THAT(holds.Of({{"a.u"}, {"a/80-"}}), IsEmpty());
}

TEST(HoldTableTest, AHoldWithShardsNamesItsTablesThere) {
  const HoldTable holds({{"c1", {"a.t", "b.t"}, {"a/-80", "b/-80"}, absl::Seconds(1)}});
  EXPECT_THAT(holds.Of({{"a.t"}, {"a/-80"}}), ElementsAre(0));
  EXPECT_THAT(holds.Of({{"a.t"}, {"x/-80", "b/-80"}}), ElementsAre(0));
  EXPECT_THAT(holds.Of({{"a.t"}, {"a/80-"}}), IsEmpty());
  EXPECT_THAT(holds.Of({{"a.u"}, {"a/-80"}}), IsEmpty());
  EXPECT_THAT(holds.Of({{"a.t"}, {}}), IsEmpty());
}

TEST(HoldTableTest, SeveralHoldsMayNameTheSameTableOrShard) {
  const HoldTable holds({{"c1", {"a.t"}, {"a/-80"}, absl::Seconds(1)},
                         {"c2", {"a.t"}, {"a/80-"}, absl::Seconds(1)},
                         {"c3", {"a.u"}, {"a/80-"}, absl::Seconds(1)},
                         {"c4", {"a.t", "a.u"}, {}, absl::Seconds(1)}});
  EXPECT_THAT(holds.Of({{"a.t"}, {"a/80-"}}), ElementsAre(1, 3));
  EXPECT_THAT(holds.Of({{"a.u", "a.t"}, {"a/80-"}}), ElementsAre(1, 2, 3));
  EXPECT_THAT(holds.Of({{"a.t"}, {"a/-80"}}), ElementsAre(0, 3));
}

TEST(HoldTableTest, NoHoldNamesNothing) {
  EXPECT_TRUE(HoldTable().empty());
  EXPECT_THAT(HoldTable().Of({{"a.t"}, {"a/-80"}}), IsEmpty());
}

}  // namespace
}  // namespace sluice::proxy
