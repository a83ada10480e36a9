// ProxyProcess: the program sluice-proxy with a configuration of a test's own.

#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "tests/testing/temp_dir.h"

namespace sluice::proxy {

// Owned by one thread. The process ends with the object.
class ProxyProcess {
 public:
  // Starts $SLUICE_BIN_DIR/sluice-proxy and waits for READY=1. `extra` is TOML added to the file.
  static absl::StatusOr<std::unique_ptr<ProxyProcess>> Start(const std::string& coordinator,
                                                             const std::string& extra = "");
  ProxyProcess(const ProxyProcess&) = delete;
  ProxyProcess& operator=(const ProxyProcess&) = delete;
  ~ProxyProcess();

  [[nodiscard]] uint16_t port() const { return port_; }
  [[nodiscard]] pid_t pid() const { return pid_; }
  // The most memory that it has had resident, KiB.
  [[nodiscard]] size_t PeakResidentKib() const;
  // SIGTERM; the exit status of waitpid, or an error when it does not end in time.
  absl::StatusOr<int> Terminate(absl::Duration timeout);

 private:
  ProxyProcess() = default;

  testing::TempDir directory_;
  pid_t pid_ = -1;
  uint16_t port_ = 0;
};

// Runs a program with the shell; its standard output and errors. INTERNAL when it fails.
absl::StatusOr<std::string> RunProgram(const std::string& command);

}  // namespace sluice::proxy
