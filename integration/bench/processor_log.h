// ProcessorLog: how much processor time a process has used by when.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/notification.h"

namespace sluice::bench {

// Looks at a process every two milliseconds, from a thread of its own, until it ends. Owned by one
// thread.
class ProcessorLog {
 public:
  static absl::StatusOr<std::unique_ptr<ProcessorLog>> Start(pid_t pid);
  ProcessorLog(const ProcessorLog&) = delete;
  ProcessorLog& operator=(const ProcessorLog&) = delete;
  ~ProcessorLog();

  // Ends looking. Before it is called there is nothing to ask for.
  void Stop();
  // Milliseconds that the process has used between two times of the wall clock, by the looks
  // next to them on the outer side. 0 where there are none.
  [[nodiscard]] double UsedMs(int64_t from_us, int64_t to_us) const;

 private:
  struct Look {
    int64_t at_us = 0;
    double used_s = 0;
  };

  explicit ProcessorLog(pid_t pid) : pid_(pid) {}
  void Watch();

  const pid_t pid_;
  std::vector<Look> looks_;
  absl::Notification end_;
  std::thread thread_;
};

}  // namespace sluice::bench
