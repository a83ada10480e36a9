// The coordinator's settings.

#include "coordinator/config/config.h"

#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::config {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;

absl::StatusOr<CoordinatorConfig> Read(const char* text) {
  return ReadConfig(ConfigFile::Parse(text, "coordinator.toml").value());
}

TEST(ConfigTest, TwoKeysAreEnough) {
  const auto config = Read("listen = 'tcp://127.0.0.1:7000'\nstore = 'store.db'");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->listen, "tcp://127.0.0.1:7000");
  EXPECT_EQ(config->store, "store.db");
  EXPECT_EQ(config->topology.stale_after, absl::Seconds(5));
}

TEST(ConfigTest, WrongAndUnknownKeysAreNamed) {
  EXPECT_THAT(Read("store = 's'"), StatusIs(absl::StatusCode::kInvalidArgument, "listen"));
  EXPECT_THAT(Read("listen = 'ipc:///x'\nstore = 's'"),
              StatusIs(absl::StatusCode::kInvalidArgument, "tcp://"));
  EXPECT_THAT(Read("listen = 'tcp://127.0.0.1:1'\nstore = 's'\nstroe = 't'"),
              StatusIs(absl::StatusCode::kInvalidArgument, "stroe"));
  EXPECT_THAT(Read("listen = 'tcp://127.0.0.1:1'\nstore = 's'\n[timeouts]\n"
                   "tablet_stale_after = '1s'"),
              StatusIs(absl::StatusCode::kInvalidArgument, "tablet_stale_after"));
}

}  // namespace
}  // namespace sluice::config
