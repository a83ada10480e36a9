// Tests of Target: what USE and the connection's database may say.

#include "common/routing/target.h"

#include <string>

#include "gtest/gtest.h"

namespace sluice::routing {
namespace {

struct TargetCase {
  std::string name;
  std::string text;
  Target expected;
};

class TargetTest : public testing::TestWithParam<TargetCase> {};

TEST_P(TargetTest, ReadsTheSpelling) {
  absl::StatusOr<Target> target = ParseTarget(GetParam().text);
  ASSERT_TRUE(target.ok()) << target.status();
  EXPECT_EQ(*target, GetParam().expected);
}

INSTANTIATE_TEST_SUITE_P(
    Spellings, TargetTest,
    testing::Values(
        TargetCase{"Empty", "", {"", "", TabletType::kPrimary}},
        TargetCase{"Plain", "commerce", {"commerce", "", TabletType::kPrimary}},
        TargetCase{"Replica", "commerce@replica", {"commerce", "", TabletType::kReplica}},
        TargetCase{"UpperCaseType", "commerce@RDONLY", {"commerce", "", TabletType::kRdonly}},
        TargetCase{"Master", "commerce@master", {"commerce", "", TabletType::kPrimary}},
        TargetCase{"TypeOnly", "@replica", {"", "", TabletType::kReplica}},
        TargetCase{"Shard", "commerce:-80", {"commerce", "-80", TabletType::kPrimary}},
        TargetCase{"SlashShard", "commerce/-80", {"commerce", "-80", TabletType::kPrimary}},
        TargetCase{"OneShard", "commerce:0", {"commerce", "0", TabletType::kPrimary}},
        TargetCase{"WholeRange", "commerce:-", {"commerce", "-", TabletType::kPrimary}},
        TargetCase{"All", "commerce:40-80@rdonly", {"commerce", "40-80", TabletType::kRdonly}}),
    [](const auto& tested) { return tested.param.name; });

TEST(TargetTest, RefusesMalformedTextAndNamesIt) {
  for (const char* text : {"commerce@", "commerce@slave", "commerce:", "commerce/", ":-80",
                           "commerce:80:90", "com merce", "a.b", "commerce@replica:-80", "a@b@c"}) {
    absl::StatusOr<Target> target = ParseTarget(text);
    ASSERT_FALSE(target.ok()) << text;
    EXPECT_EQ(target.status().code(), absl::StatusCode::kInvalidArgument);
    EXPECT_NE(std::string(target.status().message()).find(text), std::string::npos);
  }
}

TEST(TabletTypeTest, NamesAndParsingAgree) {
  for (TabletType type : {TabletType::kPrimary, TabletType::kReplica, TabletType::kRdonly}) {
    EXPECT_EQ(*ParseTabletType(TabletTypeName(type)), type);
  }
  EXPECT_FALSE(ParseTabletType("").ok());
  EXPECT_FALSE(ParseTabletType("UNKNOWN").ok());
}

}  // namespace
}  // namespace sluice::routing
