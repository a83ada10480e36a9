// Judge: limits, hysteresis and age.

#include "agent/throttle/judge.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace sluice::throttle {
namespace {

constexpr int kCalmSamples = 2;
constexpr double kReopenBelow = 0.9;  // of the limit

// The user's query says itself what is calm, and its numbers may be of any kind.
double ReopenAt(Metric metric, double max) {
  return metric == Metric::kQuery ? max : max * kReopenBelow;
}

std::string Describe(Metric metric, const Reading& reading, double max) {
  return absl::StrCat(MetricName(metric), reading.detail.empty() ? "" : " of ", reading.detail, " ",
                      ValueText(metric, *reading.value), " is above ", ValueText(metric, max));
}

std::string Seconds(absl::Duration duration) {
  return absl::StrFormat("%.1fs", absl::ToDoubleSeconds(duration));
}

}  // namespace

absl::string_view MetricName(Metric metric) {
  switch (metric) {
    case Metric::kLag:
      return "replica lag";
    case Metric::kThreads:
      return "threads running";
    case Metric::kDisk:
      return "disk latency";
    case Metric::kQuery:
      return "the throttle query's value";
  }
  return "";
}

std::string ValueText(Metric metric, double value) {
  switch (metric) {
    case Metric::kLag:
      return Seconds(absl::Milliseconds(value));
    case Metric::kDisk:
      return absl::StrFormat("%.2fms", value / 1000);
    case Metric::kThreads:
    case Metric::kQuery:
      break;
  }
  return absl::StrCat(value);
}

std::string Judge::Look(const Sample& sample, absl::Time now) {
  if (limits_.empty()) {
    return "";
  }
  if (sample.at == absl::InfinitePast()) {
    return "mysqld was not measured yet";
  }
  if (sample.at != taken_) {
    taken_ = sample.at;
    Take(sample);
  }
  if (now - sample.at > stale_after_) {
    return absl::StrCat("mysqld could not be measured for ", Seconds(now - sample.at));
  }
  return closed_ ? reason_ : "";
}

void Judge::Take(const Sample& sample) {
  std::string over;
  bool calm = true;
  for (size_t i = 0; i < kMetrics; ++i) {
    const auto metric = static_cast<Metric>(i);
    const std::optional<double>& max = limits_.Of(metric);
    if (!max.has_value()) {
      continue;
    }
    const Reading& reading = sample.Of(metric);
    if (!reading.value.has_value()) {
      over = absl::StrCat(MetricName(metric), " could not be measured: ", reading.detail);
      break;
    }
    if (*reading.value > *max && over.empty()) {
      over = Describe(metric, reading, *max);
    }
    calm = calm && *reading.value <= ReopenAt(metric, *max);
  }
  if (!over.empty()) {
    closed_ = true;
    calm_ = 0;
    reason_ = std::move(over);
    return;
  }
  calm_ = calm ? std::min(calm_ + 1, kCalmSamples) : 0;
  // While nothing was over yet, the first sample opens.
  if (reason_.empty() || calm_ >= kCalmSamples) {
    closed_ = false;
  }
}

}  // namespace sluice::throttle
