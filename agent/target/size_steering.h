// SizeSteering: how much to give mysqld at once, by how long it took over the last. Pure.

#pragma once

#include <algorithm>
#include <cstddef>

#include "absl/time/time.h"

namespace sluice::target {

// A size between two bounds that halves when work of about that size took more than the target
// time, and doubles when it took less than half of it: so it settles within a factor of two, and a
// server that is fast enough gets the largest. Owned by one thread.
class SizeSteering {
 public:
  SizeSteering(size_t min, size_t max, absl::Duration target)
      : min_(std::min(min, max)), max_(max), target_(target), size_(max) {}

  [[nodiscard]] size_t size() const { return size_; }

  // Work of `size` was done. What is much smaller than size() tells nothing of a larger one.
  void Took(size_t size, absl::Duration time) {
    if (time > target_) {
      size_ = std::clamp(std::min(size, size_) / 2, min_, max_);
    } else if (time < target_ / 2 && size >= size_ / 2) {
      size_ = std::min(size_ * 2, max_);
    }
  }

 private:
  const size_t min_;
  const size_t max_;
  const absl::Duration target_;
  size_t size_;
};

}  // namespace sluice::target
