// Signals: SIGTERM and SIGINT as an event that main waits for.

#pragma once

#include <optional>

#include "absl/time/time.h"

namespace sluice {

// Blocks SIGTERM and SIGINT in this thread and in all that it starts, and ignores SIGPIPE. Call
// first thing in main, before any thread exists.
void BlockStopSignals();

// Waits for a stop signal and returns its number; nullopt at the time-out. REQUIRES:
// BlockStopSignals was called. One waiter at a time.
int WaitForStopSignal();
std::optional<int> WaitForStopSignal(absl::Duration timeout);

// Makes the waiter return, as SIGTERM from outside would. Thread-safe.
void RequestStop();

}  // namespace sluice
