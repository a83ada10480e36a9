// Rates over a sliding window.

#include "coordinator/cli/copy_rate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "coordinator/cli/status_text.h"

namespace sluice::cli {
namespace {

constexpr absl::Duration kWindow = absl::Seconds(10);
constexpr absl::Duration kLongest = absl::Hours(24 * 365);

}  // namespace

void CopyRate::Add(absl::Time when, int64_t rows, int64_t bytes) {
  // Counters that fall back belong to a copy that has begun anew.
  if (!looks_.empty() && (rows < looks_.back().rows || when <= looks_.back().when)) {
    looks_.clear();
  }
  looks_.push_back({.when = when, .rows = rows, .bytes = bytes});
  while (looks_.size() > 2 && when - looks_[1].when >= kWindow) {
    looks_.pop_front();
  }
}

double CopyRate::PerSecond(int64_t Look::*counter) const {
  if (looks_.size() < 2) {
    return 0;
  }
  const double seconds = absl::ToDoubleSeconds(looks_.back().when - looks_.front().when);
  const auto moved = static_cast<double>(looks_.back().*counter - looks_.front().*counter);
  return std::max(moved / seconds, 0.0);
}

double CopyRate::rows_per_second() const {
  return PerSecond(&Look::rows);
}

double CopyRate::bytes_per_second() const {
  return PerSecond(&Look::bytes);
}

std::optional<absl::Duration> CopyRate::TimeLeft(int64_t rows_left) const {
  const double rate = rows_per_second();
  if (rate <= 0) {
    return std::nullopt;
  }
  return std::min(absl::Seconds(static_cast<double>(std::max<int64_t>(rows_left, 0)) / rate),
                  kLongest);
}

std::string CopyRate::Describe(int64_t rows_left) const {
  const std::optional<absl::Duration> left = TimeLeft(rows_left);
  std::string text = absl::StrFormat("%.0f rows/s, %s/s, ", rows_per_second(),
                                     BytesText(static_cast<int64_t>(bytes_per_second())));
  if (!left.has_value()) {
    return text + "end not known yet";
  }
  return absl::StrCat(text, "ends in about ",
                      absl::FormatDuration(absl::Ceil(*left, absl::Seconds(1))));
}

}  // namespace sluice::cli
