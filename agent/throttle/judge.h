// Judge: from samples and limits to "go on" or the reason to wait. Pure.

#pragma once

#include <array>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/throttle/limits.h"

namespace sluice::throttle {

// One value of a mysqld, or why there is none.
struct Reading {
  std::optional<double> value;
  std::string detail;  // without a value: why; with one: of whom, where it is not this mysqld's
};

struct Sample {
  absl::Time at = absl::InfinitePast();
  std::array<Reading, kMetrics> readings;

  [[nodiscard]] const Reading& Of(Metric metric) const {
    return readings[static_cast<size_t>(metric)];
  }
  Reading& Of(Metric metric) { return readings[static_cast<size_t>(metric)]; }
};

// The name of a metric, and a value with its unit, for people.
absl::string_view MetricName(Metric metric);
std::string ValueText(Metric metric, double value);

// Closes on the first sample above a limit, opens on the second in a row at which every value is
// well below (a tenth), so that it does not flap; and is closed whenever it does not know: no
// sample, an old one, or one that lacks a value with a limit. Owned by one thread.
class Judge {
 public:
  Judge(Limits limits, absl::Duration stale_after)
      : limits_(std::move(limits)), stale_after_(stale_after) {}

  // Empty: go on. Else why not, with the value and the limit. A sample that was seen before changes
  // nothing but by its age.
  std::string Look(const Sample& sample, absl::Time now);

  [[nodiscard]] const Limits& limits() const { return limits_; }

 private:
  void Take(const Sample& sample);

  const Limits limits_;
  const absl::Duration stale_after_;
  absl::Time taken_ = absl::InfinitePast();
  bool closed_ = true;  // by what was measured
  int calm_ = 0;        // samples in a row
  std::string reason_;  // of closed_
};

}  // namespace sluice::throttle
