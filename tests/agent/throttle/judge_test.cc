// When a throttle closes and opens.

#include "agent/throttle/judge.h"

#include <gmock/gmock.h>

namespace sluice::throttle {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr absl::Duration kStale = absl::Seconds(3);

class JudgeTest : public ::testing::Test {
 protected:
  static Limits Threads(double max) {
    Limits limits;
    limits.max[static_cast<size_t>(Metric::kThreads)] = max;
    return limits;
  }
  // A sample a quarter of a second after the last, judged at once.
  std::string Sees(std::optional<double> threads, const std::string& detail = "") {
    now_ += absl::Milliseconds(250);
    sample_ = Sample();
    sample_.at = now_;
    sample_.Of(Metric::kThreads) = {.value = threads, .detail = detail};
    return judge_.Look(sample_, now_);
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  Sample sample_;
  Judge judge_{Threads(10), kStale};
};

TEST_F(JudgeTest, IsClosedBeforeTheFirstSampleAndOpensWithIt) {
  EXPECT_THAT(judge_.Look(Sample(), now_), HasSubstr("not measured yet"));
  EXPECT_THAT(Sees(3), IsEmpty());
}

TEST_F(JudgeTest, ClosesOnOneSampleAndNamesValueAndLimit) {
  EXPECT_THAT(Sees(10), IsEmpty());
  EXPECT_EQ(Sees(11), "threads running 11 is above 10");
}

TEST_F(JudgeTest, OpensOnTheSecondCalmSampleInARow) {
  Sees(11);
  EXPECT_THAT(Sees(9), Not(IsEmpty()));
  EXPECT_THAT(Sees(9.5), Not(IsEmpty())) << "below the limit, but not by a tenth";
  EXPECT_THAT(Sees(9), Not(IsEmpty())) << "the first in a row";
  EXPECT_THAT(Sees(8), IsEmpty());
  EXPECT_THAT(Sees(9.9), IsEmpty()) << "open, it stays open up to the limit";
  EXPECT_THAT(Sees(10.1), Not(IsEmpty()));
}

TEST_F(JudgeTest, TheSameSampleCountsOnce) {
  Sees(11);
  Sees(1);
  for (int look = 0; look < 5; ++look) {
    EXPECT_THAT(judge_.Look(sample_, now_), Not(IsEmpty()));
  }
  EXPECT_THAT(Sees(1), IsEmpty());
}

TEST_F(JudgeTest, WhatCannotBeMeasuredIsClosed) {
  Sees(1);
  EXPECT_EQ(Sees(std::nullopt, "access denied"),
            "threads running could not be measured: access denied");
  EXPECT_THAT(Sees(1), Not(IsEmpty()));
  EXPECT_THAT(Sees(1), IsEmpty());
}

TEST_F(JudgeTest, AnOldSampleIsClosedAndANewOneOpensAgain) {
  Sees(1);
  EXPECT_THAT(judge_.Look(sample_, now_ + kStale), IsEmpty());
  EXPECT_THAT(judge_.Look(sample_, now_ + kStale + absl::Milliseconds(1)),
              HasSubstr("could not be measured for 3.0s"));
  now_ += absl::Minutes(1);
  EXPECT_THAT(Sees(1), IsEmpty());
}

TEST_F(JudgeTest, WithoutLimitsNothingIsClosed) {
  Judge judge(Limits(), kStale);
  EXPECT_THAT(judge.Look(Sample(), now_), IsEmpty());
}

TEST_F(JudgeTest, EachMetricIsJudgedByItsOwnLimitAndNamesWhoseItIs) {
  Limits limits = Threads(10);
  limits.max[static_cast<size_t>(Metric::kLag)] = 5000;
  limits.max[static_cast<size_t>(Metric::kDisk)] = 1500;
  limits.max[static_cast<size_t>(Metric::kQuery)] = 0;
  Judge judge(limits, kStale);
  const auto look = [&](double lag, double disk, double query) {
    now_ += absl::Milliseconds(250);
    Sample sample;
    sample.at = now_;
    sample.Of(Metric::kThreads).value = 1;
    sample.Of(Metric::kLag) = {.value = lag, .detail = "zone1-201"};
    sample.Of(Metric::kDisk).value = disk;
    sample.Of(Metric::kQuery).value = query;
    return judge.Look(sample, now_);
  };
  EXPECT_THAT(look(0, 0, 0), IsEmpty());
  EXPECT_EQ(look(12345, 0, 0), "replica lag of zone1-201 12.3s is above 5.0s");
  EXPECT_EQ(look(0, 2000, 0), "disk latency 2.00ms is above 1.50ms");
  EXPECT_EQ(look(0, 0, 1), "the throttle query's value 1 is above 0");
  look(0, 0, 0);
  EXPECT_THAT(look(0, 0, 0), IsEmpty()) << "a query's limit of 0 can be met";
}

}  // namespace
}  // namespace sluice::throttle
