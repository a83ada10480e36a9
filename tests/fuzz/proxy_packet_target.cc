// The MySQL protocol as the proxy reads it: from clients and from servers.
//
// Input: what it is (1 byte), then the payload of a packet, or all that a server answers.

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/base/check.h"
#include "proxy/backend/result.h"
#include "proxy/wire/channel.h"
#include "proxy/wire/wire.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::proxy {
namespace {

using fuzz::Exact;
using fuzz::Inside;

enum Kind : uint8_t {
  kHandshake,
  kOk,
  kEof,
  kError,
  kQuery,
  kAnswer,
  kAnswerOldServer,
  kAnswerOldClient,
  kKinds
};

constexpr uint64_t kNewPeer = kClientProtocol41 | kClientDeprecateEof | kClientQueryAttributes;
constexpr uint64_t kOldPeer = kClientProtocol41;
// All that a socket takes without a reader.
constexpr size_t kAnswerBytesMax = 16'384;

void RunHandshake(absl::string_view payload) {
  const auto response = ParseHandshakeResponse(payload);
  if (!response.ok()) {
    return;
  }
  size_t bytes = response->user.size() + response->auth_response.size() +
                 response->database.size() + response->plugin.size();
  for (const auto& [name, value] : response->attributes) {
    bytes += name.size() + value.size();
  }
  SLUICE_CHECK(bytes < payload.size());
}

void RunOk(absl::string_view payload) {
  const auto ok = ParseOk(payload);
  if (!ok.ok()) {
    return;
  }
  const auto again = ParseOk(BuildOk(*ok));
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(again->affected_rows == ok->affected_rows &&
               again->last_insert_id == ok->last_insert_id && again->info == ok->info &&
               again->warnings == ok->warnings &&
               again->status == (ok->status & ~unsigned{kStatusSessionStateChanged}));
}

void RunEof(absl::string_view payload) {
  const auto eof = ParseEof(payload);
  if (!eof.ok()) {
    return;
  }
  const auto again = ParseEof(BuildEof(*eof));
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(again->warnings == eof->warnings);
}

void RunError(absl::string_view payload) {
  const auto error = ParseError(payload);
  if (!error.ok()) {
    return;
  }
  const auto again = ParseError(BuildError(*error));
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(again->code == error->code && again->sql_state == error->sql_state &&
               again->message == error->message);
}

void RunQuery(absl::string_view payload) {
  for (const uint64_t capabilities : {kNewPeer, kOldPeer}) {
    const auto query = ParseQuery(payload, capabilities);
    if (!query.ok()) {
      continue;
    }
    SLUICE_CHECK(Inside(query->sql, payload) && Inside(query->attributes, payload));
    const std::string built = BuildQuery(query->attributes, query->sql, capabilities);
    const auto again = ParseQuery(built, capabilities);
    SLUICE_CHECK_OK(again.status());
    SLUICE_CHECK(again->sql == query->sql && again->attributes == query->attributes);
  }
}

struct Pair {
  Descriptor ours;
  Descriptor theirs;
};

Pair MakePair() {
  std::array<int, 2> fds{};
  SLUICE_CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds.data()) == 0);
  return {Descriptor(fds[0]), Descriptor(fds[1])};
}

// A channel whose peer has sent these bytes and no more follow.
Channel Sent(absl::string_view bytes, Pair& pair) {
  SLUICE_CHECK(bytes.empty() || write(pair.theirs.get(), bytes.data(), bytes.size()) ==
                                    static_cast<ssize_t>(bytes.size()));
  SLUICE_CHECK(shutdown(pair.theirs.get(), SHUT_WR) == 0);
  return Channel(std::move(pair.ours));
}

std::string Received(const Descriptor& peer) {
  std::string all;
  std::array<char, 4096> buffer;
  ssize_t got = 0;
  while ((got = recv(peer.get(), buffer.data(), buffer.size(), MSG_DONTWAIT)) > 0) {
    all.append(buffer.data(), static_cast<size_t>(got));
  }
  return all;
}

