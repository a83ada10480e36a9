// Relay: one thread that polls all connections.

#include "integration/crashloop/relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "common/base/check.h"

namespace sluice::crashloop {
namespace {

constexpr size_t kBufferBytes = size_t{256} << 10U;
constexpr int kPollMs = 100;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

void Prepare(int fd) {
  const int on = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
}

void CloseSocket(int fd, bool abrupt) {
  if (abrupt) {
    const linger reset{.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
  }
  close(fd);
}

}  // namespace

// The two sockets of a connection, and what was read from each and is not sent yet.
struct Relay::Pair {
  std::array<int, 2> fd = {-1, -1};
  std::array<std::string, 2> read;
  bool ended = false;
};

Relay::Relay(uint16_t to) : to_(to) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  wake_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  SLUICE_CHECK(listener_ >= 0 && wake_ >= 0 && bind(listener_, generic, size) == 0 &&
               listen(listener_, 128) == 0 && getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

Relay::~Relay() {
  thread_.request_stop();
  Wake();
  thread_.join();
  for (const auto& pair : pairs_) {
    End(*pair, false);
  }
  close(listener_);
  close(wake_);
}

void Relay::Wake() const {
  const uint64_t one = 1;
  SLUICE_CHECK(write(wake_, &one, sizeof one) == sizeof one || errno == EAGAIN);
}

void Relay::Cut(bool abrupt) {
  {
    const absl::MutexLock lock(&mutex_);
    orders_.push_back({.cut = true, .one = false, .which = 0, .abrupt = abrupt});
  }
  Wake();
}

void Relay::CutOne(uint64_t which, bool abrupt) {
  {
    const absl::MutexLock lock(&mutex_);
    orders_.push_back({.cut = true, .one = true, .which = which, .abrupt = abrupt});
  }
  Wake();
}

void Relay::CutWithin(uint64_t bytes, bool abrupt) {
  const absl::MutexLock lock(&mutex_);
  counting_ = true;
  count_ = bytes;
  count_abrupt_ = abrupt;
}

void Relay::Stall(bool on) {
  {
    const absl::MutexLock lock(&mutex_);
    stalled_ = on;
  }
  Wake();
}

bool Relay::IsStalled() const {
  const absl::MutexLock lock(&mutex_);
  return stalled_;
}

uint64_t Relay::connections_cut() const {
  const absl::MutexLock lock(&mutex_);
  return cut_;
}

void Relay::End(Pair& pair, bool abrupt) {
  if (!pair.ended) {
    CloseSocket(pair.fd[0], abrupt);
    CloseSocket(pair.fd[1], abrupt);
    pair.ended = true;
  }
}

void Relay::Obey() {
  uint64_t ignored = 0;
  (void)!read(wake_, &ignored, sizeof ignored);
  const absl::MutexLock lock(&mutex_);
  for (const Order& order : orders_) {
    for (size_t i = 0; i < pairs_.size(); ++i) {
      if (order.cut && !pairs_[i]->ended && (!order.one || order.which % pairs_.size() == i)) {
        End(*pairs_[i], order.abrupt);
        ++cut_;
      }
    }
  }
  orders_.clear();
}

void Relay::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) {
    return;
  }
  const int server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  const sockaddr_in address = Loopback(to_);
  if (connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    CloseSocket(server, false);
    CloseSocket(client, true);  // as a port that nobody listens on
    return;
  }
  Prepare(client);
  Prepare(server);
  auto pair = std::make_unique<Pair>();
  pair->fd = {client, server};
  pairs_.push_back(std::move(pair));
}

// Sends what was read from one side to the other; false when the connection is to end.
bool Relay::Pass(Pair& pair, size_t from) {
  std::string& bytes = pair.read[from];
  size_t allowed = bytes.size();
  bool cut = false;
  {
    const absl::MutexLock lock(&mutex_);
    if (counting_ && count_ <= allowed) {
      allowed = count_;
      cut = true;
    }
  }
  const ssize_t sent =
      allowed == 0 ? 0 : send(pair.fd[1 - from], bytes.data(), allowed, MSG_NOSIGNAL);
  if (sent < 0) {
    return errno == EAGAIN;
  }
  bytes.erase(0, static_cast<size_t>(sent));
  const absl::MutexLock lock(&mutex_);
  if (counting_) {
    count_ -= static_cast<uint64_t>(sent);
    if (cut && count_ == 0) {
      counting_ = false;
      orders_.push_back({.cut = true, .one = false, .which = 0, .abrupt = count_abrupt_});
    }
  }
  return true;
}

void Relay::Serve(Pair& pair, const short* events) {
  for (size_t from = 0; from < 2; ++from) {
    const bool readable = (events[from] & (POLLIN | POLLHUP | POLLERR)) != 0;
    if (readable && pair.read[from].size() < kBufferBytes) {
      std::array<char, 65536> buffer;
      const ssize_t got = recv(pair.fd[from], buffer.data(), buffer.size(), 0);
      if (got > 0) {
        pair.read[from].append(buffer.data(), static_cast<size_t>(got));
      } else if (got == 0 || errno != EAGAIN) {
        Pass(pair, from);
        End(pair, got != 0);
        return;
      }
    }
    if (!pair.read[from].empty() && !Pass(pair, from)) {
      End(pair, true);
      return;
    }
  }
}

void Relay::Run(const std::stop_token& stop) {
  std::vector<pollfd> fds;
  while (!stop.stop_requested()) {
    Obey();
    std::erase_if(pairs_, [](const auto& pair) { return pair->ended; });
    const bool stalled = IsStalled();
    fds.assign(1, {.fd = wake_, .events = POLLIN, .revents = 0});
    if (!stalled) {
      fds.push_back({.fd = listener_, .events = POLLIN, .revents = 0});
      for (const auto& pair : pairs_) {
        for (size_t side = 0; side < 2; ++side) {
          const bool room = pair->read[side].size() < kBufferBytes;
          const bool owes = !pair->read[1 - side].empty();
          fds.push_back({.fd = pair->fd[side],
                         .events = static_cast<short>((room ? POLLIN : 0) | (owes ? POLLOUT : 0)),
                         .revents = 0});
        }
      }
    }
    // Asked again: what came after a call of Stall() stays.
    if (poll(fds.data(), fds.size(), kPollMs) <= 0 || stalled || IsStalled()) {
      continue;
    }
    const size_t served = pairs_.size();
    for (size_t i = 0; i < served; ++i) {
      const std::array<short, 2> events = {fds[2 + 2 * i].revents, fds[3 + 2 * i].revents};
      if ((events[0] | events[1]) != 0) {
        Serve(*pairs_[i], events.data());
      }
    }
    if ((fds[1].revents & POLLIN) != 0) {
      Accept();
    }
  }
}

}  // namespace sluice::crashloop
