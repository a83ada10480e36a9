// ProxyProcess: start, wait for READY=1, end.

#include "tests/proxy/proxy_process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <fstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "integration/cluster/mysqld.h"
#include "integration/cluster/process.h"
#include "proxy/server/auth.h"

namespace sluice::proxy {
namespace {

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ProxyProcess>> ProxyProcess::Start(const std::string& coordinator,
                                                                  const std::string& extra) {
  const char* folder = std::getenv("SLUICE_BIN_DIR");
  if (folder == nullptr) {
    return absl::NotFoundError("SLUICE_BIN_DIR is not set");
  }
  const std::string program = absl::StrCat(folder, "/sluice-proxy");
  std::unique_ptr<ProxyProcess> proxy(new ProxyProcess());
  const std::string& dir = proxy->directory_.path();
  SLUICE_ASSIGN_OR_RETURN(proxy->port_, cluster::PickPort());
  WriteFile(dir + "/users", absl::StrCat("# users\napp:", StoredPassword("secret"), "\n"));
  WriteFile(dir + "/password", "backend\n");
  WriteFile(dir + "/proxy.toml",
            absl::StrCat("id = \"p1\"\ncell = \"zone1\"\nlisten = \"127.0.0.1:", proxy->port_,
                         "\"\ncoordinator = \"", coordinator, "\"\nstate_file = \"", dir,
                         "/rules\"\n[users]\nfile = \"", dir,
                         "/users\"\n[backend]\nuser = \"router\"\npassword_file = \"", dir,
                         "/password\"\n", extra));
  SLUICE_ASSIGN_OR_RETURN(const cluster::ProcessId id,
                          cluster::Spawn({.argv = {program, "--config", dir + "/proxy.toml"},
                                          .environment = {},
                                          .directory = "",
                                          .log = dir + "/log",
                                          .dies_with_parent = true,
                                          .ready_timeout = absl::Seconds(20)}));
  proxy->pid_ = id.pid;
  return proxy;
}

ProxyProcess::~ProxyProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
}

size_t ProxyProcess::PeakResidentKib() const {
  std::ifstream status(absl::StrCat("/proc/", pid_, "/status"));
  std::string word;
  size_t value = 0;
  while (status >> word) {
    if (word == "VmHWM:") {
      status >> value;
    }
  }
  return value;
}

absl::StatusOr<int> ProxyProcess::Terminate(absl::Duration timeout) {
  kill(pid_, SIGTERM);
  const absl::Time deadline = absl::Now() + timeout;
  int status = 0;
  while (absl::Now() < deadline) {
    if (waitpid(pid_, &status, WNOHANG) == pid_) {
      pid_ = -1;
      return status;
    }
    absl::SleepFor(absl::Milliseconds(5));  // Delay: there is no wait with a time-out for a child.
  }
  return absl::DeadlineExceededError("sluice-proxy did not end");
}

absl::StatusOr<std::string> RunProgram(const std::string& command) {
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  if (pipe == nullptr) {
    return absl::InternalError("popen failed");
  }
  std::string output;
  std::array<char, 4096> buffer{};
  size_t size = 0;
  while ((size = fread(buffer.data(), 1, buffer.size(), pipe)) > 0) {
    output.append(buffer.data(), size);
  }
  const int status = pclose(pipe);
  return status == 0 ? absl::StatusOr<std::string>(output)
                     : absl::InternalError(absl::StrCat("exit status ", status, ": ", output));
}

}  // namespace sluice::proxy
