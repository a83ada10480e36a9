// The demonstration as a test: replicas and batch readers, two switches and a reversal under
// traffic.

#include "integration/demo/story.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/cluster/cluster.h"

namespace sluice::demo {
namespace {

TEST(StoryTest, MovesTwoTablesThereAndBackAndThereWithoutLosingAWrite) {
  const auto topology = cluster::LoadTopology("integration/demo/topology.toml");
  ASSERT_TRUE(topology.ok()) << topology.status();
  cluster::ClusterOptions options;
  options.directory =
      absl::StrCat(testing::TempDir(), "/sluice-", getpid(), "-", absl::GetCurrentTimeNanos());
  options.bin_directory = std::getenv("SLUICE_BIN_DIR");
  options.dies_with_parent = true;
  auto cluster = cluster::Cluster::Up(*topology, options);
  ASSERT_TRUE(cluster.ok()) << cluster.status();
  const auto summary = RunStory(**cluster, {.orders = 20'000, .writes_between = 200});
  ASSERT_TRUE(summary.ok()) << summary.status();
  EXPECT_TRUE(summary->good()) << SummaryToText(*summary);
  EXPECT_EQ(summary->workload.transaction_errors, 0U);
  EXPECT_EQ(summary->workload.lost_connections, 0U);
  EXPECT_GE(summary->rows_compared, 4U * 20'000U);
  ASSERT_EQ(summary->cutovers.size(), 3U);
  for (const CutoverSummary& cutover : summary->cutovers) {
    EXPECT_GT(cutover.steps.size(), 5U);
  }
}

}  // namespace
}  // namespace sluice::demo
