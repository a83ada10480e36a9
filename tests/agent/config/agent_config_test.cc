// The agent's configuration file.

#include "agent/config/agent_config.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "tests/testing/temp_dir.h"

namespace sluice::agent {
namespace {

constexpr const char* kIdentity =
    "cell = 'zone1'\nuid = 100\nkeyspace = 'commerce'\ntype = 'primary'\n"
    "listen = 'tcp://127.0.0.1:0'\ncoordinator = 'tcp://127.0.0.1:15999'\n";

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
  EXPECT_EQ(config->alias(), "zone1-100");
  EXPECT_EQ(config->shard, "0");
  EXPECT_EQ(config->type, routing::TabletType::kPrimary);
  EXPECT_EQ(config->database, "vt_commerce");
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

}  // namespace
}  // namespace sluice::agent
