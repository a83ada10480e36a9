// Process: fork and exec, readiness by sd_notify, signals by pid and start time.

#include "integration/cluster/process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

extern char** environ;  // NOLINT(readability-redundant-declaration)

namespace sluice::cluster {
namespace {

// Ours with `added` in place of what has the same name; "NAME=" takes the name out.
std::vector<std::string> MergedEnvironment(const std::vector<std::string>& added) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string existing = *entry;
    const std::string name = existing.substr(0, existing.find('=') + 1);
    bool replaced = false;
    for (const std::string& one : added) {
      replaced = replaced || absl::StartsWith(one, name);
    }
    if (!replaced) {
      merged.push_back(existing);
    }
  }
  for (const std::string& one : added) {
    if (one.back() != '=') {
      merged.push_back(one);
    }
  }
  return merged;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  pointers.reserve(strings.size() + 1);
  for (std::string& one : strings) {
    pointers.push_back(one.data());
  }
  pointers.push_back(nullptr);
  return pointers;
}

struct Stat {
  std::string state;
  uint64_t start_ticks = 0;  // 0 for one that has ended
};

Stat ReadStat(pid_t pid) {
  std::ifstream stat(absl::StrCat("/proc/", pid, "/stat"));
  std::string text((std::istreambuf_iterator<char>(stat)), std::istreambuf_iterator<char>());
  // The program's name, in brackets, may hold blanks; the state follows its last bracket.
  const size_t bracket = text.rfind(')');
  if (bracket == std::string::npos) {
    return {};
  }
  std::istringstream fields(text.substr(bracket + 1));
  Stat result;
  fields >> result.state;
  std::string skipped;
  for (int field = 4; field < 22; ++field) {
    fields >> skipped;
  }
  if (result.state != "Z") {  // a zombie has ended
    fields >> result.start_ticks;
  }
  return result;
}

uint64_t StartTicks(pid_t pid) {
  return ReadStat(pid).start_ticks;
}

// A datagram socket in the abstract namespace, which needs no clean-up.
struct NotifySocket {
  int fd = -1;
  std::string name;
};

absl::StatusOr<NotifySocket> OpenNotifySocket() {
  static std::atomic<int> counter{0};
  NotifySocket result;
  result.name = absl::StrCat("sluice-cluster-", getpid(), "-", counter.fetch_add(1));
  result.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(&address.sun_path[1], result.name.data(), result.name.size());
  const auto length =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + result.name.size());
  if (result.fd < 0 || bind(result.fd, reinterpret_cast<sockaddr*>(&address), length) != 0) {
    return absl::InternalError(absl::StrCat("notify socket: ", std::strerror(errno)));
  }
  return result;
}

absl::Status AwaitReady(int socket_fd, const ProcessId& id, const SpawnOptions& options) {
  const absl::Time deadline = absl::Now() + options.ready_timeout;
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, id.pid, 0));
  const auto close_pidfd = absl::MakeCleanup([pidfd] {
    if (pidfd >= 0) {
      close(pidfd);
    }
  });
  while (true) {
    std::array<pollfd, 2> fds = {pollfd{socket_fd, POLLIN, 0}, pollfd{pidfd, POLLIN, 0}};
    const int64_t left = absl::ToInt64Milliseconds(deadline - absl::Now());
    if (left <= 0) {
      return absl::DeadlineExceededError(absl::StrCat(options.argv[0], " was not ready in ",
                                                      absl::FormatDuration(options.ready_timeout),
                                                      ": ", TailOf(options.log)));
    }
    poll(fds.data(), fds.size(), static_cast<int>(left));
    if ((fds[0].revents & POLLIN) != 0) {
      std::array<char, 4096> buffer{};
      const ssize_t size = recv(socket_fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
      if (size > 0 && absl::StrContains(absl::string_view(buffer.data(), static_cast<size_t>(size)),
                                        "READY=1")) {
        return absl::OkStatus();
      }
    } else if ((fds[1].revents & POLLIN) != 0) {
      return absl::UnavailableError(
          absl::StrCat(options.argv[0], " ended at once: ", TailOf(options.log)));
    }
  }
}

// Between fork and exec: only async-signal-safe calls.
[[noreturn]] void Exec(const SpawnOptions& options, char* const* argv, char* const* envp,
                       pid_t parent) {
  if (options.dies_with_parent) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(127);
    }
  } else {
    setsid();
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(options.log.c_str(), O_WRONLY | O_CREAT | O_APPEND, 0644);
  dup2(in, 0);
  dup2(out, 1);
  dup2(out, 2);
  syscall(SYS_close_range, 3U, ~0U, 0);
  if (!options.directory.empty() && chdir(options.directory.c_str()) != 0) {
    _exit(127);
  }
  execve(argv[0], argv, envp);
  _exit(127);
}

}  // namespace

