// The short form of the crash loop.

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/crashloop/loop.h"

namespace sluice::crashloop {
namespace {

TEST(CrashLoopTest, ARoundOfFaultsLeavesNoDifference) {
  LoopOptions options;
  options.seed = 20;
  options.faults = 60;
  options.directory =
      absl::StrCat(testing::TempDir(), "/sluice-", getpid(), "-", absl::GetCurrentTimeNanos());
  const char* const programs = std::getenv("SLUICE_BIN_DIR");
  ASSERT_NE(programs, nullptr);
  options.bin_directory = programs;
  Loop loop(options);
  const auto result = loop.Run();
  ASSERT_TRUE(result.ok()) << result.status();
  std::cout << result->ToString();
  EXPECT_EQ(result->differences, 0U);
  EXPECT_GT(result->rows_compared, 5000U);
  EXPECT_GT(result->commits, 100U);
  EXPECT_GT(result->faults.kills(), 5U);
  EXPECT_GT(result->connections_cut, 10U);
}

}  // namespace
}  // namespace sluice::crashloop
