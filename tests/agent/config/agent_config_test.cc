// The agent's configuration file.

#include "agent/config/agent_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_dir.h"

namespace sluice::agent {
namespace {

constexpr const char* kIdentity =
    "cell = 'zone1'\nuid = 100\nkeyspace = 'commerce'\ntype = 'primary'\n"
    "listen = 'tcp://127.0.0.1:0'\ncoordinator = 'tcp://127.0.0.1:15999'\n";

// Without what an entry of [[shard]] says.
constexpr const char* kAgent =
    "cell = 'zone1'\nlisten = 'tcp://127.0.0.1:0'\ncoordinator = 'tcp://127.0.0.1:15999'\n";
constexpr const char* kMysql = "[mysql]\nhost = 'db1'\nuser = 'sluice'\n";

class AgentConfigTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    const std::string path = dir_.File(name);
    std::ofstream(path) << text;
    std::filesystem::permissions(
        path, std::filesystem::perms::owner_read | std::filesystem::perms::owner_write);
    return path;
  }
  absl::StatusOr<AgentConfig> Load(const std::string& text) {
    return LoadAgentConfig(Write("agent.toml", text));
  }
  std::string Error(const std::string& text) {
    auto loaded = Load(text);
    EXPECT_FALSE(loaded.ok());
    return std::string(loaded.status().message());
  }

  testing::TempDir dir_;
};

