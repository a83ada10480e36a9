// Tests of connections against peers that greet wrongly, send nonsense, stall or go.

#include "common/rpc/connection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>

#include "absl/time/clock.h"
#include "tests/common/rpc/rude_peer.h"
#include "tests/common/rpc/testing.h"

namespace sluice::rpc::testing {
namespace {

using ::testing::HasSubstr;

// Two connections, one at each end of a stream.
class RpcConnectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    nng_stream_listener* listener = nullptr;
    ASSERT_EQ(nng_stream_listener_alloc(&listener, "tcp://127.0.0.1:0"), 0);
    const StreamListener owned_listener(listener);
    ASSERT_EQ(nng_stream_listener_listen(listener), 0);
    int port = 0;
    ASSERT_EQ(nng_stream_listener_get_int(listener, NNG_OPT_TCP_BOUND_PORT, &port), 0);
    nng_stream_dialer* dialer = nullptr;
    ASSERT_EQ(nng_stream_dialer_alloc(&dialer, ("tcp://127.0.0.1:" + std::to_string(port)).c_str()),
              0);
    const StreamDialer owned_dialer(dialer);
    Operation dial;
    ASSERT_EQ(dial.Run(Soon(), [dialer](nng_aio* aio) { nng_stream_dialer_dial(dialer, aio); }), 0);
    near_ = std::make_unique<Connection>(dial.TakeStream());
    Operation accept;
    ASSERT_EQ(
        accept.Run(Soon(), [listener](nng_aio* aio) { nng_stream_listener_accept(listener, aio); }),
        0);
    far_ = std::make_unique<Connection>(accept.TakeStream());
  }

  static absl::Time Soon() { return absl::Now() + absl::Seconds(20); }

  static Message Body(const std::string& bytes) {
    Message message;
    EXPECT_EQ(CopyToMessage(bytes, message), absl::OkStatus());
    return message;
  }

  std::unique_ptr<Connection> near_;
  std::unique_ptr<Connection> far_;
};

TEST_F(RpcConnectionTest, CarriesFramesOfAllSizes) {
  std::thread sender([&] {
    for (const size_t bytes : {0U, 1U, 16383U, 16384U, 16385U, 5000000U, 7U}) {
      EXPECT_EQ(near_->Send(0x80000000U + static_cast<uint32_t>(bytes),
                            Body(std::string(bytes, 'x')), absl::Seconds(20)),
                absl::OkStatus());
    }
  });
  for (const size_t bytes : {0U, 1U, 16383U, 16384U, 16385U, 5000000U, 7U}) {
    Frame frame;
    ASSERT_EQ(far_->Receive(kFrameBytesMax, frame), absl::OkStatus());
    EXPECT_EQ(frame.id, 0x80000000U + bytes);
    EXPECT_TRUE(BodyOf(frame.body) == std::string(bytes, 'x')) << bytes;
  }
  sender.join();
}

TEST_F(RpcConnectionTest, RefusesAPeerOfItsOwnSide) {
  std::thread peer([&] { (void)far_->Greet(Side::kRequests, Side::kReplies, Soon()); });
  EXPECT_EQ(near_->Greet(Side::kRequests, Side::kReplies, Soon()).code(),
            absl::StatusCode::kInvalidArgument);
  peer.join();
}

TEST_F(RpcConnectionTest, GivesUpAPeerThatDoesNotGreet) {
  EXPECT_EQ(
      near_->Greet(Side::kRequests, Side::kReplies, absl::Now() + absl::Milliseconds(50)).code(),
      absl::StatusCode::kDeadlineExceeded);
}

TEST_F(RpcConnectionTest, RefusesAFrameAboveTheLimitWithItsSize) {
  ASSERT_EQ(near_->Send(0x80000000U, Body("12345"), absl::Seconds(20)), absl::OkStatus());
  Frame frame;
  const absl::Status status = far_->Receive(4, frame);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("5 bytes"));
}

TEST_F(RpcConnectionTest, RefusesAFrameWithoutAnId) {
  ASSERT_EQ(near_->Send(1, Body("12345"), absl::Seconds(20)), absl::OkStatus());
  Frame frame;
  EXPECT_EQ(far_->Receive(kFrameBytesMax, frame).code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(RpcConnectionTest, FailsToSendToAPeerThatTakesNothing) {
  const Message large = Body(std::string(size_t{32} << 20U, 'x'));
  EXPECT_EQ(near_->Send(0x80000000U, large, absl::Milliseconds(100)).code(),
            absl::StatusCode::kDeadlineExceeded);
  // A part of it is out.
  EXPECT_EQ(near_->Send(0x80000000U, Body("x"), absl::Seconds(20)).code(),
            absl::StatusCode::kCancelled);
}

TEST_F(RpcConnectionTest, CancelEndsWhatWaits) {
  std::thread receiver([&] {
    Frame frame;
    EXPECT_EQ(near_->Receive(kFrameBytesMax, frame).code(), absl::StatusCode::kCancelled);
  });
  std::thread sender([&] {
    const Message large = Body(std::string(size_t{32} << 20U, 'x'));
    EXPECT_EQ(near_->Send(0x80000000U, large, absl::InfiniteDuration()).code(),
              absl::StatusCode::kCancelled);
  });
  near_->Cancel();
  receiver.join();
  sender.join();
}

TEST_F(RpcConnectionTest, FindsThePeerGone) {
  far_.reset();
  Frame frame;
  EXPECT_FALSE(near_->Receive(kFrameBytesMax, frame).ok());
}

}  // namespace
}  // namespace sluice::rpc::testing
