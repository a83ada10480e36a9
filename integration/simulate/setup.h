// Setup: what a seed draws before anything happens, and what a simulation counts.

#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "integration/simulate/network.h"
#include "integration/simulate/scheduler.h"

namespace sluice::simulate {

struct Setup {
  uint32_t shards = 8;
  uint32_t proxies = 1;
  uint32_t clients = 6;
  bool semi_sync = true;
  bool purges = false;
  uint32_t cutovers = 3;         // commands, one after the other
  Micros fault_every = kSecond;  // on average
  NetworkTroubles network;
  uint32_t server_gates = 0;   // of each hundred gates that a cutover closes
  uint32_t store_refuses = 0;  // of each thousand transactions of the coordinator's store
};

struct Counts {
  std::map<std::string, uint64_t> faults;
  std::map<std::string, uint64_t> cutovers;  // by kind and end
  std::map<std::string, uint64_t> gates;
  uint64_t held = 0;  // statements that waited for a cutover
  uint64_t met_gate = 0;
  uint64_t transactions = 0;
  uint64_t operations = 0;
  uint64_t failed = 0;
  uint64_t unknown = 0;
};

}  // namespace sluice::simulate
