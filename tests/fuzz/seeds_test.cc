// The seeds of the fuzz targets keep the invariants that the fuzzers check, with every compiler.

#include <gtest/gtest.h>

#include <algorithm>

#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

class FuzzSeedsTest : public ::testing::TestWithParam<const Target*> {};

TEST_P(FuzzSeedsTest, SeedsAndTheirBeginningsKeepTheInvariants) {
  const Target& target = *GetParam();
  const std::vector<std::string> seeds = target.seeds();
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) {
    target.run(seed);
    for (size_t size = 0; size < std::min<size_t>(seed.size(), 256); ++size) {
      target.run(absl::string_view(seed).substr(0, size));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, FuzzSeedsTest,
                         ::testing::Values(&kBinlogEvent, &kBinlogStream, &kGtidSet, &kJsonBinary,
                                           &kProxyPacket, &kRoutingRules, &kRowImage, &kRowText,
                                           &kRpcFrame, &kSql, &kStoredOperation,
                                           &kTransactionPayload, &kValues));

}  // namespace
}  // namespace sluice::fuzz
