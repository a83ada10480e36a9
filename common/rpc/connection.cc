// Connection: greeting, lengths and ids around the bodies.

#include "common/rpc/connection.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::rpc {
namespace {

// A greeting is 0 'S' 'P' 0, the number of the protocol (2 bytes) and two zeros. A frame is its
// length without these 8 bytes, the id (4 bytes) and the body. Numbers are big-endian.
constexpr size_t kGreetingBytes = 8;
constexpr size_t kLengthBytes = 8;
constexpr size_t kIdBytes = 4;
constexpr uint32_t kIdBit = 0x80000000U;

template <size_t kBytes>
uint64_t Number(const char* bytes) {
  uint64_t number = 0;
  for (size_t i = 0; i < kBytes; ++i) {
    number = number << 8U | static_cast<uint8_t>(bytes[i]);
  }
  return number;
}

template <size_t kBytes>
void PutNumber(uint64_t number, char* bytes) {
  for (size_t i = 0; i < kBytes; ++i) {
    bytes[i] = static_cast<char>(number >> (8 * (kBytes - 1 - i)));
  }
}

std::array<char, kGreetingBytes> Greeting(Side side) {
  return {0, 'S', 'P', 0, 0, static_cast<char>(side), 0, 0};
}

// Takes `bytes` off the front of the vector.
void Advance(size_t bytes, std::array<nng_iov, 2>& vector) {
  for (nng_iov& part : vector) {
    const size_t taken = std::min(bytes, part.iov_len);
    part.iov_buf = static_cast<char*>(part.iov_buf) + taken;
    part.iov_len -= taken;
    bytes -= taken;
  }
}

int Write(nng_stream* stream, Operation& operation, std::array<nng_iov, 2> vector,
          absl::Duration stall_max) {
  while (vector[0].iov_len + vector[1].iov_len > 0) {
    const int error = operation.Run(absl::Now() + stall_max, [&](nng_aio* aio) {
      (void)nng_aio_set_iov(aio, static_cast<unsigned>(vector.size()), vector.data());
      nng_stream_send(stream, aio);
    });
    if (error != 0) {
      return error;
    }
    Advance(operation.bytes(), vector);
  }
  return 0;
}

}  // namespace

absl::Status Connection::Greet(Side self, Side peer, absl::Time deadline) {
  std::array<char, kGreetingBytes> greeting = Greeting(self);
  {
    const absl::MutexLock lock(&send_mutex_);
    SLUICE_RETURN_IF_ERROR(StatusFromNng(
        Write(stream_.get(), sending_, {{{greeting.data(), greeting.size()}, {nullptr, 0}}},
              deadline - absl::Now()),
        "greeting"));
  }
  SLUICE_RETURN_IF_ERROR(
      StatusFromNng(Read(greeting.data(), greeting.size(), deadline), "greeting of the peer"));
  if (greeting != Greeting(peer)) {
    return absl::InvalidArgumentError("the peer speaks another protocol");
  }
  return absl::OkStatus();
}

absl::Status Connection::Receive(size_t bytes_max, Frame& frame) {
  std::array<char, kLengthBytes + kIdBytes> head = {};
  SLUICE_RETURN_IF_ERROR(
      StatusFromNng(Read(head.data(), head.size(), absl::InfiniteFuture()), "receive"));
  const uint64_t length = Number<kLengthBytes>(head.data());
  frame.id = static_cast<uint32_t>(Number<kIdBytes>(head.data() + kLengthBytes));
  if (length < kIdBytes || (frame.id & kIdBit) == 0) {
    return absl::InvalidArgumentError("a frame without an id");
  }
  const uint64_t bytes = length - kIdBytes;
  if (bytes > bytes_max) {
    return absl::InvalidArgumentError(
        absl::StrCat("a frame of ", bytes, " bytes; at most ", bytes_max, " are received"));
  }
  nng_msg* message = nullptr;
  SLUICE_RETURN_IF_ERROR(StatusFromNng(nng_msg_alloc(&message, bytes), "message"));
  frame.body.reset(message);
  return StatusFromNng(
      Read(static_cast<char*>(nng_msg_body(message)), bytes, absl::InfiniteFuture()), "receive");
}

absl::Status Connection::Send(uint32_t id, const Message& body, absl::Duration stall_max) {
  const size_t bytes = nng_msg_len(body.get());
  std::array<char, kLengthBytes + kIdBytes> head = {};
  PutNumber<kLengthBytes>(kIdBytes + bytes, head.data());
  PutNumber<kIdBytes>(id, head.data() + kLengthBytes);
  int error = 0;
  {
    const absl::MutexLock lock(&send_mutex_);
    error = Write(stream_.get(), sending_,
                  {{{head.data(), head.size()}, {nng_msg_body(body.get()), bytes}}}, stall_max);
    if (error != 0) {
      // A part of the frame may be out, so that none can follow.
      Cancel();
    }
  }
  return StatusFromNng(error, "send");
}

void Connection::Cancel() {
  receiving_.Cancel();
  sending_.Cancel();
}

int Connection::Read(char* to, size_t bytes, absl::Time deadline) {
  while (bytes > 0) {
    size_t taken = 0;
    if (ahead_begin_ == ahead_end_ && bytes >= ahead_.size()) {
      if (const int error = ReadSome(to, bytes, deadline, taken); error != 0) {
        return error;
      }
    } else {
      if (ahead_begin_ == ahead_end_) {
        ahead_begin_ = 0;
        ahead_end_ = 0;
        if (const int error = ReadSome(ahead_.data(), ahead_.size(), deadline, ahead_end_);
            error != 0) {
          return error;
        }
      }
      taken = std::min(bytes, ahead_end_ - ahead_begin_);
      std::memcpy(to, ahead_.data() + ahead_begin_, taken);
      ahead_begin_ += taken;
    }
    to += taken;
    bytes -= taken;
  }
  return 0;
}

int Connection::ReadSome(char* to, size_t bytes_max, absl::Time deadline, size_t& bytes) {
  nng_iov vector = {to, bytes_max};
  const int error = receiving_.Run(deadline, [&](nng_aio* aio) {
    (void)nng_aio_set_iov(aio, 1, &vector);
    nng_stream_recv(stream_.get(), aio);
  });
  if (error == 0) {
    bytes = receiving_.bytes();
  }
  return error;
}

}  // namespace sluice::rpc
