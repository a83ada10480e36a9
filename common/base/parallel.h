// ForEachAtOnce: the same work on many things, a few at a time.

#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"

namespace sluice {

// Calls work(i) for 0 <= i < count from up to `at_once` threads, the caller's among them; with one,
// in order. Once a call has failed no further one begins. Returns the error of the smallest i, or
// OK, when all that have begun are over.
template <typename Work>
absl::Status ForEachAtOnce(size_t count, size_t at_once, const Work& work) {
  std::vector<absl::Status> results(count);
  std::atomic<size_t> next = 0;
  std::atomic<bool> failed = false;
  const auto run = [&] {
    for (size_t i = next++; i < count && !failed; i = next++) {
      results[i] = work(i);
      failed = failed || !results[i].ok();
    }
  };
  {
    std::vector<std::jthread> helpers;
    for (size_t i = 1; i < std::min(at_once, count); ++i) {
      helpers.emplace_back(run);
    }
    run();
  }
  for (absl::Status& result : results) {
    if (!result.ok()) {
      return std::move(result);
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice
