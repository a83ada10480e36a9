// Sizes follow the time that mysqld takes.

#include "agent/target/size_steering.h"

#include <gtest/gtest.h>

namespace sluice::target {
namespace {

constexpr absl::Duration kTarget = absl::Milliseconds(200);

TEST(SizeSteeringTest, AFastServerGetsTheLargest) {
  SizeSteering steering(100, 10'000, kTarget);
  for (int i = 0; i < 5; ++i) {
    steering.Took(steering.size(), absl::Milliseconds(10));
    EXPECT_EQ(steering.size(), 10'000U);
  }
}

// A server of so many a millisecond settles within a factor of two of the target time.
TEST(SizeSteeringTest, ASlowServerGetsWhatItDoesInTheTargetTime) {
  SizeSteering steering(10, 1 << 20, kTarget);
  constexpr size_t kPerMillisecond = 50;
  for (int i = 0; i < 40; ++i) {
    steering.Took(steering.size(),
                  absl::Milliseconds(static_cast<double>(steering.size()) / kPerMillisecond));
  }
  EXPECT_LE(steering.size(), 200 * kPerMillisecond);
  EXPECT_GE(steering.size(), 50 * kPerMillisecond);
}

TEST(SizeSteeringTest, StaysWithinItsBounds) {
  SizeSteering steering(100, 1000, kTarget);
  for (int i = 0; i < 20; ++i) {
    steering.Took(steering.size(), absl::Seconds(10));
  }
  EXPECT_EQ(steering.size(), 100U);
  steering.Took(3, absl::Seconds(10));
  EXPECT_EQ(steering.size(), 100U);
}

TEST(SizeSteeringTest, LittleWorkDoneSoonSaysNothingOfMuch) {
  SizeSteering steering(100, 1000, kTarget);
  steering.Took(1000, absl::Seconds(1));
  EXPECT_EQ(steering.size(), 500U);
  steering.Took(10, absl::Milliseconds(1));
  EXPECT_EQ(steering.size(), 500U);
  steering.Took(400, absl::Milliseconds(20));
  EXPECT_EQ(steering.size(), 1000U);
}

}  // namespace
}  // namespace sluice::target
