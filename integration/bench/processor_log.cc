// The looks, and what lies between two of them.

#include "integration/bench/processor_log.h"

#include <algorithm>

#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "integration/bench/programs.h"

namespace sluice::bench {

absl::StatusOr<std::unique_ptr<ProcessorLog>> ProcessorLog::Start(pid_t pid) {
  SLUICE_RETURN_IF_ERROR(ProcessorSeconds(pid).status());
  std::unique_ptr<ProcessorLog> log(new ProcessorLog(pid));
  log->thread_ = std::thread([&log = *log] { log.Watch(); });
  return log;
}

ProcessorLog::~ProcessorLog() {
  Stop();
}

void ProcessorLog::Stop() {
  if (thread_.joinable()) {
    end_.Notify();
    thread_.join();
  }
}

void ProcessorLog::Watch() {
  constexpr absl::Duration kEvery = absl::Milliseconds(2);
  bool last = false;
  while (!last) {
    last = end_.HasBeenNotified();
    const auto used_s = ProcessorSeconds(pid_);
    if (!used_s.ok()) {
      return;
    }
    looks_.push_back({.at_us = absl::ToUnixMicros(absl::Now()), .used_s = *used_s});
    if (!last) {
      end_.WaitForNotificationWithTimeout(kEvery);
    }
  }
}

double ProcessorLog::UsedMs(int64_t from_us, int64_t to_us) const {
  const auto by_time = [](const Look& look, int64_t at_us) { return look.at_us < at_us; };
  const auto to = std::lower_bound(looks_.begin(), looks_.end(), to_us, by_time);
  auto from = std::lower_bound(looks_.begin(), looks_.end(), from_us, by_time);
  if (from == looks_.end() || to == looks_.end() || to_us < from_us) {
    return 0;
  }
  if (from != looks_.begin() && from->at_us > from_us) {
    --from;
  }
  return 1000 * (to->used_s - from->used_s);
}

}  // namespace sluice::bench
