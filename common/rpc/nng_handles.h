// One owning type per C handle of nng, and nng's error numbers as statuses.

#pragma once

#include <nng/nng.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

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

// One connection. Freed only when no operation of it is under way; nng shuts it down in the
// background.
struct StreamDeleter {
  void operator()(nng_stream* stream) const { nng_stream_free(stream); }
};
using Stream = std::unique_ptr<nng_stream, StreamDeleter>;

struct StreamDialerDeleter {
  void operator()(nng_stream_dialer* dialer) const { nng_stream_dialer_free(dialer); }
};
using StreamDialer = std::unique_ptr<nng_stream_dialer, StreamDialerDeleter>;

struct StreamListenerDeleter {
  void operator()(nng_stream_listener* listener) const { nng_stream_listener_free(listener); }
};
using StreamListener = std::unique_ptr<nng_stream_listener, StreamListenerDeleter>;

}  // namespace sluice::rpc
