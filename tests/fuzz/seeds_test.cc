// The seeds of the fuzz targets keep the invariants that the fuzzers check, with every compiler.

#include <gtest/gtest.h>

#include <algorithm>
#include <ostream>
#include <string>
#include <vector>

#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

struct NamedTarget {
  const char* name;
  const Target* target;
};

// For the name that ctest shows.
void PrintTo(const NamedTarget& target, std::ostream* out) {
  *out << target.name;
}

class FuzzSeedsTest : public ::testing::TestWithParam<NamedTarget> {};

TEST_P(FuzzSeedsTest, SeedsAndTheirBeginningsKeepTheInvariants) {
  const Target& target = *GetParam().target;
  const std::vector<std::string> seeds = target.seeds();
  ASSERT_FALSE(seeds.empty());
  for (const std::string& seed : seeds) {
    target.run(seed);
    for (size_t size = 0; size < std::min<size_t>(seed.size(), 256); ++size) {
      target.run(absl::string_view(seed).substr(0, size));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(
    Targets, FuzzSeedsTest,
    ::testing::Values(
        NamedTarget{"BinlogEvent", &kBinlogEvent}, NamedTarget{"BinlogStream", &kBinlogStream},
        NamedTarget{"GtidSet", &kGtidSet}, NamedTarget{"JsonBinary", &kJsonBinary},
        NamedTarget{"ProxyPacket", &kProxyPacket}, NamedTarget{"RoutingRules", &kRoutingRules},
        NamedTarget{"RowImage", &kRowImage}, NamedTarget{"RowText", &kRowText},
        NamedTarget{"RpcFrame", &kRpcFrame}, NamedTarget{"Sql", &kSql},
        NamedTarget{"StoredOperation", &kStoredOperation},
        NamedTarget{"TransactionPayload", &kTransactionPayload}, NamedTarget{"Values", &kValues}),
    [](const auto& test) { return std::string(test.param.name); });

}  // namespace
}  // namespace sluice::fuzz
