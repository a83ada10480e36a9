// RudePeer: sockets of the operating system, and frames made by hand.

#include "tests/common/rpc/rude_peer.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <iterator>
#include <thread>

#include "tests/common/rpc/testing.h"

namespace sluice::rpc::testing {

RudePeer::RudePeer(const std::string& url) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  EXPECT_TRUE(Send(std::string("\0SP\0\0\x30\0\0", 8)));
  EXPECT_EQ(Receive(8, MSG_WAITALL), std::string("\0SP\0\0\x31\0\0", 8));
}

RudePeer::~RudePeer() {
  const linger reset = {.l_onoff = 1, .l_linger = 0};
  (void)::setsockopt(socket_, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
  (void)::close(socket_);
}

bool RudePeer::Send(const std::string& bytes) const {
  size_t sent = 0;
  while (sent < bytes.size()) {
    const ssize_t some = ::send(socket_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
    if (some <= 0) {
      return false;
    }
    sent += static_cast<size_t>(some);
  }
  return true;
}

std::string RudePeer::Receive(size_t bytes_max, int flags) const {
  std::string bytes(bytes_max, '\0');
  const ssize_t some = ::recv(socket_, bytes.data(), bytes.size(), flags);
  bytes.resize(some > 0 ? static_cast<size_t>(some) : 0);
  return bytes;
}

void RudePeer::Shutdown() const {
  (void)::shutdown(socket_, SHUT_RDWR);
}

std::string FrameOf(const std::string& body) {
  const uint64_t length = body.size() + 4;
  std::string frame;
  for (int shift = 56; shift >= 0; shift -= 8) {
    frame += static_cast<char>(length >> static_cast<unsigned>(shift));
  }
  return frame + std::string("\x80\0\0\1", 4) + body;
}

void TalkAndVanish(const std::string& url, size_t keyspace_bytes, size_t received_bytes) {
  const RudePeer peer(url);
  const std::string request = FrameOf(RequestBytes({.keyspace = std::string(keyspace_bytes, 'k')}));
  std::thread sender([&] {
    while (peer.Send(request)) {
    }
  });
  for (size_t received = 0; received < received_bytes;) {
    const std::string bytes = peer.Receive(size_t{64} << 10U);
    if (bytes.empty()) {
      break;
    }
    received += bytes.size();
  }
  peer.Shutdown();
  sender.join();
}

size_t OpenFiles() {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                                           std::filesystem::directory_iterator()));
}

}  // namespace sluice::rpc::testing