// An answer that was forwarded whole is one that the client can read, to the same end.
void RunAnswer(absl::string_view bytes, uint64_t server, uint64_t client) {
  if (bytes.size() > kAnswerBytesMax) {
    return;
  }
  Pair from_server = MakePair();
  Pair to_client = MakePair();
  Channel backend = Sent(bytes, from_server);
  Channel front(std::move(to_client.ours));
  const Wait wait = {.deadline = absl::Now() + absl::Seconds(5)};
  Response response;
  const absl::Status status = ForwardResult({.backend = backend,
                                             .backend_capabilities = server,
                                             .client = front,
                                             .client_capabilities = client,
                                             .backend_wait = wait,
                                             .client_wait = wait,
                                             .keep_back = nullptr},
                                            response);
  SLUICE_CHECK(status.ok() || absl::IsUnavailable(status));
  if (!status.ok()) {
    return;
  }
  const std::string forwarded = Received(to_client.theirs);
  Pair again = MakePair();
  Channel reading = Sent(forwarded, again);
  std::string cell;
  const auto seen = ReadResult(reading, client, wait, &cell);
  SLUICE_CHECK_OK(seen.status());
  SLUICE_CHECK(seen->is_error == response.is_error);
  SLUICE_CHECK(!reading.HasInput() || !reading.PeekByte(wait).ok());
}

void Run(absl::string_view input) {
  if (input.empty()) {
    return;
  }
  const Exact payload(input.substr(1));
  switch (static_cast<Kind>(static_cast<uint8_t>(input[0]) % kKinds)) {
    case kHandshake:
      return RunHandshake(payload.view());
    case kOk:
      return RunOk(payload.view());
    case kEof:
      return RunEof(payload.view());
    case kError:
      return RunError(payload.view());
    case kQuery:
      return RunQuery(payload.view());
    case kAnswerOldServer:
      return RunAnswer(payload.view(), kOldPeer, kNewPeer);
    case kAnswerOldClient:
      return RunAnswer(payload.view(), kNewPeer, kOldPeer);
    default:
      return RunAnswer(payload.view(), kNewPeer, kNewPeer);
  }
}

std::string Seed(Kind kind, const std::string& payload) {
  return static_cast<char>(kind) + payload;
}

std::string Packets(const std::vector<std::string>& payloads) {
  std::string bytes;
  uint8_t sequence = 1;
  for (const std::string& payload : payloads) {
    AppendUint(bytes, payload.size(), 3);
    AppendUint(bytes, sequence++, 1);
    bytes += payload;
  }
  return bytes;
}

std::string Handshake() {
  std::string payload;
  AppendUint(payload,
             kNewPeer | kClientConnectWithDb | kClientPluginAuth | kClientPluginAuthPacked |
                 kClientConnectAttributes,
             4);
  AppendUint(payload, kPacketPayloadMax, 4);
  payload += std::string(1, '\xff') + std::string(23, '\0') + "user" + '\0';
  AppendPackedString(payload, std::string(32, 'h'));
  payload += std::string("shop\0caching_sha2_password\0", 27);
  AppendPackedString(payload, "\x05_name\x05value");
  return payload;
}

std::vector<std::string> Seeds() {
  OkPacket ok = {.affected_rows = 300, .last_insert_id = 70'000, .info = "Rows matched: 1"};
  const std::string row = std::string("\x01") + "1\xfb";
  const std::string end = BuildOk({}, 0xFE);
  const std::string column = BuildTextColumn("a");
  ok.status |= kStatusMoreResults;
  // One attribute: NULL bitmap, types follow, VAR_STRING, its name, its value.
  const std::string attributes = std::string("\x01\x01\x00\x01\xfd\x00\x01n\x01v", 10);
  return {
      Seed(kHandshake, Handshake()),
      Seed(kOk, BuildOk(ok)),
      Seed(kEof, BuildEof({.warnings = 3, .status = 2})),
      Seed(kError, BuildError({.code = 1146, .sql_state = "42S02", .message = "no such table"})),
      Seed(kError, std::string("\xff\x7a\x04Too many connections", 23)),
      Seed(kQuery, BuildQuery("", "SELECT 1", kNewPeer)),
      Seed(kQuery, BuildQuery(attributes, "SELECT 1", kNewPeer)),
      Seed(kQuery, BuildQuery("", "SELECT 1", kOldPeer)),
      Seed(kAnswer, Packets({BuildOk(ok), "\x02", column, column, row, row, end})),
      Seed(kAnswer, Packets({BuildError({.code = 1146, .sql_state = "42S02", .message = "t"})})),
      Seed(kAnswerOldClient, Packets({"\x01", column, row, end})),
      Seed(kAnswerOldServer, Packets({"\x01", column, BuildEof({}), row, BuildEof({})})),
      Seed(kAnswerOldServer,
           Packets({"\x01", column, BuildEof({}), std::string(10, '\xfe'), BuildEof({})})),
      Seed(kAnswerOldServer,
           Packets({"\x01", column, BuildEof({}), BuildError({.code = 3024, .message = "late"})})),
  };
}

}  // namespace
}  // namespace sluice::proxy

namespace sluice::fuzz {

const Target kProxyPacket = {.run = proxy::Run, .seeds = proxy::Seeds};

}  // namespace sluice::fuzz
