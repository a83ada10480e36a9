// Tests of what crosses the wire: versions, errors, foreign bytes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "tests/common/rpc/testing.h"

namespace sluice::rpc::testing {
namespace {

using ::testing::HasSubstr;

// Reads every field, so that spoilt pointers are met inside the handler too.
absl::Status ReadEverything(const RequestContext& /*context*/,
                            schemas::PickSourceRequest::Reader request,
                            schemas::PickSourceReply::Builder reply) {
  size_t sum = request.getKeyspace().size() + request.getShard().size();
  for (const schemas::TabletType type : request.getTypes()) {
    sum += static_cast<size_t>(type);
  }
  reply.setAlias(std::to_string(sum));
  return absl::OkStatus();
}

TEST(RpcWireTest, AnswersAHandMadeRequest) {
  const auto server = StartServer(&Echo);
  RawClient client(server->url());
  EXPECT_EQ(client.Ask(RequestBytes({})), absl::OkStatus());
}

TEST(RpcWireTest, RefusesAnotherProtocolVersionWithBothNumbers) {
  const auto server = StartServer(&Echo);
  RawClient client(server->url());
  const absl::Status status = client.Ask(RequestBytes({.version = 7}));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(status.message(), "peer speaks protocol 7, this program 1");
}

TEST(RpcWireTest, RefusesVersionZeroAndDeadlineZero) {
  const auto server = StartServer(&Echo);
  RawClient client(server->url());
  EXPECT_EQ(client.Ask(RequestBytes({.version = 0})).code(), absl::StatusCode::kInvalidArgument);
  const absl::Status status = client.Ask(RequestBytes({.deadline_ms = 0}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("deadline"));
}

TEST(RpcWireTest, RefusesARequestWithoutAnId) {
  const auto server = StartServer(&Echo);
  RawClient client(server->url());
  EXPECT_EQ(client.Ask(RequestBytes({.id = ""})).code(), absl::StatusCode::kInvalidArgument);
}

TEST(RpcWireTest, NamesAnUnknownMethod) {
  const auto server = StartServer(&Echo);
  RawClient client(server->url());
  const absl::Status status = client.Ask(RequestBytes({.method = 999}));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_THAT(std::string(status.message()), HasSubstr("999"));
}

TEST(RpcWireTest, RefusesAMessageOfAllDefaults) {
  const auto server = StartServer(&Echo);
  RawClient client(server->url());
  EXPECT_EQ(client.Ask("\xff\xff\xff\xff").code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(client.Ask("").code(), absl::StatusCode::kInvalidArgument);
}

TEST(RpcWireTest, RefusesAnOversizedRequestWithItsSize) {
  const auto server = StartServer(&Echo, {.receive_bytes_max = 4096});
  RawClient client(server->url());
  const absl::Status status =
      client.Ask(RequestBytes({.keyspace = std::string(size_t{100} << 10U, 'x')}));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("at most 4096"));
}

TEST(RpcWireTest, AnswersEveryTruncationOfARequest) {
  const auto server = StartServer(&ReadEverything);
  RawClient client(server->url());
  const std::string whole = RequestBytes({});
  for (size_t length = 0; length < whole.size(); ++length) {
    EXPECT_FALSE(client.Exchange(whole.substr(0, length)).empty()) << length;
  }
}

TEST(RpcWireTest, SurvivesMutatedRequests) {
  const auto server = StartServer(&ReadEverything);
  RawClient client(server->url());
  const std::string whole = RequestBytes({});
  std::mt19937 random(7);  // NOLINT(cert-msc51-cpp): the same frames at every run
  int refused = 0;
  for (int i = 0; i < 3000; ++i) {
    std::string spoilt = whole;
    const size_t changes = 1 + random() % 4;
    for (size_t j = 0; j < changes; ++j) {
      // The segment table is left alone half of the time, to get at the pointers behind it.
      const size_t from = random() % 2 == 0 ? 0 : 8;
      spoilt[from + random() % (spoilt.size() - from)] = static_cast<char>(random());
    }
    const absl::Status status = client.Ask(spoilt);
    ASSERT_NE(status.message(), "no answer") << i;
    refused += status.ok() ? 0 : 1;
  }
  EXPECT_GT(refused, 100);
  EXPECT_EQ(client.Ask(RequestBytes({.id = "after"})), absl::OkStatus());
}

TEST(RpcWireTest, BoundsWhatAHandlerMayTraverse) {
  // A few bytes that claim to be a long list of empty structs, read over and over.
  const auto server =
      StartServer([](const RequestContext&, schemas::PickSourceRequest::Reader request,
                     schemas::PickSourceReply::Builder) {
        for (int i = 0; i < 1000000; ++i) {
          (void)request.getKeyspace();
        }
        return absl::OkStatus();
      });
  RawClient client(server->url());
  EXPECT_EQ(client.Ask(RequestBytes({.keyspace = std::string(10000, 'k')})).code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::rpc::testing
