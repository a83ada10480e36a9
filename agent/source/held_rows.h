// HeldRows: rows that are too large for one answer, kept until they were fetched in parts.

#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace sluice::source {

// Thread-safe.
class HeldRows {
 public:
  // The oldest rows are given up when there are more than `count_max`: whoever wanted them is gone
  // or will ask anew.
  explicit HeldRows(size_t count_max) : count_max_(count_max) {}
  HeldRows(const HeldRows&) = delete;
  HeldRows& operator=(const HeldRows&) = delete;

  // Returns the number by which they are read.
  uint64_t Keep(std::string rows) ABSL_LOCKS_EXCLUDED(mutex_);

  // At most bytes_max bytes from `offset` on, as often as asked. An offset at the end lets the rows
  // go. NOT_FOUND when they are not held.
  absl::StatusOr<std::string> Read(uint64_t number, uint64_t offset, size_t bytes_max)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  const size_t count_max_;
  absl::Mutex mutex_;
  uint64_t last_number_ ABSL_GUARDED_BY(mutex_) = 0;
  std::deque<std::pair<uint64_t, std::string>> held_ ABSL_GUARDED_BY(mutex_);  // oldest first
};

}  // namespace sluice::source
