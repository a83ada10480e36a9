// Process: a program of the cluster, found again by pid and start time.

#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace sluice::cluster {

// A pid alone may be somebody else's by now; with its start time it names one process.
struct ProcessId {
  pid_t pid = 0;
  uint64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat
};

struct SpawnOptions {
  std::vector<std::string> argv;
  std::vector<std::string> environment;  // added to ours: "NAME=value"
  std::string directory;                 // working directory; empty: ours
  std::string log;                       // stdout and stderr are appended here
  bool dies_with_parent = false;
  // When set, returns only after the program sent READY=1 (sd_notify), or fails with the end of
  // its log.
  absl::Duration ready_timeout = absl::ZeroDuration();
};

// Starts a program in a session of its own.
absl::StatusOr<ProcessId> Spawn(const SpawnOptions& options);

[[nodiscard]] bool IsAlive(const ProcessId& id);
// True while SIGSTOP holds it.
[[nodiscard]] bool IsStopped(const ProcessId& id);
// NOT_FOUND when it is gone already.
absl::Status Signal(const ProcessId& id, int signal);
// Waits for the end, reaping it where it is our child. DEADLINE_EXCEEDED when it goes on.
absl::Status AwaitExit(const ProcessId& id, absl::Duration timeout);
// SIGTERM, then after `grace` SIGKILL; returns when it is gone.
absl::Status StopProcess(const ProcessId& id, absl::Duration grace);

struct CommandResult {
  int exit_code = -1;  // 128 + signal when a signal ended it
  std::string output;
  std::string errors;
};
// Runs a program to its end. DEADLINE_EXCEEDED (and the program killed) after `timeout`.
absl::StatusOr<CommandResult> RunCommand(const std::vector<std::string>& argv,
                                         const std::vector<std::string>& environment,
                                         absl::Duration timeout);

// The last lines of a text file, for error messages.
std::string TailOf(const std::string& path, size_t bytes = 2000);

}  // namespace sluice::cluster
