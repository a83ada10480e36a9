// Channel: MySQL packets over one socket.

#include "proxy/wire/channel.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "proxy/wire/wire.h"

namespace sluice::proxy {
namespace {

constexpr size_t kBufferBytes = size_t{64} * 1024;
constexpr size_t kHeaderBytes = 4;

int PollTimeoutMs(absl::Time deadline) {
  if (deadline == absl::InfiniteFuture()) {
    return -1;
  }
  const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
  return static_cast<int>(std::clamp<int64_t>(left + 1, 0, 3'600'000));
}

absl::Status Lost(absl::string_view what) {
  return absl::UnavailableError(absl::StrCat("connection lost: ", what));
}

// Waits until the socket is ready for `events`.
absl::Status Await(int fd, int16_t events, const Wait& wait) {
  std::array<pollfd, 3> fds{};
  fds[0] = {fd, events, 0};
  fds[1] = {wait.wake_fd, POLLIN, 0};
  fds[2] = {wait.peer_fd, POLLRDHUP, 0};
  const absl::Time deadline = std::min(wait.deadline, absl::Now() + wait.patience);
  while (true) {
    const int ready = poll(fds.data(), fds.size(), PollTimeoutMs(deadline));
    if (ready < 0 && errno != EINTR) {
      return Lost(std::strerror(errno));
    }
    if (ready <= 0) {
      if (absl::Now() >= deadline) {
        return absl::DeadlineExceededError("the peer did not answer in time");
      }
      continue;
    }
    if (fds[0].revents != 0) {
      return absl::OkStatus();
    }
    if (fds[1].revents != 0) {
      return absl::CancelledError("woken");
    }
    if (fds[2].revents != 0) {
      return absl::AbortedError("the other side is gone");
    }
  }
}

}  // namespace

Descriptor& Descriptor::operator=(Descriptor&& other) noexcept {
  if (this != &other) {
    Descriptor old(std::exchange(fd_, other.release()));
  }
  return *this;
}

Descriptor::~Descriptor() {
  if (fd_ >= 0) {
    close(fd_);
  }
}

int Descriptor::release() {
  return std::exchange(fd_, -1);
}

Channel::Channel(Descriptor socket) : socket_(std::move(socket)), input_(kBufferBytes) {
  const int flags = fcntl(fd(), F_GETFL);
  fcntl(fd(), F_SETFL, flags | O_NONBLOCK);
}

absl::Status Channel::Fill(const Wait& wait) {
  if (begin_ > 0) {
    std::memmove(input_.data(), input_.data() + begin_, end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
  }
  while (true) {
    const ssize_t got = recv(fd(), input_.data() + end_, input_.size() - end_, 0);
    if (got > 0) {
      end_ += static_cast<size_t>(got);
      return absl::OkStatus();
    }
    if (got == 0) {
      return Lost("closed by the peer");
    }
    if (errno == EAGAIN || errno == EWOULDBLOCK) {
      SLUICE_RETURN_IF_ERROR(Await(fd(), POLLIN, wait));
    } else if (errno != EINTR) {
      return Lost(std::strerror(errno));
    }
  }
}

// `bytes` is far below the size of the buffer.
absl::Status Channel::Need(size_t bytes, const Wait& wait) {
  while (end_ - begin_ < bytes) {
    SLUICE_RETURN_IF_ERROR(Fill(wait));
  }
  return absl::OkStatus();
}

absl::StatusOr<PacketHeader> Channel::ReadHeader(const Wait& wait) {
  SLUICE_RETURN_IF_ERROR(Need(kHeaderBytes, wait));
  const auto byte = [&](size_t i) -> size_t { return static_cast<uint8_t>(input_[begin_ + i]); };
  PacketHeader header;
  header.size = byte(0) | (byte(1) << 8U) | (byte(2) << 16U);
  header.continues = header.size == kPacketPayloadMax;
  sequence_ = static_cast<uint8_t>(byte(3) + 1);
  begin_ += kHeaderBytes;
  return header;
}

absl::StatusOr<absl::string_view> Channel::Chunk(size_t max, const Wait& wait) {
  SLUICE_RETURN_IF_ERROR(Need(1, wait));
  const size_t size = std::min(max, end_ - begin_);
  const absl::string_view view(input_.data() + begin_, size);
  begin_ += size;
  return view;
}

absl::StatusOr<uint8_t> Channel::PeekByte(const Wait& wait) {
  SLUICE_RETURN_IF_ERROR(Need(1, wait));
  return static_cast<uint8_t>(input_[begin_]);
}

bool Channel::HasInput() const {
  if (end_ > begin_) {
    return true;
  }
  pollfd poller{fd(), POLLIN, 0};
  return poll(&poller, 1, 0) > 0;
}

absl::StatusOr<std::string> Channel::ReadPacket(size_t bytes_max, const Wait& wait) {
  std::string payload;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(const PacketHeader header, ReadHeader(wait));
    if (header.size > bytes_max - payload.size()) {
      return absl::ResourceExhaustedError(
          absl::StrCat("packet larger than the limit of ", bytes_max, " bytes"));
    }
    for (size_t left = header.size; left > 0;) {
      SLUICE_ASSIGN_OR_RETURN(const absl::string_view chunk, Chunk(left, wait));
      payload.append(chunk.data(), chunk.size());
      left -= chunk.size();
    }
    if (!header.continues) {
      return payload;
    }
  }
}

absl::Status Channel::WriteHeader(size_t size, const Wait& wait) {
  std::string header;
  AppendUint(header, size, 3);
  AppendUint(header, sequence_++, 1);
  return WriteBytes(header, wait);
}

absl::Status Channel::WriteBytes(absl::string_view bytes, const Wait& wait) {
  output_.append(bytes.data(), bytes.size());
  return output_.size() < kBufferBytes ? absl::OkStatus() : Flush(wait);
}

absl::Status Channel::WritePacket(absl::string_view payload, const Wait& wait) {
  while (true) {
    const size_t size = std::min(payload.size(), kPacketPayloadMax);
    SLUICE_RETURN_IF_ERROR(WriteHeader(size, wait));
    SLUICE_RETURN_IF_ERROR(WriteBytes(payload.substr(0, size), wait));
    payload = payload.substr(size);
    // A packet of exactly the largest size is followed by an empty one.
    if (size < kPacketPayloadMax) {
      return absl::OkStatus();
    }
  }
}

absl::Status Channel::Flush(const Wait& wait) {
  size_t at = 0;
  absl::Status status = absl::OkStatus();
  while (at < output_.size() && status.ok()) {
    const ssize_t sent = send(fd(), output_.data() + at, output_.size() - at, MSG_NOSIGNAL);
    if (sent > 0) {
      at += static_cast<size_t>(sent);
      sent_ += static_cast<uint64_t>(sent);
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      status = Await(fd(), POLLOUT, wait);
    } else if (errno != EINTR) {
      status = Lost(std::strerror(errno));
    }
  }
  output_.clear();
  return status;
}

}  // namespace sluice::proxy
