// CuttingRelay: sockets, and the search for the statement.

#include "tests/museum/cutting_relay.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string_view>
#include <utility>

#include "common/base/check.h"

namespace sluice::testing {
namespace {

constexpr int kPollMs = 50;

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return address;
}

bool SendAll(int socket, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t sent = send(socket, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent <= 0) {
      return false;
    }
    bytes.remove_prefix(static_cast<size_t>(sent));
  }
  return true;
}

// Closes a socket at the end of its scope.
class Socket {
 public:
  explicit Socket(int fd) : fd_(fd) {}
  Socket(const Socket&) = delete;
  Socket& operator=(const Socket&) = delete;
  ~Socket() { close(fd_); }
  [[nodiscard]] int fd() const { return fd_; }

 private:
  const int fd_;
};

}  // namespace

CuttingRelay::CuttingRelay(uint16_t port, std::string statement)
    : server_port_(port), statement_(std::move(statement)) {
  listener_ = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = Loopback(0);
  socklen_t size = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  SLUICE_CHECK(listener_ >= 0 && bind(listener_, generic, size) == 0 &&
               listen(listener_, 64) == 0 && getsockname(listener_, generic, &size) == 0);
  port_ = ntohs(address.sin_port);
  acceptor_ = std::jthread([this](const std::stop_token& stop) { Accept(stop); });
}

CuttingRelay::~CuttingRelay() {
  acceptor_.request_stop();
  acceptor_.join();
  relays_.clear();
  close(listener_);
}

void CuttingRelay::Accept(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    pollfd waiting{.fd = listener_, .events = POLLIN, .revents = 0};
    if (poll(&waiting, 1, kPollMs) > 0) {
      const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client >= 0) {
        relays_.emplace_back([this, client](const std::stop_token& end) { Relay(end, client); });
      }
    }
  }
}

void CuttingRelay::Relay(const std::stop_token& stop, int client_fd) {
  const Socket client(client_fd);
  const Socket server(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const sockaddr_in address = Loopback(server_port_);
  if (connect(server.fd(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return;
  }
  bool cutting = false;
  std::array<char, 65536> buffer;
  while (!stop.stop_requested()) {
    std::array<pollfd, 2> waiting = {pollfd{.fd = client.fd(), .events = POLLIN, .revents = 0},
                                     pollfd{.fd = server.fd(), .events = POLLIN, .revents = 0}};
    poll(waiting.data(), waiting.size(), kPollMs);
    for (size_t i = 0; i < waiting.size(); ++i) {
      if (waiting[i].revents == 0) {
        continue;
      }
      const ssize_t got = recv(waiting[i].fd, buffer.data(), buffer.size(), 0);
      if (got <= 0) {
        return;
      }
      const std::string_view bytes(buffer.data(), static_cast<size_t>(got));
      const bool from_client = i == 0;
      if (!from_client && cutting) {
        ++cuts_;
        return;  // the server has done it, and nobody hears of it
      }
      if (from_client && cuts_ == 0 && bytes.find(statement_) != std::string_view::npos) {
        cutting = true;
      }
      if (!SendAll(waiting[1 - i].fd, bytes)) {
        return;
      }
    }
  }
}

}  // namespace sluice::testing
