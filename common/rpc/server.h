// rpc::Server: answers calls on one address, over connections of nng.

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "schemas/envelope.capnp.h"

namespace sluice::rpc {

struct RequestContext {
  schemas::Method method = schemas::Method::UNKNOWN;
  std::string caller;
  std::string idempotency_id;
  std::string traceparent;
  absl::Time deadline;
  // True when the server is closing: long polls end early. Thread-safe.
  std::function<bool()> closing;
};

struct ServerOptions {
  std::string url = {};  // tcp://127.0.0.1:0 picks a free port; url() tells which
  // Requests in hand at once; each has a thread of its own, started when it is first needed. The
  // long polls (awaitMarker, awaitPosition, fetchEvents, pollRules) get three quarters of them, and
  // RESOURCE_EXHAUSTED beyond, so that short calls always find one.
  int contexts = 128;
  size_t receive_bytes_max = 64U << 20U;      // larger requests are refused
  size_t idempotency_entries_max = 1024;      // answers kept for repeated ids,
  size_t idempotency_bytes_max = 16U << 20U;  // and their size in all
};

// Each handler runs on a thread of the server, may block until ctx.deadline, and must be
// thread-safe.
//
// The same idempotency id (with the same method) is run once: a repeat that arrives while the first
// runs, or later while its answer is remembered, gets that answer. Only OK is remembered: after an
// error the repeat runs again. Methods registered with remember = false (fetchRows, fetchEvents,
// the long polls, plain reads) run each time; they are repeatable by their own numbering.
//
// Refused before any handler: another protocol version (UNIMPLEMENTED, with both numbers), unknown
// methods (UNIMPLEMENTED), malformed or oversized frames, a zero deadline, a missing id where
// answers are remembered (INVALID_ARGUMENT), a deadline that has passed (DEADLINE_EXCEEDED).
class Server {
 public:
  using Handler = std::function<absl::Status(const RequestContext&, capnp::AnyPointer::Reader,
                                             capnp::AnyPointer::Builder)>;

  explicit Server(ServerOptions options);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();  // Stop()

  void RegisterAny(schemas::Method method, Handler handler, bool remember);

  // Registers before Start. Exceptions of Cap'n Proto accessors become INVALID_ARGUMENT.
  template <typename Req, typename Rep>
  void Register(schemas::Method method,
                std::function<absl::Status(const RequestContext&, typename Req::Reader,
                                           typename Rep::Builder)>
                    handler,
                bool remember = true) {
    RegisterAny(
        method,
        [handler = std::move(handler)](const RequestContext& context,
                                       capnp::AnyPointer::Reader request,
                                       capnp::AnyPointer::Builder reply) {
          return handler(context, request.getAs<Req>(), reply.initAs<Rep>());
        },
        remember);
  }

  // Listens. UNAVAILABLE names the url when it can't be bound.
  absl::Status Start();
  // Stops listening, lets running handlers end (they see closing()), joins the workers.
  void Stop();

  // The bound address, the real port filled in. Valid after Start.
  [[nodiscard]] std::string url() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::rpc
