// Clients: read and write through proxies, one of them past all proxies, and tell the oracle what
// they were told.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "integration/simulate/process.h"
#include "integration/simulate/proxy.h"

namespace sluice::simulate {

class World;

class Clients {
 public:
  explicit Clients(World& world);
  Clients(const Clients&) = delete;
  Clients& operator=(const Clients&) = delete;

  void Begin();
  void Stop() { stopped_ = true; }
  [[nodiscard]] uint32_t busy() const { return busy_; }

 private:
  void Next(uint32_t client);
  void Run(uint32_t client);
  void RunPast(uint32_t client);  // writes straight to a server
  Operation Draw();
  void Take(const Operation& operation, uint64_t floor, const Reply& result);

  World& world_;
  Process outside_;
  bool stopped_ = false;
  uint32_t busy_ = 0;
  uint64_t token_ = 0;
  struct Order {
    uint32_t shard = 0;
    uint32_t id = 0;
  };
  std::deque<Order> orders_;  // acknowledged, and not deleted
};

}  // namespace sluice::simulate
