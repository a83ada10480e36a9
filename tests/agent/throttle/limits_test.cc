// Limits from a workflow's values, and over the wire.

#include "agent/throttle/limits.h"

#include <capnp/message.h>
#include <gtest/gtest.h>

namespace sluice::throttle {
namespace {

Limits Of(Side side, const std::vector<stream::NamedValue>& values) {
  const auto tuning = stream::Tuning::Parse(values);
  EXPECT_TRUE(tuning.ok()) << tuning.status();
  return LimitsOf(*tuning, side);
}

TEST(LimitsTest, ReplicaLagIsLimitedUnlessItIsOff) {
  EXPECT_EQ(Of(Side::kTarget, {}).Of(Metric::kLag), 10'000);
  EXPECT_EQ(Of(Side::kTarget, {{"target-lag", "500ms"}}).Of(Metric::kLag), 500);
  EXPECT_EQ(Of(Side::kSource, {{"target-lag", "500ms"}}).Of(Metric::kLag), 10'000);
  EXPECT_TRUE(Of(Side::kTarget, {{"target-lag", "off"}}).empty());
}

TEST(LimitsTest, EachSideHasItsOwn) {
  const std::vector<stream::NamedValue> values = {{"source-threads", "7"},
                                                  {"target-threads", "9"},
                                                  {"source-disk-latency", "2ms"},
                                                  {"target-query", "SELECT 1"},
                                                  {"target-query-max", "0.5"}};
  const Limits source = Of(Side::kSource, values);
  const Limits target = Of(Side::kTarget, values);
  EXPECT_EQ(source.Of(Metric::kThreads), 7);
  EXPECT_EQ(target.Of(Metric::kThreads), 9);
  EXPECT_EQ(source.Of(Metric::kDisk), 2000);
  EXPECT_FALSE(target.Of(Metric::kDisk).has_value());
  EXPECT_FALSE(source.Of(Metric::kQuery).has_value());
  EXPECT_EQ(target.query, "SELECT 1");
  EXPECT_EQ(target.Of(Metric::kQuery), 0.5);
}

TEST(LimitsTest, CrossTheWireAsTheyAre) {
  for (const Limits& limits : {Of(Side::kSource, {}), Of(Side::kSource, {{"source-lag", "off"}}),
                               Of(Side::kSource, {{"source-lag", "1s"},
                                                  {"source-threads", "3"},
                                                  {"source-disk-latency", "1ms"},
                                                  {"source-query", "SELECT 2"},
                                                  {"source-query-max", "-4"}})}) {
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<schemas::ThrottleLimits>();
    WriteLimits(limits, builder);
    EXPECT_EQ(ReadLimits(builder.asReader()), limits);
  }
}

}  // namespace
}  // namespace sluice::throttle
