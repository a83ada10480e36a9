// Tests of the client against peers that are slow, silent, restarted or dying.

#include <nng/nng.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nng/protocol/reqrep0/rep.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "tests/common/rpc/testing.h"

namespace sluice::rpc::testing {
namespace {

using ::testing::HasSubstr;

TEST(RpcClientTest, NamesTheUrlItCannotDial) {
  const auto client = Client::Dial("nonsense", "test");
  ASSERT_FALSE(client.ok());
  EXPECT_THAT(std::string(client.status().message()), HasSubstr("nonsense"));
}

TEST(RpcClientTest, FindsAPeerDownLongBeforeTheTimeout) {
  std::string url;
  {
    const auto server = StartServer(&Echo);
    url = server->url();
  }
  const auto client = Connect(url);
  const absl::Time start = absl::Now();
  const auto answer = Pick(*client, "a", "0", {.timeout = absl::Seconds(60)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("never sent"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  // Known by now, so at once.
  const absl::Time again = absl::Now();
  EXPECT_EQ(Pick(*client, "a", "0").status().code(), absl::StatusCode::kUnavailable);
  EXPECT_LT(absl::Now() - again, absl::Milliseconds(500));
}

TEST(RpcClientTest, SurvivesARestartOfThePeer) {
  auto server = StartServer(&Echo);
  const std::string url = server->url();
  const auto client = Connect(url);
  ASSERT_EQ(Pick(*client, "a", "0").status(), absl::OkStatus());
  for (int i = 0; i < 3; ++i) {
    server.reset();
    server = StartServer(&Echo, {.url = url});
    const absl::Time give_up = absl::Now() + absl::Seconds(20);
    auto answer = Pick(*client, "a", "0");
    while (!answer.ok() && absl::Now() < give_up) {
      answer = Pick(*client, "a", "0");
    }
    EXPECT_EQ(answer.status(), absl::OkStatus());
  }
}

// A rep socket that takes one request and then drops dead.
std::thread TakeOneRequestAndDie(const std::string& url, absl::Notification& taken) {
  nng_socket raw = NNG_SOCKET_INITIALIZER;
  EXPECT_EQ(nng_rep0_open(&raw), 0);
  EXPECT_EQ(nng_listen(raw, url.c_str(), nullptr, 0), 0);
  return std::thread([raw, &taken] {
    Socket socket(raw);
    nng_msg* request = nullptr;
    EXPECT_EQ(nng_recvmsg(raw, &request, 0), 0);
    const Message owned(request);
    socket.Close(absl::InfiniteDuration(), nullptr);
    taken.Notify();
  });
}

TEST(RpcClientTest, SendsARequestAgainWithTheSameIdWhenTheConnectionBreaks) {
  std::string url;
  {
    const auto server = StartServer(&Echo);
    url = server->url();
  }
  absl::Notification taken;
  std::thread dying = TakeOneRequestAndDie(url, taken);
  const auto client = Connect(url);
  absl::StatusOr<std::string> answer;
  std::thread caller([&] {
    answer = Pick(*client, "a", "0",
                  {.timeout = absl::Seconds(30), .idempotency_id = "the id", .traceparent = ""});
  });
  taken.WaitForNotification();
  dying.join();
  std::string seen_id;
  const auto server = StartServer(
      [&](const RequestContext& context, auto request, auto reply) {
        seen_id = context.idempotency_id;
        return Echo(context, request, reply);
      },
      {.url = url});
  caller.join();
  EXPECT_EQ(answer, absl::StatusOr<std::string>("a/0"));
  EXPECT_EQ(seen_id, "the id");
}

TEST(RpcClientTest, EndsACallInFlightWhenThePeerStaysAway) {
  std::string url;
  {
    const auto server = StartServer(&Echo);
    url = server->url();
  }
  absl::Notification taken;
  std::thread dying = TakeOneRequestAndDie(url, taken);
  const auto client = Connect(url);
  const absl::Time start = absl::Now();
  const auto answer = Pick(*client, "a", "0", {.timeout = absl::Seconds(60)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kUnavailable) << answer.status();
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("connection lost"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(15));
  dying.join();
}

TEST(RpcClientTest, CloseCancelsCallsInFlightAndRefusesNewOnes) {
  absl::Notification entered;
  const auto server = StartServer([&](const RequestContext& context, auto, auto) -> absl::Status {
    entered.Notify();
    while (!context.closing()) {
      std::this_thread::yield();
    }
    return absl::CancelledError("closing");
  });
  const auto client = Connect(server->url());
  absl::Status status;
  std::thread caller(
      [&] { status = Pick(*client, "a", "0", {.timeout = absl::Seconds(60)}).status(); });
  entered.WaitForNotification();
  client->Close();
  caller.join();
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled) << status;
  EXPECT_EQ(Pick(*client, "a", "0").status().code(), absl::StatusCode::kCancelled);
}

TEST(RpcClientTest, EndsAtTheDeadlineWithTheReasonThatThePeerGives) {
  const auto server = StartServer([](const RequestContext& context, auto, auto) -> absl::Status {
    absl::Mutex mutex;
    const absl::MutexLock lock(&mutex);
    const bool never = false;
    mutex.AwaitWithDeadline(absl::Condition(&never), context.deadline);
    return absl::DeadlineExceededError("held up by a test");
  });
  const auto client = Connect(server->url());
  const auto answer = Pick(*client, "a", "0", {.timeout = absl::Milliseconds(800)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(answer.status().message(), "held up by a test");
}

TEST(RpcClientTest, EndsAtTheDeadlineOfASilentPeer) {
  absl::Notification release;
  const auto server = StartServer([&](const RequestContext&, auto, auto) {
    release.WaitForNotification();
    return absl::OkStatus();
  });
  const auto client = Connect(server->url());
  const absl::Time start = absl::Now();
  const auto answer = Pick(*client, "a", "0", {.timeout = absl::Milliseconds(200)});
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
  release.Notify();
}

TEST(RpcClientTest, StandsManyCallsThatTimeOutWhileTheyAreSent) {
  std::atomic<bool> slow = true;
  const auto server = StartServer([&](const RequestContext& context, auto request, auto reply) {
    absl::Mutex mutex;
    const absl::MutexLock lock(&mutex);
    const bool never = false;
    if (slow) {
      mutex.AwaitWithDeadline(absl::Condition(&never), context.deadline + absl::Milliseconds(5));
    }
    return Echo(context, request, reply);
  });
  const auto client = Connect(server->url());
  ASSERT_EQ(Pick(*client, "a", "0").status(), absl::OkStatus());
  const std::string large(size_t{1} << 20U, 'k');
  std::vector<std::thread> callers;
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&] {
      for (int j = 0; j < 40; ++j) {
        (void)Pick(*client, large, "0", {.timeout = absl::Milliseconds(1 + j % 15)});
      }
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  slow = false;
  EXPECT_EQ(Pick(*client, "a", "0", {.timeout = absl::Seconds(30)}),
            absl::StatusOr<std::string>("a/0"));
}

TEST(RpcClientTest, RefusesToSendWhatIsTooLarge) {
  const auto server = StartServer(&Echo);
  const auto client = Connect(server->url());
  const auto answer = Pick(*client, std::string(kFrameBytesMax + 1, 'x'), "0");
  EXPECT_EQ(answer.status().code(), absl::StatusCode::kResourceExhausted) << answer.status();
}

}  // namespace
}  // namespace sluice::rpc::testing
