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
    nng_msg* request = nullptr;
    EXPECT_EQ(nng_recvmsg(raw, &request, 0), 0);
    const Message owned(request);
    EXPECT_EQ(nng_close(raw), 0);
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

TEST(RpcClientTest, CloseDoesNotWaitForALateAnswer) {
  absl::Notification release;
  const auto server = StartServer([&](const RequestContext&, auto, auto) {
    release.WaitForNotification();
    return absl::OkStatus();
  });
  const auto client = Connect(server->url());
  EXPECT_EQ(Pick(*client, "a", "0", {.timeout = absl::Milliseconds(50)}).status().code(),
            absl::StatusCode::kDeadlineExceeded);
  const absl::Time start = absl::Now();
  client->Close();
  EXPECT_LT(absl::Now() - start, absl::Milliseconds(500));
  release.Notify();
}

// Closes each client while the answer of its last call may be arriving.
TEST(RpcClientTest, StandsManyClosesInTheMiddleOfAnAnswer) {
  constexpr int kThreads = 4;
  constexpr absl::Duration kFor = absl::Seconds(2);
  constexpr absl::Duration kCloseMax = absl::Seconds(3);
  const auto server = StartServer(&Echo);
  const absl::Time end = absl::Now() + kFor;
  std::atomic<int> rounds = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const std::string key(size_t{1} << (4U * static_cast<unsigned>(i + 1)), 'k');
      while (absl::Now() < end) {
        const auto client = Connect(server->url());
        EXPECT_TRUE(Pick(*client, key, "0", {.timeout = absl::Seconds(30)}).ok());
        std::thread last([&] { (void)Pick(*client, key, "0"); });
        for (int j = 0; j < rounds % 100; ++j) {
          std::this_thread::yield();
        }
        const absl::Time start = absl::Now();
        client->Close();
        EXPECT_LT(absl::Now() - start, kCloseMax);
        last.join();
        ++rounds;
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_GT(rounds, 0);
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
  // The reason has a tenth of the time to arrive in, which a machine under load may need more than
  // one try to keep.
  std::string reason;
  for (int i = 0; i < 10 && reason != "held up by a test"; ++i) {
    const auto answer = Pick(*client, "a", "0", {.timeout = absl::Milliseconds(800)});
    EXPECT_EQ(answer.status().code(), absl::StatusCode::kDeadlineExceeded);
    reason = std::string(answer.status().message());
  }
  EXPECT_EQ(reason, "held up by a test");
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
  std::atomic<bool> slow = false;
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
  slow = true;
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
