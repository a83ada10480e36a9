// Ends the process at the crash point that the environment names.

#include "common/base/crash_point.h"

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace sluice::internal {
namespace {

struct Plan {
  std::string name;
  uint64_t nth = 1;
  std::atomic<uint64_t> reached{0};

  explicit Plan(const char* variable);
  [[nodiscard]] bool Reached(const char* point) {
    return name == point && reached.fetch_add(1) + 1 == nth;
  }
};

Plan::Plan(const char* variable) {
  const char* text = std::getenv(variable);
  if (text == nullptr || *text == '\0') {
    return;
  }
  const std::pair<std::string, std::string> parts = absl::StrSplit(text, absl::MaxSplits(':', 1));
  name = parts.first;
  if (!parts.second.empty() && (!absl::SimpleAtoi(parts.second, &nth) || nth == 0)) {
    (void)std::fprintf(stderr, "%s=%s: expected <name>[:<n>] with n from 1 on\n", variable, text);
    std::abort();
  }
}

Plan& CrashPlan() {
  static Plan plan("SLUICE_CRASH_AT");
  return plan;
}

Plan& StopPlan() {
  static Plan plan("SLUICE_STOP_AT");
  return plan;
}

}  // namespace

bool CrashPointsArmed() {
  static const bool armed = !CrashPlan().name.empty() || !StopPlan().name.empty();
  return armed;
}

void ReachCrashPoint(const char* name) {
  if (StopPlan().Reached(name)) {
    (void)std::fprintf(stderr, "stop point %s reached: standing still\n", name);
    (void)std::raise(SIGSTOP);
  }
  if (CrashPlan().Reached(name)) {
    (void)std::fprintf(stderr, "crash point %s reached: exiting\n", name);
    _exit(137);
  }
}

}  // namespace sluice::internal
