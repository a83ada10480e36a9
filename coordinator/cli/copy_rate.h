// CopyRate: how fast a copy goes and when it will end, from looks at its counters. Pure.

#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace sluice::cli {

// Rates are those of the last ten seconds. Owned by one thread.
class CopyRate {
 public:
  void Add(absl::Time when, int64_t rows, int64_t bytes);

  // Zero until there are two looks.
  [[nodiscard]] double rows_per_second() const;
  [[nodiscard]] double bytes_per_second() const;
  // Until `rows_left` more are copied; nullopt while nothing moves.
  [[nodiscard]] std::optional<absl::Duration> TimeLeft(int64_t rows_left) const;

  // "1200 rows/s, 3.4 MiB/s, ends in about 1m20s".
  [[nodiscard]] std::string Describe(int64_t rows_left) const;

 private:
  struct Look {
    absl::Time when;
    int64_t rows;
    int64_t bytes;
  };
  [[nodiscard]] double PerSecond(int64_t Look::*counter) const;

  std::deque<Look> looks_;
};

}  // namespace sluice::cli
