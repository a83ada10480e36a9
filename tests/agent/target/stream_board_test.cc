// Tests of a stream's board: lag, messages, and waiting for markers.

#include "agent/target/stream_board.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "absl/synchronization/notification.h"

namespace sluice::target {
namespace {

using ::testing::HasSubstr;

constexpr char kGtids[] = "01010101-0101-0101-0101-010101010101:1-7";

StreamRecord Running() {
  StreamRecord record;
  record.spec.id = 7;
  record.state = schemas::StreamState::RUNNING;
  record.position.position = AppliedPosition{*gtid::GtidSet::Parse(kGtids)};
  return record;
}

bool NotClosing() {
  return false;
}

TEST(StreamBoardTest, LagIsUnknownThenMeasuredThenZeroWhenCaughtUp) {
  StreamBoard board(Running());
  EXPECT_EQ(board.Status().lag_ms, -1);
  board.Heard({.source_time_us = 5'000'000, .transaction_us = 2'000'000});
  EXPECT_EQ(board.Status().lag_ms, 3000);
  board.Heard({.source_time_us = 1'000'000, .transaction_us = 2'000'000});
  EXPECT_EQ(board.Status().lag_ms, 0);
  board.Heard({.source_time_us = 9'000'000, .transaction_us = 2'000'000, .caught_up = true});
  EXPECT_EQ(board.Status().lag_ms, 0);
}

TEST(StreamBoardTest, ANoteIsShownUntilTheSourceIsHeardAgain) {
  StreamBoard board(Running());
  board.SetNote("source zone1-100: no connection");
  EXPECT_EQ(board.Status().message, "source zone1-100: no connection");
  board.Heard({.caught_up = true});
  EXPECT_EQ(board.Status().message, "");
}

TEST(StreamBoardTest, AMarkerThatIsAppliedAnswersAtOnceEvenWhenStopped) {
  StreamRecord record = Running();
  record.position.markers = {"m1"};
  record.state = schemas::StreamState::STOPPED;
  const StreamBoard board(record);
  const auto position = board.AwaitMarker("m1", absl::Now(), NotClosing);
  ASSERT_TRUE(position.ok()) << position.status();
  EXPECT_EQ(*position, kGtids);
}

TEST(StreamBoardTest, TheCommitOfAMarkerWakesWhoWaits) {
  StreamBoard board(Running());
  absl::Notification done;
  std::jthread waiter([&] {
    EXPECT_TRUE(board.AwaitMarker("m2", absl::Now() + absl::Seconds(30), NotClosing).ok());
    done.Notify();
  });
  PositionRow row = Running().position;
  row.markers = {"m2"};
  board.SetPosition(row);
  EXPECT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(20)));
}

TEST(StreamBoardTest, WaitingEndsWithTheReason) {
  StreamBoard board(Running());
  EXPECT_TRUE(absl::IsDeadlineExceeded(board.AwaitMarker("m", absl::Now(), NotClosing).status()));
  EXPECT_TRUE(absl::IsCancelled(
      board.AwaitMarker("m", absl::InfiniteFuture(), [] { return true; }).status()));
  StreamRecord record = Running();
  record.state = schemas::StreamState::ERROR;
  record.message = "table x changed";
  board.SetRecord(record);
  const absl::Status status = board.AwaitMarker("m", absl::InfiniteFuture(), NotClosing).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("table x changed"));
}

}  // namespace
}  // namespace sluice::target
