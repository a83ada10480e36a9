// What a dry run expects of each step, and how it finds that out.

#include "coordinator/traffic/measure.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>

#include "tests/coordinator/traffic/fixture.h"
#include "tests/coordinator/traffic/observations.h"

namespace sluice::traffic::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

cutover::Plan TwoShards() {
  return WritesPlan(InOrder(false).records, false,
                    {.id = "c", .epoch = 1, .reverse_ids = {1, 2}, .gates = {}})
      .value();
}

const Measure* FindMeasure(const std::vector<Measure>& measures, const std::string& step,
                           const std::string& place) {
  const auto found = std::find_if(measures.begin(), measures.end(), [&](const Measure& each) {
    return each.step == step && each.place == place;
  });
  return found == measures.end() ? nullptr : &*found;
}

TEST(MeasureTest, AStepTakesWhatItTookElseTheRoundTripsThatItNeeds) {
  Probes probes;
  probes.store_write_us = 2'000;
  probes.agents = {{"commerce/-80", 500}, {"customer/-80", 700}};
  probes.proxies = {{"p1", 3'000}};
  probes.tried = {{.step = "prepare_reverse",
                   .place = "commerce/-80",
                   .expected_us = 9'000,
                   .basis = "measured",
                   .detail = "no binlog",
                   .problem = true}};
  const History history = {{{"close_gate", "commerce/-80"}, {30'000, 10'000, 20'000}},
                           {{"prepare_reverse", "commerce/-80"}, {1}}};
  const std::vector<Measure> measures = Expect(TwoShards(), probes, history);
  const auto expect = [&](const char* step, const char* place, int64_t us, const char* basis) {
    const Measure* measure = FindMeasure(measures, step, place);
    ASSERT_NE(measure, nullptr) << step << " " << place;
    EXPECT_EQ(measure->expected_us, us) << step << " " << place;
    EXPECT_EQ(measure->basis, basis) << step << " " << place;
  };
  expect("close_gate", "commerce/-80", 20'000, "recorded");
  expect("close_gate", "commerce/80-", 0, "measured");
  expect("open_gate", "customer/-80", 700, "measured");
  expect("commit", "", 2'000, "measured");
  expect("hold_rules", "proxy p1", 3'000, "measured");
  // A problem that was just met counts for more than what was once.
  expect("prepare_reverse", "commerce/-80", 9'000, "measured");
  EXPECT_TRUE(FindMeasure(measures, "prepare_reverse", "commerce/-80")->problem);
  // 3 of the hold's proxies, 20 of the slowest gate, 0.7 of the seal, 2 of the commit, 0.7 of the
  // gate that opens, 2 of the rules.
  EXPECT_EQ(ExpectedFenceUs(measures), 3'000 + 20'000 + 700 + 2'000 + 700 + 2'000);
  EXPECT_EQ(ExpectedFenceUs({{.step = "make_readable", .expected_us = 5}}), 0);
}

TEST(MeasureTest, OnlyCommittedCutoversOfTheSameDirectionAreLearntFrom) {
  const std::vector<store::CutoverStep> steps = {{"commit", "", 0, 7, ""},
                                                 {"open_gate", "a/0", 0, 9, "attempt 1: locks"},
                                                 {"hold_rules", "", 0, 3, "", "p1"}};
  const History history = HistoryOf({{"1", "w", "forward", "committed", 0, 1, steps},
                                     {"2", "w", "reverse", "committed", 0, 1, steps},
                                     {"3", "w", "forward", "rolled back: x", 0, 1, steps}},
                                    false);
  EXPECT_EQ(history, (History{{{"commit", ""}, {7}}, {{"hold_rules", "proxy p1"}, {3}}}));
}

using MeasuredDryRunTest = TrafficTest;

TEST_F(MeasuredDryRunTest, NamesEachStepAndLeavesNothingBehind) {
  admin::SwitchArgs args = SwitchOf();
  args.dry_run = true;
  nlohmann::json answer = Done(service().Switch(args, Soon()));
  ExpectUnchanged();
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
  std::set<std::string> steps;
  for (const auto& measure : answer["measures"]) {
    steps.insert(measure["step"].get<std::string>());
    EXPECT_FALSE(measure["problem"].get<bool>()) << measure;
    EXPECT_EQ(measure["basis"], "measured") << measure;
  }
  for (const char* step : {"prepare_reverse", "probe_gate", "close_gate", "seal", "commit",
                           "open_gate", "route_rules", "make_readable"}) {
    EXPECT_TRUE(steps.contains(step)) << step;
  }
  EXPECT_GT(answer["expected_pause_us"].get<int64_t>(), 0);
  EXPECT_THAT(cluster_.requests(), ::testing::Not(::testing::Contains(HasSubstr("set_gate"))));

  Switch();
  Reverse();
  answer = Done(service().Switch(args, Soon()));
  bool recorded = false;
  for (const auto& measure : answer["measures"]) {
    recorded = recorded || (measure["step"] == "close_gate" && measure["basis"] == "recorded");
  }
  EXPECT_TRUE(recorded) << answer.dump(2);
}

TEST_F(MeasuredDryRunTest, WhatWouldFailIsAProblem) {
  cluster_.SetBefore([](const std::string& request, const std::string&) {
    return request == "create_stream" ? absl::PermissionDeniedError("may not read the binlog")
                                      : absl::OkStatus();
  });
  admin::SwitchArgs args = SwitchOf({routing::TabletType::kPrimary});
  args.dry_run = true;
  const nlohmann::json answer = Done(service().Switch(args, Soon()));
  EXPECT_THAT(answer["measures"].dump(), HasSubstr("may not read the binlog"));
  EXPECT_THAT(answer["measures"].dump(), HasSubstr("\"problem\":true"));
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
}

}  // namespace
}  // namespace sluice::traffic::testing
