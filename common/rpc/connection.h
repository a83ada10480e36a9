// Connection: numbered frames over one stream of nng, as its req and rep sockets exchange them.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/nng_handles.h"
#include "common/rpc/operation.h"

namespace sluice::rpc {

// What a peer is, as it says in its greeting.
enum class Side : uint8_t { kRequests = 0x30, kReplies = 0x31 };

struct Frame {
  uint32_t id = 0;  // chosen by the one who requests; its highest bit is set
  Message body;
};

// The bytes are those of nng's req and rep protocols over TCP, so that a socket of nng can be the
// peer. We speak them ourselves because the sockets of nng 1.5 can't be closed safely, and close
// their connections on their own too: a connection that is closed while a message is half read or
// half written keeps an operation that never ends. nng's only thread for disposal waits for it, and
// from then on no socket of the process closes and none connects again. Its streams underneath have
// no such fault: their operations end when they are cancelled.
//
// One thread greets, then receives; any thread may send and cancel. Once Receive or Send has failed
// the connection is of no more use. Must not be destroyed while a call is under way.
class Connection {
 public:
  explicit Connection(Stream stream) : stream_(std::move(stream)) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Says that we are `self`. Fails when the peer does not say that it is `peer`.
  absl::Status Greet(Side self, Side peer, absl::Time deadline);

  // Waits for a frame. INVALID_ARGUMENT when it is malformed or its body is above bytes_max.
  absl::Status Receive(size_t bytes_max, Frame& frame);

  // Returns when the operating system has taken the frame. Fails when it takes no byte of it for
  // `stall_max`; after a failure the other calls end too.
  absl::Status Send(uint32_t id, const Message& body, absl::Duration stall_max)
      ABSL_LOCKS_EXCLUDED(send_mutex_);

  // Ends all calls, now and later.
  void Cancel();

 private:
  int Read(char* to, size_t bytes, absl::Time deadline);
  int ReadSome(char* to, size_t bytes_max, absl::Time deadline, size_t& bytes);

  const Stream stream_;
  Operation receiving_;
  // Bytes that came with the ones that were asked for.
  std::array<char, size_t{16} << 10U> ahead_ = {};
  size_t ahead_begin_ = 0;
  size_t ahead_end_ = 0;
  absl::Mutex send_mutex_;  // keeps frames whole; Cancel does not wait for it
  Operation sending_;
};

}  // namespace sluice::rpc
