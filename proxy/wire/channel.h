// Channel: MySQL packets over one socket, buffered, with time-outs.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace sluice::proxy {

// Closes a descriptor at the end. Movable.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.release()) {}
  Descriptor& operator=(Descriptor&& other) noexcept;
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor();

  [[nodiscard]] int get() const { return fd_; }
  int release();

 private:
  int fd_ = -1;
};

// What ends a wait besides the socket itself.
struct Wait {
  absl::Time deadline = absl::InfiniteFuture();        // -> DEADLINE_EXCEEDED
  absl::Duration patience = absl::InfiniteDuration();  // the same, of each wait for the socket
  int wake_fd = -1;                                    // readable -> CANCELLED
  int peer_fd = -1;                                    // hung up  -> ABORTED
};

// One physical packet: a logical packet of 16 MiB or more is several of them.
struct PacketHeader {
  size_t size = 0;
  bool continues = false;  // size is the largest one, so another packet follows
};

// UNAVAILABLE when the connection is lost or closed. Owned by one thread.
class Channel {
 public:
  // Takes the socket over and makes it non-blocking.
  explicit Channel(Descriptor socket);

  // A whole logical packet. RESOURCE_EXHAUSTED beyond `bytes_max`.
  absl::StatusOr<std::string> ReadPacket(size_t bytes_max, const Wait& wait);

  // Piecewise: a header, then its payload by Chunk until `size` bytes are taken.
  absl::StatusOr<PacketHeader> ReadHeader(const Wait& wait);
  // Some bytes of the payload, at least one and at most `max`; valid until the next call.
  absl::StatusOr<absl::string_view> Chunk(size_t max, const Wait& wait);
  // The first byte of the payload, left where it is.
  absl::StatusOr<uint8_t> PeekByte(const Wait& wait);
  // True when the next read would not have to wait.
  [[nodiscard]] bool HasInput() const;

  // Adds a logical packet (split where too large) to the output; large output goes out at once.
  absl::Status WritePacket(absl::string_view payload, const Wait& wait);
  absl::Status WriteHeader(size_t size, const Wait& wait);
  absl::Status WriteBytes(absl::string_view bytes, const Wait& wait);
  absl::Status Flush(const Wait& wait);
  [[nodiscard]] bool has_output() const { return !output_.empty(); }

  // A new command begins: packets count from 0 again.
  void ResetSequence() { sequence_ = 0; }

  // Bytes of output handed to the kernel since the last ResetSent.
  [[nodiscard]] uint64_t sent() const { return sent_; }
  void ResetSent() { sent_ = 0; }
  [[nodiscard]] int fd() const { return socket_.get(); }

 private:
  absl::Status Fill(const Wait& wait);
  absl::Status Need(size_t bytes, const Wait& wait);

  Descriptor socket_;
  std::vector<char> input_;  // bytes received and not yet taken are [begin_, end_)
  size_t begin_ = 0;
  size_t end_ = 0;
  std::string output_;
  uint8_t sequence_ = 0;
  uint64_t sent_ = 0;
};

}  // namespace sluice::proxy
