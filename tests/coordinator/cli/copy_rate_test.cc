// Rates and ends of copies.

#include "coordinator/cli/copy_rate.h"

#include <gtest/gtest.h>

namespace sluice::cli {
namespace {

absl::Time At(double seconds) {
  return absl::UnixEpoch() + absl::Seconds(seconds);
}

TEST(CopyRateTest, OneLookTellsNothing) {
  CopyRate rate;
  EXPECT_EQ(rate.TimeLeft(100), std::nullopt);
  rate.Add(At(0), 500, 5000);
  EXPECT_EQ(rate.rows_per_second(), 0);
  EXPECT_EQ(rate.Describe(100), "0 rows/s, 0 B/s, end not known yet");
}

TEST(CopyRateTest, RateAndEndComeFromTheDifference) {
  CopyRate rate;
  rate.Add(At(0), 1000, 1 << 20);
  rate.Add(At(2), 3000, 5 << 20);
  EXPECT_DOUBLE_EQ(rate.rows_per_second(), 1000);
  EXPECT_EQ(rate.TimeLeft(80'500), absl::Seconds(80.5));
  EXPECT_EQ(rate.Describe(80'500), "1000 rows/s, 2.0 MiB/s, ends in about 1m21s");
}

TEST(CopyRateTest, OldLooksAreForgotten) {
  CopyRate rate;
  rate.Add(At(0), 0, 0);
  for (int second = 1; second <= 30; ++second) {
    // Slow for twenty seconds, then a hundred times faster.
    const int64_t rows = second <= 20 ? second * 10 : 200 + (second - 20) * 1000;
    rate.Add(At(second), rows, rows);
  }
  EXPECT_DOUBLE_EQ(rate.rows_per_second(), 1000);
}

TEST(CopyRateTest, ACopyThatBeginsAnewIsMeasuredAnew) {
  CopyRate rate;
  rate.Add(At(0), 5000, 5000);
  rate.Add(At(1), 10, 10);
  EXPECT_EQ(rate.rows_per_second(), 0);
  rate.Add(At(2), 30, 30);
  EXPECT_DOUBLE_EQ(rate.rows_per_second(), 20);
}

TEST(CopyRateTest, AnEndlessCopyIsCappedAtAYear) {
  CopyRate rate;
  rate.Add(At(0), 0, 0);
  rate.Add(At(10), 1, 1);
  EXPECT_EQ(rate.TimeLeft(int64_t{1} << 60), absl::Hours(24 * 365));
}

}  // namespace
}  // namespace sluice::cli
