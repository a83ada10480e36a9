// One owning type per C handle of nng, and nng's error numbers as statuses.

#pragma once

#include <nng/nng.h>

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice::rpc {

// OK for zero. ETIMEDOUT is DEADLINE_EXCEEDED, ECLOSED and ECANCELED CANCELLED, refused and reset
// connections UNAVAILABLE, EMSGSIZE INVALID_ARGUMENT, crypto and authentication UNAUTHENTICATED.
absl::Status StatusFromNng(int error, absl::string_view context);

struct MessageDeleter {
  void operator()(nng_msg* message) const { nng_msg_free(message); }
};
using Message = std::unique_ptr<nng_msg, MessageDeleter>;

// Freeing waits for the callback to end.
struct AioDeleter {
  void operator()(nng_aio* aio) const { nng_aio_free(aio); }
};
using Aio = std::unique_ptr<nng_aio, AioDeleter>;

// A socket; closed once, by Close or the destructor. Thread-compatible.
class Socket {
 public:
  Socket() = default;
  explicit Socket(nng_socket socket) : socket_(socket), open_(true) {}
  Socket(Socket&& other) noexcept
      : socket_(other.socket_), open_(std::exchange(other.open_, false)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(socket_, other.socket_);
    std::swap(open_, other.open_);
    return *this;
  }
  ~Socket() { (void)Close(absl::InfiniteDuration(), nullptr); }

  // Ends every operation of the socket and its contexts with ECLOSED. False when nng hangs in it: a
  // thread is left behind, with `users`, which owns all that nng may still call.
  bool Close(absl::Duration timeout, std::shared_ptr<void> users);
  [[nodiscard]] nng_socket get() const { return socket_; }

 private:
  nng_socket socket_ = NNG_SOCKET_INITIALIZER;
  bool open_ = false;
};

// A context of a req or rep socket. Thread-compatible.
class Context {
 public:
  Context() = default;
  explicit Context(nng_ctx context) : context_(context), open_(true) {}
  Context(Context&& other) noexcept
      : context_(other.context_), open_(std::exchange(other.open_, false)) {}
  Context& operator=(Context&& other) noexcept {
    std::swap(context_, other.context_);
    std::swap(open_, other.open_);
    return *this;
  }
  ~Context() {
    if (open_) {
      (void)nng_ctx_close(context_);
    }
  }

  [[nodiscard]] nng_ctx get() const { return context_; }

 private:
  nng_ctx context_ = NNG_CTX_INITIALIZER;
  bool open_ = false;
};

// At least one millisecond, at most what nng can hold.
nng_duration ToNngDuration(absl::Duration duration);

}  // namespace sluice::rpc
