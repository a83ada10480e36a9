// Network: requests and answers that are late, lost, doubled and overtaken, and hosts that lose
// each other.

#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "integration/simulate/process.h"
#include "integration/simulate/random.h"

namespace sluice::simulate {

struct RuleSet;
struct Batch;

// To any request.
struct Answer {
  absl::Status status = {};
  std::string value = {};
  uint64_t number = 0;
  uint64_t version = 0;
  bool may_lag = false;  // a read of a server that was read-only
  std::shared_ptr<const RuleSet> rules = {};
  std::shared_ptr<const Batch> batch = {};
};
using Respond = std::function<void(Answer)>;

// Of each thousand messages.
struct NetworkTroubles {
  uint32_t lost = 0;
  uint32_t doubled = 0;
  uint32_t late = 0;
  Micros late_max = 3 * kSecond;
};

struct NetworkCounts {
  uint64_t messages = 0;
  uint64_t lost = 0;
  uint64_t doubled = 0;
  uint64_t late = 0;
  uint64_t cut_off = 0;
};

enum class Transport : uint8_t {
  kRequests,  // of our own: may come twice
  kSession,   // of a client of mysqld: in TCP nothing comes twice
};

class Network {
 public:
  Network(Scheduler& scheduler, Random& random) : scheduler_(scheduler), random_(random) {}
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  void set_troubles(const NetworkTroubles& troubles) { troubles_ = troubles; }
  void Cut(uint32_t a, uint32_t b) { cuts_.insert({std::min(a, b), std::max(a, b)}); }
  void Heal(uint32_t a, uint32_t b) { cuts_.erase({std::min(a, b), std::max(a, b)}); }
  [[nodiscard]] bool Joined(uint32_t a, uint32_t b) const {
    return a == b || !cuts_.contains({std::min(a, b), std::max(a, b)});
  }

  struct Request {
    Process& from;
    Process& to;
    Micros timeout;
    Transport transport = Transport::kRequests;
  };
  // `handle` runs in the process that is asked, as often as the message comes; `done` in the one
  // that asks, once: with the answer, or UNAVAILABLE where nobody was there, or DEADLINE_EXCEEDED.
  void Call(const Request& request, std::function<void(Respond)> handle, Respond done);

  [[nodiscard]] const NetworkCounts& counts() const { return counts_; }

 private:
  void Send(const Process& from, Process& to, Transport transport, Action action);

  Scheduler& scheduler_;
  Random& random_;
  NetworkTroubles troubles_;
  NetworkCounts counts_;
  std::set<std::pair<uint32_t, uint32_t>> cuts_;
};

}  // namespace sluice::simulate
