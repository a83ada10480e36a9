// The benchmark's report and its arithmetic.

#include "integration/bench/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "integration/bench/commit_log.h"

namespace sluice::bench {
namespace {

Outcome Ratio(std::vector<double> runs) {
  Outcome outcome;
  outcome.spec = {
      .name = "copy", .unit = "ratio", .target = 0.8, .better = Better::kHigher, .what = "a copy"};
  outcome.runs = std::move(runs);
  return outcome;
}

TEST(MeasureTest, ValueIsTheMedian) {
  EXPECT_EQ(Ratio({5, 1, 9}).value(), 5);
  EXPECT_EQ(Ratio({4, 1, 9, 2}).value(), 3);
}

TEST(MeasureTest, ATargetIsReachedFromItsOwnSide) {
  Outcome outcome = Ratio({0.9});
  EXPECT_TRUE(outcome.met());
  outcome.spec.better = Better::kLower;
  EXPECT_FALSE(outcome.met());
  outcome.spec.target = 0.9;
  EXPECT_TRUE(outcome.met());
}

TEST(MeasureTest, NothingMeasuredMeetsNoTarget) {
  Outcome outcome = Ratio({});
  outcome.spec.better = Better::kLower;
  EXPECT_FALSE(outcome.met());
  outcome = Ratio({1});
  outcome.error = "rows differ";
  EXPECT_FALSE(outcome.met());
}

TEST(MeasureTest, TheJsonHoldsEveryField) {
  Outcome failed = Ratio({});
  failed.error = "rows differ";
  const auto document = nlohmann::json::parse(ReportToJson({Ratio({1, 2, 3}), failed}));
  const auto& good = document["measures"][0];
  EXPECT_EQ(good["name"], "copy");
  EXPECT_EQ(good["value"], 2.0);
  EXPECT_EQ(good["unit"], "ratio");
  EXPECT_EQ(good["target"], 0.8);
  EXPECT_EQ(good["met"], true);
  EXPECT_EQ(good["runs"].size(), 3U);
  const auto& bad = document["measures"][1];
  EXPECT_TRUE(bad["value"].is_null());
  EXPECT_EQ(bad["met"], false);
  EXPECT_EQ(bad["error"], "rows differ");
}

TEST(MeasureTest, TheTextNamesEveryMeasure) {
  Outcome failed = Ratio({});
  failed.error = "rows differ";
  const std::string text = ReportToText({Ratio({1.5}), failed});
  EXPECT_THAT(text, ::testing::HasSubstr("1.5"));
  EXPECT_THAT(text, ::testing::HasSubstr("rows differ"));
}

PositionCommit Position(uint64_t commit_us, const std::string& set) {
  return {commit_us, *gtid::GtidSet::Parse(set)};
}

const char kUuid[] = "34e78057-e52e-11f1-ad86-02fc00000001";

std::vector<SourceCommit> Commits() {
  return {{{kUuid, "", 5}, 1'000'000}, {{kUuid, "", 6}, 1'010'000}, {{kUuid, "", 7}, 1'020'000}};
}

TEST(CommitLogTest, LagEndsWithTheFirstPositionThatHasTheCommit) {
  const std::string uuid = kUuid;
  const auto lags =
      Lags(Commits(), {Position(1'001'000, uuid + ":1-4"), Position(1'030'000, uuid + ":1-6"),
                       Position(1'031'000, uuid + ":1-7")});
  ASSERT_TRUE(lags.ok()) << lags.status();
  EXPECT_THAT(*lags, ::testing::ElementsAre(30, 20, 11));
}

TEST(CommitLogTest, ACommitInNoPositionIsAnError) {
  const auto lags = Lags(Commits(), {Position(1'030'000, std::string(kUuid) + ":1-6")});
  EXPECT_EQ(lags.status().code(), absl::StatusCode::kDataLoss);
}

TEST(CommitLogTest, PercentileIsAValueThatWasSeen) {
  std::vector<double> values;
  for (int i = 1; i <= 200; ++i) {
    values.push_back(i);
  }
  EXPECT_EQ(Percentile(values, 99), 198);
  EXPECT_EQ(Percentile(values, 100), 200);
  EXPECT_EQ(Percentile({7}, 50), 7);
}

}  // namespace
}  // namespace sluice::bench
