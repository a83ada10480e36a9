// Crash points: named places in the code at which a test makes the process die or stand still.

#pragma once

namespace sluice::internal {

// True when SLUICE_CRASH_AT or SLUICE_STOP_AT is set in the environment; read once.
bool CrashPointsArmed();
void ReachCrashPoint(const char* name);

}  // namespace sluice::internal

// SLUICE_CRASH_AT=<name>[:<n>] in the environment ends the process with _exit(137), as kill -9
// would, the n-th time (default: the first) that any thread gets here. SLUICE_STOP_AT raises
// SIGSTOP instead, so that a test can do something to another process meanwhile. Otherwise it costs
// a load and a branch.
#define SLUICE_CRASH_POINT(name)                  \
  do {                                            \
    if (::sluice::internal::CrashPointsArmed()) { \
      ::sluice::internal::ReachCrashPoint(name);  \
    }                                             \
  } while (false)
