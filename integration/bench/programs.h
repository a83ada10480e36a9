// Programs: the peers' programs, and what a process uses of the machine.

#pragma once

#include <sys/types.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace sluice::bench {

// The path of a program: of MySQL's own beside the mysqld under test, of others on $PATH. NOT_FOUND
// says how to install it.
absl::StatusOr<std::string> FindProgram(const std::string& name);

// Runs a script of bash (pipes fail as a whole) and returns what it printed. INTERNAL with its
// stderr when it fails, DEADLINE_EXCEEDED after `timeout`.
absl::StatusOr<std::string> RunScript(const std::string& script,
                                      absl::Duration timeout = absl::Hours(1));

// Processor seconds used so far, user and system. NOT_FOUND when there is no such process.
absl::StatusOr<double> ProcessorSeconds(pid_t pid);

// Resident memory, MiB.
absl::StatusOr<double> ResidentMib(pid_t pid);
// The most it was since the last ResetPeak.
absl::StatusOr<double> PeakMib(pid_t pid);
absl::Status ResetPeak(pid_t pid);

// ' quoted for bash.
std::string ShellQuote(const std::string& text);

}  // namespace sluice::bench
