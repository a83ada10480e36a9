// Relay: a TCP relay on loopback whose connections can be cut, stalled, or cut within a message.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace sluice::crashloop {

// Thread-safe; its thread ends with it.
class Relay {
 public:
  // Connections to port() go to 127.0.0.1:`to`.
  explicit Relay(uint16_t to);
  ~Relay();
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;

  [[nodiscard]] uint16_t port() const { return port_; }

  // Ends all connections, by RST where `abrupt`.
  void Cut(bool abrupt);
  // Ends the `which`-th of the connections (counted round), if there is one.
  void CutOne(uint64_t which, bool abrupt);
  // Ends all connections when so many more bytes have passed.
  void CutWithin(uint64_t bytes, bool abrupt);
  // Nothing passes and nobody is connected until it is false again.
  void Stall(bool on);

  [[nodiscard]] uint64_t connections_cut() const;

 private:
  struct Pair;
  struct Order {
    bool cut = false;
    bool one = false;
    uint64_t which = 0;
    bool abrupt = false;
  };

  void Run(const std::stop_token& stop);
  [[nodiscard]] bool IsStalled() const;
  void Obey();
  void Accept();
  void Serve(Pair& pair, const short* events);
  bool Pass(Pair& pair, size_t from);
  void End(Pair& pair, bool abrupt);
  void Wake() const;

  const uint16_t to_;
  int listener_ = -1;
  int wake_ = -1;
  uint16_t port_ = 0;
  std::vector<std::unique_ptr<Pair>> pairs_;  // of the relay's thread

  mutable absl::Mutex mutex_;
  std::vector<Order> orders_ ABSL_GUARDED_BY(mutex_);
  bool stalled_ ABSL_GUARDED_BY(mutex_) = false;
  bool counting_ ABSL_GUARDED_BY(mutex_) = false;  // down to a cut
  bool count_abrupt_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t count_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t cut_ ABSL_GUARDED_BY(mutex_) = 0;
  std::jthread thread_;  // ends before what it uses
};

}  // namespace sluice::crashloop
