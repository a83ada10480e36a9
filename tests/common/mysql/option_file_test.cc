// Tests of MySQL's option files as we read them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "common/mysql/connection.h"
#include "tests/testing/temp_dir.h"

namespace sluice::mysql {
namespace {

using ::testing::HasSubstr;

class OptionFileTest : public ::testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& text) {
    std::string path = directory_.File(name);
    std::ofstream(path) << text;
    chmod(path.c_str(), 0600);
    return path;
  }

  sluice::testing::TempDir directory_;
};

TEST_F(OptionFileTest, ClientGroupGivesTheConnection) {
  auto options = LoadOptionFile(Write("my.cnf",
                                      "# a comment\n; another\nuser=ignored\n"
                                      "[mysqld]\nport=1\n"
                                      "[client]\nuser = agent \npassword=\"p#w d\"\n"
                                      "host=db1 # the first\nport=3307\nskip-something\n"));
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->user, "agent");
  EXPECT_EQ(options->password, "p#w d");
  EXPECT_EQ(options->host, "db1");
  EXPECT_EQ(options->port, 3307);
}

TEST_F(OptionFileTest, EscapesAndQuotesAreTakenOff) {
  auto options = LoadOptionFile(
      Write("my.cnf", "[client]\npassword='a b'\nuser=x\\sy\\\\z\\q\nsocket=/run/my.sock\n"));
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->password, "a b");
  EXPECT_EQ(options->user, "x y\\z\\q");
  EXPECT_EQ(options->socket, "/run/my.sock");
}

TEST_F(OptionFileTest, GivenGroupsAreReadToo) {
  const std::string path = Write("my.cnf", "[client]\nuser=a\n[sluice]\nuser=b\n");
  EXPECT_EQ(LoadOptionFile(path)->user, "a");
  EXPECT_EQ(LoadOptionFile(path, {"sluice"})->user, "b");
}

TEST_F(OptionFileTest, IncludesAreFollowedRelativeToTheFile) {
  Write("secret.cnf", "[client]\npassword=s\n");
  auto options = LoadOptionFile(Write("my.cnf", "[client]\nuser=a\n!include secret.cnf\n"));
  ASSERT_TRUE(options.ok()) << options.status();
  EXPECT_EQ(options->user, "a");
  EXPECT_EQ(options->password, "s");
}

TEST_F(OptionFileTest, IncludesInACircleEnd) {
  const std::string path = Write("my.cnf", "!include my.cnf\n");
  EXPECT_EQ(LoadOptionFile(path).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(OptionFileTest, ErrorsNameFileAndLine) {
  const absl::Status status = LoadOptionFile(Write("my.cnf", "[client]\n\nport=abc\n")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("my.cnf:3"));
  EXPECT_FALSE(LoadOptionFile(Write("group.cnf", "[client\n")).ok());
  EXPECT_FALSE(LoadOptionFile(Write("dir.cnf", "!includedir /etc\n")).ok());
}

TEST_F(OptionFileTest, AMissingFileIsNamed) {
  const absl::Status status = LoadOptionFile(directory_.File("none.cnf")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none.cnf"));
}

TEST_F(OptionFileTest, AFileThatAnyoneMayWriteIsRefused) {
  const std::string path = Write("my.cnf", "[client]\n");
  chmod(path.c_str(), 0666);
  EXPECT_EQ(LoadOptionFile(path).status().code(), absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace sluice::mysql
