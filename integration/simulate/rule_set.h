// RuleSet: what the coordinator tells proxies.

#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "proxy/rules/rules_machine.h"

namespace sluice::simulate {

// Sides are 0, where the workflow comes from, and 1.
inline constexpr std::array<const char*, 2> kKeyspaces = {"commerce", "customer"};

struct RuleSet {
  uint64_t epoch = 0;
  uint8_t writes = 0;  // the side that they go to
  uint8_t reads = 0;   // of REPLICA traffic
  std::vector<proxy::Hold> holds;
  std::array<std::vector<uint8_t>, 2> primaries;  // by side and shard: which of the two servers

  // Equal for sets that differ in nothing but epoch and holds.
  [[nodiscard]] uint64_t Routes() const {
    uint64_t hash = 14695981039346656037U;
    const auto mix = [&](uint64_t value) { hash = (hash ^ value) * 1099511628211U; };
    mix(writes);
    mix(reads);
    for (const std::vector<uint8_t>& side : primaries) {
      for (const uint8_t primary : side) {
        mix(primary);
      }
    }
    return hash;
  }
};

}  // namespace sluice::simulate
