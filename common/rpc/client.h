// rpc::Client: calls to one peer, Cap'n Proto over a connection of nng.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "schemas/envelope.capnp.h"

namespace sluice::rpc {

struct CallOptions {
  absl::Duration timeout = absl::Seconds(5);
  std::string idempotency_id = {};  // empty: a fresh one
  std::string traceparent = {};
};

// Calls are synchronous; any number of threads may call at once. Connects in the background and
// reconnects by itself (10 ms to 500 ms). A call whose connection breaks sends its request again
// with the same id on the next connection. It ends with DEADLINE_EXCEEDED at its timeout, and with
// UNAVAILABLE as soon as there has been no connection for 1 s, or for 5 s where the peer is silent
// rather than refusing (at once if that was so before the call). After either of them the request
// may or may not have been carried out, except that UNAVAILABLE "… never sent" says that it was
// not. Never repeats a request by itself with another id.
//
// The deadline that the peer is told is a little earlier than the caller's (a tenth, at most 100
// ms), so that its answer to a deadline, which names the reason, arrives in time.
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

  // Ends all calls in flight with CANCELLED and refuses new ones. Waits for no peer. Not from
  // within a call's build.
  void Close();

  [[nodiscard]] const std::string& url() const;

 private:
  struct Impl;
  explicit Client(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::rpc
