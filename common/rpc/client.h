// rpc::Client: calls to one peer, Cap'n Proto over an nng req socket.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "schemas/envelope.capnp.h"

namespace sluice::rpc {

struct CallOptions {
  absl::Duration timeout = absl::Seconds(5);
  std::string idempotency_id;  // empty: a fresh one
  std::string traceparent;
};

// Calls are synchronous; any number of threads may call at once. Connects in the background and
// reconnects by itself (10 ms to 500 ms). A call whose request or answer is lost ends at its timeout
// with DEADLINE_EXCEEDED; UNAVAILABLE at once where the peer is known to be down
// (no connection within min(timeout, 1 s)). Never repeats a request by itself with another id.
class Client {
 public:
  // `caller` names this process in the peer's logs.
  static absl::StatusOr<std::unique_ptr<Client>> Dial(const std::string& url,
                                                      const std::string& caller);
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;
  ~Client();

  // build fills the request's body; read copies what it needs out of the answer's body. Decoding
  // exceptions become INVALID_ARGUMENT. The peer's errors come back with their code, message and
  // subject (SubjectOf).
  template <typename Req, typename Rep>
  absl::Status Call(schemas::Method method, const std::function<void(typename Req::Builder)>& build,
                    const std::function<absl::Status(typename Rep::Reader)>& read,
                    const CallOptions& options = {}) {
    return CallAny(
        method, [&](capnp::AnyPointer::Builder any) { build(any.initAs<Req>()); },
        [&](capnp::AnyPointer::Reader any) { return read(any.getAs<Rep>()); }, options);
  }

  absl::Status CallAny(schemas::Method method,
                       const std::function<void(capnp::AnyPointer::Builder)>& build,
                       const std::function<absl::Status(capnp::AnyPointer::Reader)>& read,
                       const CallOptions& options);

  // Ends all calls in flight with CANCELLED and refuses new ones.
  void Close();

  [[nodiscard]] const std::string& url() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::rpc
