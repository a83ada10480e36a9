// CuttingRelay: a TCP relay in front of a mysqld that lets one statement through and loses its
// answer, as a network that fails at the worst moment does.

#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

namespace sluice::testing {

// Listens on loopback. Owned by the test's thread; its own threads end with it.
class CuttingRelay {
 public:
  // Connections go to 127.0.0.1:`port`. The first packet of a client that holds `statement` is the
  // last that passes: when the server has answered it, both sides are closed and the answer is
  // lost. Later connections pass untouched.
  CuttingRelay(uint16_t port, std::string statement);
  ~CuttingRelay();
  CuttingRelay(const CuttingRelay&) = delete;
  CuttingRelay& operator=(const CuttingRelay&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }
  // How many answers were lost: 0 or 1.
  [[nodiscard]] int cuts() const { return cuts_; }

 private:
  void Accept(const std::stop_token& stop);
  void Relay(const std::stop_token& stop, int client);

  const uint16_t server_port_;
  const std::string statement_;
  int listener_ = -1;
  uint16_t port_ = 0;
  std::atomic<int> cuts_ = 0;
  std::vector<std::jthread> relays_;  // of the accepting thread
  std::jthread acceptor_;             // ends before what it uses
};

}  // namespace sluice::testing
