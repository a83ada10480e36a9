// ProxyProcess: start, wait for READY=1, end.

#include "tests/proxy/proxy_process.h"

#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "proxy/auth.h"
#include "proxy/channel.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::proxy {
namespace {

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
}

// A datagram socket under `path`, as the supervisor's.
Descriptor NotifySocket(const std::string& path) {
  Descriptor fd(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-reinterpret-cast)
  bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  return fd;
}

absl::Status AwaitReady(int fd, absl::Time deadline) {
  std::array<char, 256> text{};
  while (absl::Now() < deadline) {
    pollfd poller{fd, POLLIN, 0};
    if (poll(&poller, 1, 100) > 0) {
      const ssize_t size = recv(fd, text.data(), text.size(), 0);
      if (size > 0 &&
          absl::StrContains(absl::string_view(text.data(), static_cast<size_t>(size)), "READY=1")) {
        return absl::OkStatus();
      }
    }
  }
  return absl::DeadlineExceededError("sluice-proxy did not become ready");
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
  proxy->directory_ = "/tmp/sluice-proxy-XXXXXX";
  if (mkdtemp(proxy->directory_.data()) == nullptr) {
    return absl::InternalError("no temporary folder");
  }
  const std::string& dir = proxy->directory_;
  SLUICE_ASSIGN_OR_RETURN(proxy->port_, testing::PickPort());
  WriteFile(dir + "/users", absl::StrCat("# users\napp:", StoredPassword("secret"), "\n"));
  WriteFile(dir + "/password", "backend\n");
  WriteFile(dir + "/proxy.toml",
            absl::StrCat("id = \"p1\"\ncell = \"zone1\"\nlisten = \"127.0.0.1:", proxy->port_,
                         "\"\ncoordinator = \"", coordinator, "\"\nstate_file = \"", dir,
                         "/rules\"\n[users]\nfile = \"", dir,
                         "/users\"\n[backend]\nuser = \"router\"\npassword_file = \"", dir,
                         "/password\"\n", extra));
  const Descriptor notify = NotifySocket(dir + "/notify");
  const std::string config = dir + "/proxy.toml";
  proxy->pid_ = fork();
  if (proxy->pid_ == 0) {
    setenv("NOTIFY_SOCKET", (dir + "/notify").c_str(), 1);
    execl(program.c_str(), program.c_str(), "--config", config.c_str(), nullptr);
    _exit(127);
  }
  SLUICE_RETURN_IF_ERROR(AwaitReady(notify.get(), absl::Now() + absl::Seconds(20)));
  return proxy;
}

ProxyProcess::~ProxyProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(directory_, ignored);
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
