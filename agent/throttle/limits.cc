// Limits: from a workflow's values, and their wire form.

#include "agent/throttle/limits.h"

#include <algorithm>

#include "absl/time/time.h"
#include "common/wire/wire.h"

namespace sluice::throttle {
namespace {

using stream::Knob;

constexpr absl::Duration kLagMax = absl::Seconds(10);

struct SideKnobs {
  Knob lag;
  Knob threads;
  Knob disk;
  Knob query;
  Knob query_max;
};
constexpr SideKnobs kSourceKnobs = {Knob::kSourceLag, Knob::kSourceThreads, Knob::kSourceDisk,
                                    Knob::kSourceQuery, Knob::kSourceQueryMax};
constexpr SideKnobs kTargetKnobs = {Knob::kTargetLag, Knob::kTargetThreads, Knob::kTargetDisk,
                                    Knob::kTargetQuery, Knob::kTargetQueryMax};

std::optional<double>& At(Limits& limits, Metric metric) {
  return limits.max[static_cast<size_t>(metric)];
}

}  // namespace

bool Limits::empty() const {
  return std::none_of(max.begin(), max.end(),
                      [](const std::optional<double>& limit) { return limit.has_value(); });
}

Limits LimitsOf(const stream::Tuning& tuning, Side side) {
  const SideKnobs& knobs = side == Side::kSource ? kSourceKnobs : kTargetKnobs;
  Limits limits;
  const std::optional<absl::Duration> lag =
      tuning.Has(knobs.lag) ? tuning.Time(knobs.lag) : std::optional<absl::Duration>(kLagMax);
  if (lag.has_value()) {
    At(limits, Metric::kLag) = absl::ToDoubleMilliseconds(*lag);
  }
  if (const auto threads = tuning.Count(knobs.threads); threads.has_value()) {
    At(limits, Metric::kThreads) = static_cast<double>(*threads);
  }
  if (const auto disk = tuning.Time(knobs.disk); disk.has_value()) {
    At(limits, Metric::kDisk) = absl::ToDoubleMicroseconds(*disk);
  }
  if (const auto query = tuning.Text(knobs.query); query.has_value()) {
    limits.query = *query;
    At(limits, Metric::kQuery) = tuning.Number(knobs.query_max).value_or(0);
  }
  return limits;
}

Limits ReadLimits(schemas::ThrottleLimits::Reader reader) {
  Limits limits;
  const auto take = [&](Metric metric, bool has, double value) {
    if (has) {
      At(limits, metric) = value;
    }
  };
  take(Metric::kLag, reader.getHasLag(), reader.getLagMs());
  take(Metric::kThreads, reader.getHasThreads(), reader.getThreads());
  take(Metric::kDisk, reader.getHasDisk(), reader.getDiskUs());
  limits.query = wire::Str(reader.getQuery());
  take(Metric::kQuery, !limits.query.empty(), reader.getQueryMax());
  return limits;
}

void WriteLimits(const Limits& limits, schemas::ThrottleLimits::Builder builder) {
  builder.setHasLag(limits.Of(Metric::kLag).has_value());
  builder.setLagMs(limits.Of(Metric::kLag).value_or(0));
  builder.setHasThreads(limits.Of(Metric::kThreads).has_value());
  builder.setThreads(limits.Of(Metric::kThreads).value_or(0));
  builder.setHasDisk(limits.Of(Metric::kDisk).has_value());
  builder.setDiskUs(limits.Of(Metric::kDisk).value_or(0));
  builder.setQuery(limits.query);
  builder.setQueryMax(limits.Of(Metric::kQuery).value_or(0));
}

}  // namespace sluice::throttle