TEST_F(AgentConfigTest, FillsInDefaults) {
  auto config = Load(absl::StrCat(kIdentity, "[mysql]\nhost = 'db1'\nuser = 'sluice'\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->name(), "zone1-100");
  ASSERT_EQ(config->shards.size(), 1U);
  EXPECT_EQ(config->shards[0].shard, "0");
  EXPECT_EQ(config->shards[0].type, routing::TabletType::kPrimary);
  EXPECT_EQ(config->shards[0].database, "vt_commerce");
  EXPECT_EQ(config->mysql.port, 3306);
  EXPECT_EQ(config->mysql_advertise_host, "db1");
  EXPECT_EQ(config->mysql_advertise_port, 3306);
  EXPECT_EQ(config->mysql.program, "sluice-agent zone1-100");
}

TEST_F(AgentConfigTest, LeavesThePortOfASocketToTheServer) {
  auto config = Load(absl::StrCat(kIdentity, "[mysql]\nsocket = 'my.sock'\nuser = 'sluice'\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->mysql.socket, dir_.File("my.sock"));
  EXPECT_EQ(config->mysql.host, "");
  EXPECT_EQ(config->mysql_advertise_host, "127.0.0.1");
  EXPECT_EQ(config->mysql_advertise_port, 0);
}

TEST_F(AgentConfigTest, ReadsThePasswordFileNextToIt) {
  Write("password", "s3cret\r\n");
  auto config = Load(absl::StrCat(
      kIdentity, "[mysql]\nhost = 'db1'\nuser = 'sluice'\npassword_file = 'password'\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->mysql.password, "s3cret");
}

TEST_F(AgentConfigTest, LetsItsOwnKeysWinOverTheOptionFile) {
  Write("my.cnf", "[client]\nuser=bob\npassword=pw\nhost=db9\nport=3399\n");
  auto config = Load(absl::StrCat(kIdentity, "[mysql]\noption_file = 'my.cnf'\nport = 3307\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->mysql.user, "bob");
  EXPECT_EQ(config->mysql.password, "pw");
  EXPECT_EQ(config->mysql.host, "db9");
  EXPECT_EQ(config->mysql.port, 3307);
}

TEST_F(AgentConfigTest, NamesEveryWrongKeyAtOnce) {
  const std::string error = Error(
      "cell = 'zone 1'\nuid = 0\nkeyspace = 'commerce'\ntype = 'BOSS'\nlistn = 'x'\n"
      "listen = '127.0.0.1:1'\n[mysql]\nhost = 'db1'\nuser = 'u'\npasword_file = 'x'\n");
  for (const char* key : {"cell", "uid", "type", "listn", "listen", "coordinator",
                          "mysql.pasword_file", "agent.toml"}) {
    EXPECT_NE(error.find(key), std::string::npos) << key << " in " << error;
  }
}

TEST_F(AgentConfigTest, RefusesAMysqldWithoutAddressOrUser) {
  const std::string error = Error(absl::StrCat(kIdentity, "[mysql]\nport = 3306\n"));
  EXPECT_NE(error.find("option_file, host or socket"), std::string::npos) << error;
  EXPECT_NE(error.find("mysql.user"), std::string::npos) << error;
}

TEST_F(AgentConfigTest, WantsAnAddressThatOthersCanDial) {
  std::string text = absl::StrCat(kIdentity, "[mysql]\nhost = 'db1'\nuser = 'u'\n");
  text.replace(text.find("127.0.0.1"), 9, "0.0.0.0");
  EXPECT_NE(Error(text).find("advertise_url"), std::string::npos);
}

TEST_F(AgentConfigTest, NamesAMissingFile) {
  EXPECT_NE(
      Error(absl::StrCat(kIdentity, "[mysql]\nhost = 'h'\nuser = 'u'\npassword_file = 'nowhere'\n"))
          .find("nowhere"),
      std::string::npos);
  EXPECT_FALSE(LoadAgentConfig(dir_.File("nothing.toml")).ok());
}

TEST_F(AgentConfigTest, ReadsSeveralShards) {
  auto config = Load(
      absl::StrCat(kAgent, "type = 'PRIMARY'\n", kMysql,
                   "[[shard]]\nuid = 200\nkeyspace = 'ks'\nshard = '-80'\ndatabase = 'vt_ks_-80'\n"
                   "[[shard]]\nuid = 201\nkeyspace = 'ks'\nshard = '80-'\ndatabase = 'vt_ks_80-'\n"
                   "type = 'RDONLY'\n"));
  ASSERT_TRUE(config.ok()) << config.status();
  ASSERT_EQ(config->shards.size(), 2U);
  EXPECT_EQ(config->name(), "zone1-200");
  EXPECT_EQ(config->AliasOf(config->shards[1]), "zone1-201");
  EXPECT_EQ(config->shards[0].type, routing::TabletType::kPrimary);
  EXPECT_EQ(config->shards[1].type, routing::TabletType::kRdonly);
  EXPECT_EQ(config->shards[1].shard, "80-");
  EXPECT_EQ(config->FindDatabase("vt_ks_80-"), 1U);
  EXPECT_EQ(config->FindDatabase("vt_ks"), std::nullopt);
}

struct BadShards {
  const char* name;
  const char* text;
  std::vector<const char*> named;
};

class BadShardsTest : public AgentConfigTest, public ::testing::WithParamInterface<BadShards> {};

TEST_P(BadShardsTest, AreRefusedByName) {
  const std::string error = Error(absl::StrCat(kAgent, GetParam().text, kMysql));
  EXPECT_NE(error.find("agent.toml"), std::string::npos) << error;
  for (const char* named : GetParam().named) {
    EXPECT_NE(error.find(named), std::string::npos) << named << " in " << error;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadShardsTest,
    ::testing::Values(
        BadShards{"None", "type = 'PRIMARY'\nshard = []\n", {"key shard: names no shard"}},
        BadShards{"MissingAndUnknownKeys",
                  "[[shard]]\nuid = 1\nkeyspace = 'k'\nshrd = '-80'\n",
                  {"shard[0].shard: is missing", "shard[0].database: is missing",
                   "shard[0].type: is missing", "unknown key shard[0].shrd"}},
        BadShards{"WrongValues",
                  "[[shard]]\nuid = 0\nkeyspace = 'k s'\nshard = '-80'\ndatabase = 'd'\n"
                  "type = 'BOSS'\n",
                  {"shard[0].uid", "shard[0].keyspace", "shard[0].type: expected PRIMARY"}},
        BadShards{"TheSameUid",
                  "type = 'PRIMARY'\n"
                  "[[shard]]\nuid = 1\nkeyspace = 'k'\nshard = '-80'\ndatabase = 'a'\n"
                  "[[shard]]\nuid = 1\nkeyspace = 'k'\nshard = '80-'\ndatabase = 'b'\n",
                  {"shard[1].uid: 1 is that of shard[0] too"}},
        BadShards{"TheSameDatabaseAndPlace",
                  "type = 'PRIMARY'\n"
                  "[[shard]]\nuid = 1\nkeyspace = 'k'\nshard = '-80'\ndatabase = 'a'\n"
                  "[[shard]]\nuid = 2\nkeyspace = 'k'\nshard = '-80'\ndatabase = 'a'\n",
                  {"shard[1].database: a is that of shard[0] too",
                   "shard[1].shard: k/-80 is that of shard[0] too"}},
        BadShards{"BothForms",
                  "uid = 7\nkeyspace = 'k'\ndatabase = 'd'\ntype = 'PRIMARY'\n"
                  "[[shard]]\nuid = 1\nkeyspace = 'k'\nshard = '-80'\ndatabase = 'a'\n",
                  {"key uid: can't be combined", "key keyspace: can't be combined",
                   "key database: can't be combined"}}),
    [](const auto& each) { return each.param.name; });

}  // namespace
}  // namespace sluice::agent
