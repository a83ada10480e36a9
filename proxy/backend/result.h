// Results of statements: read and thrown away, or forwarded packet by packet to a client.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/backend/backend.h"
#include "proxy/wire/channel.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {

// Reads everything that a statement of the proxy's own gives. `cell`, when not null, gets the first
// cell of the last row.
absl::StatusOr<Response> ReadResult(Channel& backend, uint64_t capabilities, const Wait& wait,
                                    std::string* cell);

struct Forwarding {
  Channel& backend;
  uint64_t backend_capabilities = 0;
  Channel& client;
  uint64_t client_capabilities = 0;
  Wait backend_wait;  // its peer is the client
  Wait client_wait;
  // Decides about an error that is the very first packet: true keeps it from the client.
  std::function<bool(const ErrorPacket&)> keep_back;
};

// Forwards the whole answer to a COM_QUERY, translated for the client's capabilities, without
// keeping more of it than a buffer. UNAVAILABLE: the backend is lost; ABORTED: the client is.
// `response.forwarded` says in both cases whether the client has got a part.
absl::Status ForwardResult(const Forwarding& forwarding, Response& response);

}  // namespace sluice::proxy
