// Reading of cluster topologies.

#include "integration/cluster/topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice::cluster {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TopologyTest, ReadsTabletsWithTheirDefaults) {
  const auto topology = ParseTopology(R"(
proxies = 2
[[tablet]]
uid = 100
keyspace = "commerce"
[[tablet]]
uid = 101
keyspace = "commerce"
type = "REPLICA"
cell = "zone2"
[[tablet]]
uid = 200
keyspace = "ks"
shard = "-80"
)");
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_EQ(topology->proxies, 2);
  EXPECT_THAT(topology->Keyspaces(), ElementsAre("commerce", "ks"));
  EXPECT_EQ(topology->tablets[1].alias(), "zone2-101");
  EXPECT_EQ(topology->tablets[0].database(), "vt_commerce");
  EXPECT_EQ(topology->tablets[2].database(), "vt_ks_-80");
  EXPECT_EQ(topology->PrimaryOf(topology->tablets[1])->uid, 100U);
}

TEST(TopologyTest, ProxiesMayBeInCellsOfTheirOwn) {
  const auto topology = ParseTopology(R"(
proxies = 2
proxy_cells = ["zone2"]
[[tablet]]
uid = 100
keyspace = "commerce"
)");
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_THAT(topology->proxy_cells, ElementsAre("zone2"));
  EXPECT_THAT(ParseTopology("proxies = 0\nproxy_cells = [\"a\"]\n").status().ToString(),
              HasSubstr("more cells than there are proxies"));
}

TEST(TopologyTest, PutsSeveralTabletsOnOneMysqld) {
  const auto topology = ParseTopology(R"(
[[tablet]]
uid = 200
keyspace = "ks"
shard = "-80"
[[tablet]]
uid = 201
keyspace = "ks"
shard = "80-"
mysqld = 200
)");
  ASSERT_TRUE(topology.ok()) << topology.status();
  EXPECT_TRUE(topology->tablets[0].owns_mysqld());
  EXPECT_FALSE(topology->tablets[1].owns_mysqld());
  EXPECT_EQ(topology->tablets[1].server(), 200U);
}

TEST(TopologyTest, NamesKeyRangesOfEqualSize) {
  EXPECT_THAT(EqualShards(1), ElementsAre("0"));
  EXPECT_THAT(EqualShards(2), ElementsAre("-80", "80-"));
  EXPECT_THAT(EqualShards(4), ElementsAre("-40", "40-80", "80-c0", "c0-"));
  EXPECT_EQ(EqualShards(256)[1], "01-02");
  EXPECT_EQ(EqualShards(512)[1], "0080-0100");
}

class BadTopologyTest : public testing::TestWithParam<std::pair<const char*, const char*>> {};

TEST_P(BadTopologyTest, IsRefusedByName) {
  const auto topology = ParseTopology(GetParam().first);
  ASSERT_FALSE(topology.ok());
  EXPECT_THAT(std::string(topology.status().message()), HasSubstr(GetParam().second));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadTopologyTest,
    testing::Values(
        std::pair{"proxies = 1", "no [[tablet]]"}, std::pair{"tablets = 3", "tablets"},
        std::pair{"[[tablet]]\nuid = 1", "keyspace is missing"},
        std::pair{"[[tablet]]\nuid = 0\nkeyspace = \"a\"", "uid"},
        std::pair{"[[tablet]]\nuid = 1\nkeyspace = \"a\"\nport = 3", "port"},
        std::pair{"[[tablet]]\nuid = 1\nkeyspace = \"a\"\ntype = \"BOSS\"", "BOSS"},
        std::pair{"[[tablet]]\nuid = 1\nkeyspace = \"a\"\ntype = \"REPLICA\"", "one PRIMARY"},
        std::pair{"[[tablet]]\nuid = 1\nkeyspace = \"a\"\n[[tablet]]\nuid = 1\nkeyspace = \"b\"",
                  "twice"},
        std::pair{"[[tablet]]\nuid = 1\nkeyspace = \"a\"\nmysqld = 2", "belongs to no tablet"},
        std::pair{"[[tablet]]\nuid = 1\nkeyspace = \"a\"\n[[tablet]]\nuid = 2\nkeyspace = \"b\"\n"
                  "cell = \"zone2\"\nmysqld = 1",
                  "can't be on one mysqld"},
        std::pair{"not toml", "TOML"}));

}  // namespace
}  // namespace sluice::cluster