absl::StatusOr<ProcessId> Spawn(const SpawnOptions& options) {
  const bool waits = options.ready_timeout > absl::ZeroDuration();
  NotifySocket notify;
  if (waits) {
    SLUICE_ASSIGN_OR_RETURN(notify, OpenNotifySocket());
  }
  const auto close_notify = absl::MakeCleanup([&notify] {
    if (notify.fd >= 0) {
      close(notify.fd);
    }
  });
  std::vector<std::string> added = options.environment;
  added.push_back(waits ? absl::StrCat("NOTIFY_SOCKET=@", notify.name) : "NOTIFY_SOCKET=");
  std::vector<std::string> environment = MergedEnvironment(added);
  std::vector<std::string> arguments = options.argv;
  const std::vector<char*> envp = Pointers(environment);
  const std::vector<char*> argv = Pointers(arguments);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("fork: ", std::strerror(errno)));
  }
  if (pid == 0) {
    Exec(options, argv.data(), envp.data(), parent);
  }
  const ProcessId id{pid, StartTicks(pid)};
  if (waits) {
    if (absl::Status ready = AwaitReady(notify.fd, id, options); !ready.ok()) {
      kill(pid, SIGKILL);
      AwaitExit(id, absl::Seconds(10)).IgnoreError();
      return ready;
    }
  }
  return id;
}

bool IsAlive(const ProcessId& id) {
  return id.pid > 0 && id.start_ticks != 0 && StartTicks(id.pid) == id.start_ticks;
}

bool IsStopped(const ProcessId& id) {
  return IsAlive(id) && ReadStat(id.pid).state == "T";
}

absl::Status Signal(const ProcessId& id, int signal) {
  if (!IsAlive(id) || kill(id.pid, signal) != 0) {
    return absl::NotFoundError(absl::StrCat("process ", id.pid, " is not running"));
  }
  return absl::OkStatus();
}

absl::Status AwaitExit(const ProcessId& id, absl::Duration timeout) {
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, id.pid, 0));
  if (pidfd >= 0) {
    const auto close_pidfd = absl::MakeCleanup([pidfd] { close(pidfd); });
    // A process whose first thread is a zombie may have others that still end: only the descriptor
    // tells when all of it is gone.
    const Stat stat = ReadStat(id.pid);
    const bool ours = stat.state == "Z" || stat.start_ticks == id.start_ticks;
    pollfd fd{pidfd, POLLIN, 0};
    if (ours && poll(&fd, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) == 0) {
      return absl::DeadlineExceededError(absl::StrCat("process ", id.pid, " goes on running"));
    }
  }
  int status = 0;
  waitpid(id.pid, &status, WNOHANG);  // ECHILD when it is not our child: nothing to reap
  return absl::OkStatus();
}

absl::Status StopProcess(const ProcessId& id, absl::Duration grace) {
  if (!IsAlive(id)) {
    return AwaitExit(id, absl::Seconds(20));
  }
  kill(id.pid, SIGCONT);
  kill(id.pid, SIGTERM);
  if (AwaitExit(id, grace).ok()) {
    return absl::OkStatus();
  }
  kill(id.pid, SIGKILL);
  return AwaitExit(id, absl::Seconds(20));
}

absl::StatusOr<CommandResult> RunCommand(const std::vector<std::string>& argv,
                                         const std::vector<std::string>& environment,
                                         absl::Duration timeout) {
  const std::string base =
      absl::StrCat("/tmp/sluice-run-", getpid(), "-", absl::GetCurrentTimeNanos());
  const std::string out_path = base + ".out";
  const std::string err_path = base + ".err";
  const auto remove_files = absl::MakeCleanup([&] {
    unlink(out_path.c_str());
    unlink(err_path.c_str());
  });
  std::vector<std::string> env = MergedEnvironment(environment);
  std::vector<std::string> arguments = argv;
  const std::vector<char*> envp = Pointers(env);
  const std::vector<char*> pointers = Pointers(arguments);
  const pid_t pid = fork();
  if (pid < 0) {
    return absl::ResourceExhaustedError(absl::StrCat("fork: ", std::strerror(errno)));
  }
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    dup2(open("/dev/null", O_RDONLY), 0);
    dup2(open(out_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 1);
    dup2(open(err_path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600), 2);
    syscall(SYS_close_range, 3U, ~0U, 0);
    execve(pointers[0], pointers.data(), envp.data());
    _exit(127);
  }
  const int pidfd = static_cast<int>(syscall(SYS_pidfd_open, pid, 0));
  pollfd fd{pidfd, POLLIN, 0};
  const bool timed_out = poll(&fd, 1, static_cast<int>(absl::ToInt64Milliseconds(timeout))) == 0;
  close(pidfd);
  if (timed_out) {
    kill(pid, SIGKILL);
  }
  int status = 0;
  waitpid(pid, &status, 0);
  if (timed_out) {
    return absl::DeadlineExceededError(
        absl::StrCat(argv[0], " did not end in ", absl::FormatDuration(timeout)));
  }
  CommandResult result;
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  result.output = TailOf(out_path, size_t{64} << 20U);
  result.errors = TailOf(err_path, size_t{64} << 20U);
  return result;
}

std::string TailOf(const std::string& path, size_t bytes) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) {
    return "";
  }
  const auto size = static_cast<size_t>(file.tellg());
  const size_t take = std::min(size, bytes);
  file.seekg(static_cast<std::streamoff>(size - take));
  std::string text(take, '\0');
  file.read(text.data(), static_cast<std::streamsize>(take));
  return text;
}

}  // namespace sluice::cluster
