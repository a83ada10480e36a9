// Helpers of the rpc tests: a server of two methods, calls of them, and a raw req socket.

#pragma once

#include <nng/nng.h>
#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gtest/gtest.h>
#include <nng/protocol/reqrep0/req.h>

#include <cstring>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "common/rpc/client.h"
#include "common/rpc/frame.h"
#include "common/rpc/server.h"
#include "schemas/control.capnp.h"

namespace sluice::rpc::testing {

using PickHandler = std::function<absl::Status(
    const RequestContext&, schemas::PickSourceRequest::Reader, schemas::PickSourceReply::Builder)>;

// Answers keyspace/shard as the alias.
inline absl::Status Echo(const RequestContext& /*context*/,
                         schemas::PickSourceRequest::Reader request,
                         schemas::PickSourceReply::Builder reply) {
  reply.setAlias(std::string(request.getKeyspace()) + "/" + std::string(request.getShard()));
  return absl::OkStatus();
}

inline std::unique_ptr<Server> StartServer(PickHandler handler, ServerOptions options = {},
                                           bool remember = true) {
  if (options.url.empty()) {
    options.url = "tcp://127.0.0.1:0";
  }
  auto server = std::make_unique<Server>(std::move(options));
  server->Register<schemas::PickSourceRequest, schemas::PickSourceReply>(
      schemas::Method::PICK_SOURCE, std::move(handler), remember);
  EXPECT_EQ(server->Start(), absl::OkStatus());
  return server;
}

inline std::unique_ptr<Client> Connect(const std::string& url) {
  auto client = Client::Dial(url, "test");
  EXPECT_TRUE(client.ok()) << client.status();
  return *std::move(client);
}

inline absl::StatusOr<std::string> Pick(Client& client, const std::string& keyspace,
                                        const std::string& shard, const CallOptions& options = {}) {
  std::string alias;
  const absl::Status status = client.Call<schemas::PickSourceRequest, schemas::PickSourceReply>(
      schemas::Method::PICK_SOURCE,
      [&](schemas::PickSourceRequest::Builder request) {
        request.setKeyspace(keyspace);
        request.setShard(shard);
      },
      [&](schemas::PickSourceReply::Reader reply) {
        alias = std::string(reply.getAlias());
        return absl::OkStatus();
      },
      options);
  if (!status.ok()) {
    return status;
  }
  return alias;
}

// The bytes of a message.
inline std::string BytesOf(capnp::MessageBuilder& builder) {
  const kj::Array<capnp::word> words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asChars();
  return {bytes.begin(), bytes.size()};
}

// A well-formed pickSource request, for tests to spoil.
struct RequestFields {
  uint16_t version = schemas::PROTOCOL_VERSION;
  uint16_t method = static_cast<uint16_t>(schemas::Method::PICK_SOURCE);
  uint32_t deadline_ms = 5000;
  std::string id = "id";
  std::string keyspace = "commerce";
};

inline std::string RequestBytes(const RequestFields& fields) {
  capnp::MallocMessageBuilder builder;
  auto request = builder.initRoot<schemas::Request>();
  request.setProtocolVersion(fields.version);
  request.setMethod(static_cast<schemas::Method>(fields.method));
  request.setDeadlineMs(fields.deadline_ms);
  request.setIdempotencyId(fields.id);
  auto body = request.getBody().initAs<schemas::PickSourceRequest>();
  body.setKeyspace(fields.keyspace);
  body.setShard("0");
  body.initTypes(2).set(0, schemas::TabletType::REPLICA);
  return BytesOf(builder);
}

// A req socket of nng, a stranger to our own code, that sends whatever bytes it is given. Quiet
// when it is closed: each exchange has ended.
class RawClient {
 public:
  explicit RawClient(const std::string& url) {
    EXPECT_EQ(nng_req0_open(&socket_), 0);
    EXPECT_EQ(nng_socket_set_ms(socket_, NNG_OPT_RECVTIMEO, 20000), 0);
    EXPECT_EQ(nng_socket_set_ms(socket_, NNG_OPT_SENDTIMEO, 20000), 0);
    EXPECT_EQ(nng_dial(socket_, url.c_str(), nullptr, 0), 0);
  }
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;
  ~RawClient() { (void)nng_close(socket_); }

  // The answer's bytes; empty when none came.
  std::string Exchange(const std::string& bytes) {
    Message request;
    EXPECT_EQ(CopyToMessage(bytes, request), absl::OkStatus());
    if (nng_sendmsg(socket_, request.get(), 0) != 0) {
      return "";
    }
    (void)request.release();
    nng_msg* answer = nullptr;
    if (nng_recvmsg(socket_, &answer, 0) != 0) {
      return "";
    }
    const Message owned(answer);
    return std::string(BodyOf(owned));
  }

  // The status in the answer; INTERNAL when it is no answer.
  absl::Status Ask(const std::string& bytes) {
    const std::string answer = Exchange(bytes);
    absl::Status status = absl::InternalError("no answer");
    const absl::Status decoded = Guard("answer", [&] {
      FrameReader frame(answer);
      const auto response = frame.root<schemas::Response>();
      EXPECT_EQ(response.getProtocolVersion(), schemas::PROTOCOL_VERSION);
      status = absl::Status(static_cast<absl::StatusCode>(response.getCode()),
                            std::string(response.getMessage()));
      return absl::OkStatus();
    });
    EXPECT_EQ(decoded, absl::OkStatus());
    return status;
  }

 private:
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
};

}  // namespace sluice::rpc::testing
