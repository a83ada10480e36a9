// Waits for the signals that end a service, on a thread of its own.

#include "common/base/signals.h"

#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "absl/time/clock.h"
#include "common/base/check.h"

namespace sluice {
namespace {

sigset_t StopSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

void BlockStopSignals() {
  const sigset_t set = StopSignals();
  SLUICE_CHECK(pthread_sigmask(SIG_BLOCK, &set, nullptr) == 0);
  struct sigaction ignore {};
  ignore.sa_handler = SIG_IGN;
  SLUICE_CHECK(sigaction(SIGPIPE, &ignore, nullptr) == 0);
}

int WaitForStopSignal() {
  const sigset_t set = StopSignals();
  int number = 0;
  SLUICE_CHECK(sigwait(&set, &number) == 0);
  return number;
}

std::optional<int> WaitForStopSignal(absl::Duration timeout) {
  const sigset_t set = StopSignals();
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    const absl::Duration left = std::max(deadline - absl::Now(), absl::ZeroDuration());
    const timespec bound = absl::ToTimespec(left);
    const int number = sigtimedwait(&set, nullptr, &bound);
    if (number > 0) {
      return number;
    }
    // Stopping and continuing the process interrupts the wait.
    if (errno != EINTR) {
      return std::nullopt;
    }
  }
}

void RequestStop() {
  (void)kill(getpid(), SIGTERM);
}

}  // namespace sluice
