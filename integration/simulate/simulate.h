// One simulation: a world of one seed, its cutovers and its faults, from beginning to verdict.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/simulate/setup.h"
#include "integration/simulate/trace.h"

namespace sluice::simulate {

// What this seed draws.
Setup SetupOf(uint64_t seed);

struct Outcome {
  uint64_t seed = 0;
  Setup setup;
  std::string violation;  // empty: none
  uint64_t trace_hash = 0;
  uint64_t events = 0;
  Micros virtual_time = 0;
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  uint64_t lost_by_failover = 0;  // acknowledged, where nothing waited for a replica
  uint32_t streams_parted = 0;    // by a failover or a purge; their shards can't be moved any more
  Counts counts;
  NetworkCounts network;
};

// The same seed, the same outcome, on every machine.
Outcome Simulate(uint64_t seed, const Setup& setup, const Trace::Print& print = nullptr);

// Many of them.
struct Totals {
  uint64_t seeds = 0;
  uint64_t violations = 0;
  uint64_t events = 0;
  Micros virtual_time = 0;
  uint64_t acknowledged = 0;
  uint64_t reads = 0;
  uint64_t lost_by_failover = 0;
  uint64_t streams_parted = 0;
  uint64_t shards = 0;
  Counts counts;
  NetworkCounts network;

  void Add(const Outcome& outcome);
  [[nodiscard]] std::string Text(double seconds) const;
  [[nodiscard]] std::string Json(double seconds, const std::vector<Outcome>& failed) const;
};

// "sluice-simulate --seed 7 --trace".
std::string ReplayCommand(uint64_t seed);

}  // namespace sluice::simulate
