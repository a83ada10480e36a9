// Starting mysqlds of tests and benchmarks.

#include "integration/cluster/mysqld.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/testing/mysqld_fixture.h"

namespace sluice::cluster {
namespace {

// Its id is given out again when many processes begin and end.
TEST(MysqldTest, StartsWhereAKilledOnesProcessIdIsAnothers) {
  const auto mysqld = testing::Mysqld::Start();
  ASSERT_TRUE(mysqld.ok()) << mysqld.status();
  const std::string lock = (*mysqld)->Root().socket + ".lock";
  (*mysqld)->Kill();
  ASSERT_TRUE(std::filesystem::exists(lock));
  std::ofstream(lock) << getpid() << "\n";
  const absl::Status restarted = (*mysqld)->Restart();
  EXPECT_TRUE(restarted.ok()) << restarted;
}

}  // namespace
}  // namespace sluice::cluster
