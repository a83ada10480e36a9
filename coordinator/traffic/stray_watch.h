// StrayWatch: stops streams that nothing wants, and names them.

#pragma once

#include <cstdint>
#include <set>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/stray_streams.h"

namespace sluice::traffic {

// Looks again and again at what agents report. What two looks in a row find counts, for reports are
// behind the commands that have just ended. A stream that is stopped so keeps its rows: the
// store may be the one that is wrong. The names are remarks of the tablets. One thread of its own.
class StrayWatch {
 public:
  StrayWatch(const Dependencies& parts, absl::Duration interval);
  StrayWatch(const StrayWatch&) = delete;
  StrayWatch& operator=(const StrayWatch&) = delete;
  ~StrayWatch();  // Stop()

  // Close the agents first: calls to them are waited for.
  void Stop();

 private:
  void Watch();
  absl::Status Look();
  absl::StatusOr<std::vector<StrayStream>> Find() const;
  absl::Status End(const StrayStream& stray);

  const Dependencies parts_;
  const absl::Duration interval_;
  std::set<uint64_t> suspects_;  // of the last look
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::jthread thread_;
};

}  // namespace sluice::traffic
