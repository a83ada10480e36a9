// Tests of the server: limits, deadlines, repeated requests, long polls.

#include "common/rpc/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "common/base/random_id.h"
#include "common/base/status.h"
#include "tests/common/rpc/rude_peer.h"
#include "tests/common/rpc/testing.h"

namespace sluice::rpc::testing {
namespace {

using ::testing::HasSubstr;

TEST(RpcServerTest, AnswersACall) {
  const auto server = StartServer(&Echo);
  const auto client = Connect(server->url());
  EXPECT_EQ(Pick(*client, "commerce", "-80"), absl::StatusOr<std::string>("commerce/-80"));
}

TEST(RpcServerTest, CarriesErrorsWithCodeMessageAndSubject) {
  const auto server = StartServer([](const RequestContext&, auto, auto reply) {
    reply.setAlias("a part of an answer");
    return WithSubject(absl::NotFoundError("no keyspace of this name"), "keyspace customer");
  });
  const auto client = Connect(server->url());
  const absl::Status status = Pick(*client, "customer", "0").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "no keyspace of this name");
  EXPECT_EQ(SubjectOf(status), "keyspace customer");
}

TEST(RpcServerTest, TellsTheHandlerWhoCallsAndUntilWhen) {
  RequestContext seen;
  const auto server = StartServer([&](const RequestContext& context, auto request, auto reply) {
    seen = context;
    return Echo(context, request, reply);
  });
  const auto client = Connect(server->url());
  const std::string parent = NewTraceparent();
  const absl::Time start = absl::Now();
  ASSERT_EQ(Pick(*client, "a", "0",
                 {.timeout = absl::Seconds(30), .idempotency_id = "x", .traceparent = parent})
                .status(),
            absl::OkStatus());
  EXPECT_EQ(seen.method, schemas::Method::PICK_SOURCE);
  EXPECT_EQ(seen.caller, "test");
  EXPECT_EQ(seen.idempotency_id, "x");
  EXPECT_EQ(seen.traceparent.substr(0, 36), parent.substr(0, 36));
  EXPECT_NE(seen.traceparent, parent);
  EXPECT_GT(seen.deadline, start + absl::Seconds(20));
  EXPECT_LT(seen.deadline, start + absl::Seconds(60));
}

TEST(RpcServerTest, RunsARepeatedIdOnce) {
  std::atomic<int> runs = 0;
  const auto server = StartServer([&](const RequestContext& context, auto request, auto reply) {
    ++runs;
    return Echo(context, request, reply);
  });
  const auto client = Connect(server->url());
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(Pick(*client, "a", "0", {.idempotency_id = "same"}),
              absl::StatusOr<std::string>("a/0"));
  }
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(Pick(*client, "b", "0", {.idempotency_id = "other"}),
            absl::StatusOr<std::string>("b/0"));
  EXPECT_EQ(runs, 2);
}

TEST(RpcServerTest, RunsARepeatAgainAfterAnError) {
  std::atomic<int> runs = 0;
  const auto server =
      StartServer([&](const RequestContext& context, auto request, auto reply) -> absl::Status {
        if (++runs == 1) {
          return absl::AbortedError("try again");
        }
        return Echo(context, request, reply);
      });
  const auto client = Connect(server->url());
  EXPECT_EQ(Pick(*client, "a", "0", {.idempotency_id = "same"}).status().code(),
            absl::StatusCode::kAborted);
  EXPECT_EQ(Pick(*client, "a", "0", {.idempotency_id = "same"}),
            absl::StatusOr<std::string>("a/0"));
}

TEST(RpcServerTest, RunsMethodsThatAreNotRememberedEachTime) {
  std::atomic<int> runs = 0;
  const auto server = StartServer(
      [&](const RequestContext& context, auto request, auto reply) {
        ++runs;
        return Echo(context, request, reply);
      },
      {}, /*remember=*/false);
  const auto client = Connect(server->url());
  EXPECT_TRUE(Pick(*client, "a", "0", {.idempotency_id = "same"}).ok());
  EXPECT_TRUE(Pick(*client, "a", "0", {.idempotency_id = "same"}).ok());
  EXPECT_EQ(runs, 2);
}

TEST(RpcServerTest, ARepeatInFlightJoinsTheFirst) {
  std::atomic<int> runs = 0;
  absl::Notification entered;
  absl::Notification release;
  const auto server = StartServer([&](const RequestContext& context, auto request, auto reply) {
    if (context.idempotency_id != "same") {
      return Echo(context, request, reply);
    }
    ++runs;
    entered.Notify();
    release.WaitForNotification();
    return Echo(context, request, reply);
  });
  const auto client = Connect(server->url());
  std::vector<std::thread> callers;
  std::atomic<int> answered = 0;
  const auto call = [&] {
    const auto answer =
        Pick(*client, "a", "0",
             {.timeout = absl::Seconds(60), .idempotency_id = "same", .traceparent = ""});
    answered += answer.ok() && *answer == "a/0" ? 1 : 0;
  };
  callers.emplace_back(call);
  entered.WaitForNotification();
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back(call);
  }
  // A call of its own shows that the server is not held up by those that joined.
  EXPECT_TRUE(Pick(*client, "b", "0", {.timeout = absl::Seconds(60)}).ok());
  release.Notify();
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(runs, 1);
  EXPECT_EQ(answered, 5);
}

TEST(RpcServerTest, RunsManyHandlersAtOnce) {
  constexpr int kCalls = 40;
  absl::Mutex mutex;
  int inside = 0;
  const auto server = StartServer(
      [&](const RequestContext& context, auto request, auto reply) {
        const absl::MutexLock lock(&mutex);
        ++inside;
        const auto all = [&inside] { return inside == kCalls; };
        mutex.Await(absl::Condition(&all));
        return Echo(context, request, reply);
      },
      {.contexts = kCalls});
  const auto client = Connect(server->url());
  std::vector<std::thread> callers;
  std::atomic<int> answered = 0;
  for (int i = 0; i < kCalls; ++i) {
    callers.emplace_back(
        [&] { answered += Pick(*client, "a", "0", {.timeout = absl::Seconds(60)}).ok() ? 1 : 0; });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(answered, kCalls);
}

TEST(RpcServerTest, LongPollsLeaveRoomForShortCalls) {
  Server server({.url = "tcp://127.0.0.1:0", .contexts = 8});
  absl::BlockingCounter inside(6);
  absl::Notification release;
  server.Register<schemas::AwaitMarkerRequest, schemas::AwaitMarkerReply>(
      schemas::Method::AWAIT_MARKER,
      [&](const RequestContext&, auto, auto) {
        inside.DecrementCount();
        release.WaitForNotification();
        return absl::OkStatus();
      },
      /*remember=*/false);
  server.Register<schemas::PickSourceRequest, schemas::PickSourceReply>(
      schemas::Method::PICK_SOURCE, &Echo);
  ASSERT_EQ(server.Start(), absl::OkStatus());
  const auto client = Connect(server.url());
  const auto await_marker = [&] {
    return client->Call<schemas::AwaitMarkerRequest, schemas::AwaitMarkerReply>(
        schemas::Method::AWAIT_MARKER, [](auto) {}, [](auto) { return absl::OkStatus(); },
        {.timeout = absl::Seconds(60)});
  };
  std::vector<std::thread> callers;
  callers.reserve(6);
  for (int i = 0; i < 6; ++i) {
    callers.emplace_back([&] { EXPECT_EQ(await_marker(), absl::OkStatus()); });
  }
  inside.Wait();
  EXPECT_EQ(await_marker().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(Pick(*client, "a", "0", {.timeout = absl::Seconds(30)}).ok());
  release.Notify();
  for (std::thread& caller : callers) {
    caller.join();
  }
}

TEST(RpcServerTest, StopLetsRunningHandlersEndAndTellsThem) {
  absl::Notification entered;
  std::atomic<bool> saw_closing = false;
  auto server = StartServer([&](const RequestContext& context, auto, auto) {
    entered.Notify();
    while (!context.closing()) {
      std::this_thread::yield();
    }
    saw_closing = true;
    return absl::OkStatus();
  });
  const auto client = Connect(server->url());
  std::thread caller([&] { (void)Pick(*client, "a", "0", {.timeout = absl::Seconds(30)}); });
  entered.WaitForNotification();
  server->Stop();
  EXPECT_TRUE(saw_closing);
  caller.join();
}

TEST(RpcServerTest, NamesTheUrlThatIsTaken) {
  const auto server = StartServer(&Echo);
  Server second({.url = server->url()});
  const absl::Status status = second.Start();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(server->url()));
}

TEST(RpcServerTest, RefusesAnAnswerThatIsTooLarge) {
  const auto server = StartServer([](const RequestContext&, auto, auto reply) {
    reply.setAlias(std::string(kFrameBytesMax, 'x'));
    return absl::OkStatus();
  });
  const auto client = Connect(server->url());
  EXPECT_EQ(Pick(*client, "a", "0", {.timeout = absl::Seconds(30)}).status().code(),
            absl::StatusCode::kResourceExhausted);
}

TEST(RpcServerTest, ForgetsClientsThatVanish) {
  const auto server = StartServer(&Echo, {.contexts = 2});
  for (int i = 0; i < 10; ++i) {
    // Gone before its answer.
    const auto vanishing = Connect(server->url());
    (void)Pick(*vanishing, "gone", "0", {.timeout = absl::Milliseconds(1)});
  }
  const auto client = Connect(server->url());
  EXPECT_TRUE(Pick(*client, "a", "0", {.timeout = absl::Seconds(30)}).ok());
}

// Peers that send without end and go, with a reset, while frames are half sent in both directions.
TEST(RpcServerTest, StandsManyPeersThatVanishInTheMiddleOfTraffic) {
  constexpr int kThreads = 4;
  constexpr absl::Duration kFor = absl::Seconds(2);
  constexpr absl::Duration kQuietMax = absl::Seconds(20);
  const auto server = StartServer(&Echo, {}, /*remember=*/false);
  ASSERT_TRUE(Pick(*Connect(server->url()), "a", "0").ok());
  const size_t files = OpenFiles();
  const absl::Time end = absl::Now() + kFor;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    threads.emplace_back([&, i] {
      const size_t key_bytes = i % 2 == 0 ? 100 : size_t{300} << 10U;
      for (size_t round = 0; absl::Now() < end; ++round) {
        TalkAndVanish(server->url(), key_bytes, round % 16 * key_bytes / 4);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  // Nothing of them stays, and others are served.
  const absl::Time give_up = absl::Now() + kQuietMax;
  while (OpenFiles() > files + 4 && absl::Now() < give_up) {
    std::this_thread::yield();
  }
  EXPECT_LE(OpenFiles(), files + 4);
  EXPECT_TRUE(Pick(*Connect(server->url()), "a", "0", {.timeout = absl::Seconds(30)}).ok());
  const absl::Time stop = absl::Now();
  server->Stop();
  EXPECT_LT(absl::Now() - stop, absl::Seconds(4));
}

}  // namespace
}  // namespace sluice::rpc::testing
