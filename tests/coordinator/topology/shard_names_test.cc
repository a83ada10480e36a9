// Names of keyspaces and shards.

#include "coordinator/topology/shard_names.h"

#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::topology {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::ElementsAre;
using Code = absl::StatusCode;

TEST(ShardNamesTest, NoShardsMeansOneNamedZero) {
  EXPECT_THAT(ValidateShards({}).value(), ElementsAre("0"));
}

TEST(ShardNamesTest, RangesAreGivenInTheirOrder) {
  EXPECT_THAT(ValidateShards({"c0-", "-80", "80-c0"}).value(), ElementsAre("-80", "80-c0", "c0-"));
  EXPECT_THAT(ValidateShards({"-"}).value(), ElementsAre("-"));
  EXPECT_THAT(ValidateShards({"-4080", "4080-"}).value(), ElementsAre("-4080", "4080-"));
}

TEST(ShardNamesTest, HolesAndOverlapsAreNamed) {
  EXPECT_THAT(ValidateShards({"-80"}), StatusIs(Code::kInvalidArgument, "'80-'"));
  EXPECT_THAT(ValidateShards({"-40", "80-"}), StatusIs(Code::kInvalidArgument, "'40-80'"));
  EXPECT_THAT(ValidateShards({"40-"}), StatusIs(Code::kInvalidArgument, "'-40'"));
  EXPECT_THAT(ValidateShards({"-80", "40-"}), StatusIs(Code::kInvalidArgument, "overlap"));
  EXPECT_THAT(ValidateShards({"-80", "80-", "80-"}), StatusIs(Code::kInvalidArgument, "overlap"));
  EXPECT_THAT(ValidateShards({"-", "-"}), StatusIs(Code::kInvalidArgument, "overlap"));
}

TEST(ShardNamesTest, MalformedRangesAreNamed) {
  for (const char* bad : {"", "8-", "-8g", "80-40", "80-80", "-80-", "a b", "-C0"}) {
    EXPECT_THAT(ValidateShards({bad}), StatusIs(Code::kInvalidArgument, bad)) << bad;
  }
  EXPECT_THAT(ValidateShards({"0", "1"}), StatusIs(Code::kInvalidArgument, "shard '0'"));
}

TEST(ShardNamesTest, KeyspaceNamesHoldNothingThatRoutingUses) {
  EXPECT_THAT(ValidateKeyspaceName("commerce_2-b"), IsOk());
  for (const char* bad : {"", "a.b", "a@replica", "a:80", "a/0", "_sluice", "a b"}) {
    EXPECT_THAT(ValidateKeyspaceName(bad), StatusIs(Code::kInvalidArgument, bad)) << bad;
  }
  EXPECT_THAT(ValidateKeyspaceName(std::string(65, 'a')), StatusIs(Code::kInvalidArgument, "64"));
}

}  // namespace
}  // namespace sluice::topology
