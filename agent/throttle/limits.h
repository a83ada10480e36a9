// Limits: what a mysqld may show before work that can wait does wait. Pure.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "common/tuning/tuning.h"
#include "schemas/data.capnp.h"

namespace sluice::throttle {

enum class Metric : uint8_t {
  kLag,      // milliseconds that replicas are behind
  kThreads,  // statements that run, ours not counted
  kDisk,     // microseconds of a read of a data file or a sync of the redo log, the larger mean
  kQuery,    // what the user's query gives
};
inline constexpr size_t kMetrics = 4;

struct Limits {
  std::array<std::optional<double>, kMetrics> max;
  std::string query;  // of kQuery

  [[nodiscard]] const std::optional<double>& Of(Metric metric) const {
    return max[static_cast<size_t>(metric)];
  }
  [[nodiscard]] bool empty() const;
  friend bool operator==(const Limits&, const Limits&) = default;
};

enum class Side : uint8_t { kSource, kTarget };

// What a workflow's values say of one side; replica lag is limited unless they say otherwise.
Limits LimitsOf(const stream::Tuning& tuning, Side side);

Limits ReadLimits(schemas::ThrottleLimits::Reader reader);
void WriteLimits(const Limits& limits, schemas::ThrottleLimits::Builder builder);

}  // namespace sluice::throttle
