// The demonstration's summary: its fields, and when it is a success.

#include "integration/demo/summary.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

namespace sluice::demo {
namespace {

Summary Good() {
  Summary summary;
  summary.workload.acknowledged_writes = 1000;
  summary.workload.longest_pause_ms = 41.5;
  summary.rows_compared = 5;
  summary.cutovers.push_back(
      {"switchtraffic", 41.5, {{"CloseGate", 0, 12000}, {"Route", 12000, 4000}}});
  return summary;
}

TEST(SummaryTest, HoldsEveryFigureAsJson) {
  const auto document = nlohmann::json::parse(SummaryToJson(Good()));
  for (const char* field :
       {"acknowledged_writes", "lost_writes", "duplicated_writes", "rows_compared",
        "rows_different", "longest_client_pause_ms", "client_errors", "cutovers"}) {
    EXPECT_TRUE(document.contains(field)) << field;
  }
  EXPECT_EQ(document["cutovers"][0]["steps"][1]["took_us"], 4000);
}

TEST(SummaryTest, AnyLossDoublingDifferenceOrErrorIsNoSuccess) {
  EXPECT_TRUE(Good().good());
  Summary lost = Good();
  lost.workload.lost_writes = 1;
  EXPECT_FALSE(lost.good());
  Summary doubled = Good();
  doubled.workload.duplicated_writes = 1;
  EXPECT_FALSE(doubled.good());
  Summary different = Good();
  different.rows_different = 1;
  EXPECT_FALSE(different.good());
  Summary errors = Good();
  errors.workload.client_errors = 1;
  EXPECT_FALSE(errors.good());
}

TEST(SummaryTest, DrawsStepsToScale) {
  const std::string text = TimelineToText(Good().cutovers[0]);
  EXPECT_THAT(text, testing::HasSubstr("CloseGate"));
  EXPECT_THAT(text, testing::HasSubstr("|##############################\n"));
}

}  // namespace
}  // namespace sluice::demo
