// Mysqld: starting, waiting for and removing a mysqld of a test.

#include "tests/testing/mysqld_fixture.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::testing {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kStartTimeout = absl::Seconds(120);

std::string Environment(const char* name) {
  const char* value = getenv(name);
  return value == nullptr ? "" : value;
}

// Runs a program with its output in a file; the child ends with this process.
absl::StatusOr<pid_t> Run(const std::vector<std::string>& command, const std::string& output) {
  std::vector<char*> arguments;
  arguments.reserve(command.size() + 1);
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  const int log = open(output.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
      _exit(1);
    }
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    execv(arguments[0], arguments.data());
    _exit(127);
  }
  close(log);
  if (pid < 0) {
    return absl::ResourceExhaustedError("fork failed");
  }
  return pid;
}

std::string TailOf(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  const std::string all = text.str();
  constexpr size_t kShown = 2000;
  return all.size() > kShown ? all.substr(all.size() - kShown) : all;
}

std::vector<std::string> BaseCommand(const std::string& program, const std::string& data) {
  std::vector<std::string> command = {program,
                                      "--no-defaults",
                                      absl::StrCat("--datadir=", data),
                                      "--mysqlx=OFF",
                                      "--innodb-buffer-pool-size=64M",
                                      "--innodb-redo-log-capacity=32M",
                                      "--server-id=1"};
  if (geteuid() == 0) {
    command.emplace_back("--user=root");
  }
  return command;
}

// The data directory that all others are copies of, made by the first test that needs it.
absl::StatusOr<std::string> Template(const std::string& program) {
  const std::string build = Environment("SLUICE_BIN_DIR");
  const fs::path base = build.empty() ? fs::temp_directory_path() : fs::path(build).parent_path();
  std::error_code ignored;
  const auto version = fs::last_write_time(fs::canonical(program, ignored), ignored);
  const std::string name = absl::StrCat(
      "test-mysqld-", getuid(), "-",
      std::hash<std::string>()(program) ^ static_cast<size_t>(version.time_since_epoch().count()));
  const std::string ready = base / name;
  const int lock = open(absl::StrCat(ready, ".lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (lock < 0 || flock(lock, LOCK_EX) != 0) {
    return absl::InternalError(absl::StrCat("cannot lock ", ready, ".lock"));
  }
  absl::Status status;
  if (!fs::exists(ready)) {
    const std::string fresh = absl::StrCat(ready, ".new");
    const std::string log = absl::StrCat(ready, ".log");
    fs::remove_all(fresh);
    std::vector<std::string> command = BaseCommand(program, fresh);
    command.emplace_back("--initialize-insecure");
    SLUICE_ASSIGN_OR_RETURN(const pid_t pid, Run(command, log));
    int result = 0;
    waitpid(pid, &result, 0);
    if (!WIFEXITED(result) || WEXITSTATUS(result) != 0) {
      status = absl::InternalError(absl::StrCat("mysqld --initialize failed: ", TailOf(log)));
    } else {
      fs::remove(fresh + "/auto.cnf");
      fs::rename(fresh, ready);
    }
  }
  close(lock);
  if (!status.ok()) {
    return status;
  }
  return ready;
}

}  // namespace

absl::StatusOr<std::string> FindMysqld() {
  std::string path = Environment("SLUICE_MYSQLD");
  if (path.empty()) {
    std::string prefix = Environment("SLUICE_PREFIX");
    if (prefix.empty() && !Environment("XDG_CACHE_HOME").empty()) {
      prefix = Environment("XDG_CACHE_HOME") + "/sluice";
    }
    if (prefix.empty()) {
      prefix = Environment("HOME").empty() ? "/var/cache/sluice"
                                           : Environment("HOME") + "/.cache/sluice";
    }
    path = prefix + "/bin/mysqld";
  }
  if (access(path.c_str(), X_OK) != 0) {
    return absl::NotFoundError(
        absl::StrCat("no mysqld at ", path, "; run deploy/bootstrap or set SLUICE_MYSQLD"));
  }
  return path;
}

absl::StatusOr<uint16_t> PickPort() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  const bool good = fd >= 0 && bind(fd, reinterpret_cast<sockaddr*>(&address), length) == 0 &&
                    getsockname(fd, reinterpret_cast<sockaddr*>(&address), &length) == 0;
  close(fd);
  if (!good) {
    return absl::ResourceExhaustedError("no free port on loopback");
  }
  return ntohs(address.sin_port);
}

absl::StatusOr<std::unique_ptr<Mysqld>> Mysqld::Start(const std::vector<std::string>& extra) {
  auto server = std::unique_ptr<Mysqld>(new Mysqld());
  server->extra_ = extra;
  SLUICE_ASSIGN_OR_RETURN(server->program_, FindMysqld());
  SLUICE_ASSIGN_OR_RETURN(const std::string ready, Template(server->program_));
  std::string directory = (fs::temp_directory_path() / "sluice-mysqld-XXXXXX").string();
  if (mkdtemp(directory.data()) == nullptr) {
    return absl::InternalError(absl::StrCat("cannot make ", directory));
  }
  server->directory_ = directory;
  std::error_code error;
  fs::copy(ready, directory + "/data", fs::copy_options::recursive, error);
  if (error) {
    return absl::InternalError(absl::StrCat("copying ", ready, ": ", error.message()));
  }
  // Another process may take the port between the choice and the start.
  absl::Status status;
  for (int attempt = 0; attempt < 3; ++attempt) {
    SLUICE_ASSIGN_OR_RETURN(server->port_, PickPort());
    status = server->Spawn();
    if (status.ok()) {
      return server;
    }
  }
  return status;
}

absl::Status Mysqld::Spawn() {
  std::vector<std::string> command = BaseCommand(program_, directory_ + "/data");
  for (const char* option :
       {"--gtid-mode=ON", "--enforce-gtid-consistency=ON", "--log-bin=binlog",
        "--bind-address=127.0.0.1", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"}) {
    command.emplace_back(option);
  }
  command.push_back(absl::StrCat("--port=", port_));
  command.push_back(absl::StrCat("--socket=", directory_, "/mysqld.sock"));
  command.push_back(absl::StrCat("--pid-file=", directory_, "/mysqld.pid"));
  command.insert(command.end(), extra_.begin(), extra_.end());
  SLUICE_ASSIGN_OR_RETURN(pid_, Run(command, directory_ + "/error.log"));
  return AwaitReady();
}

absl::Status Mysqld::AwaitReady() {
  const absl::Time deadline = absl::Now() + kStartTimeout;
  while (true) {
    auto connection = mysql::Connection::Connect(RootOverTcp());
    if (connection.ok()) {
      return absl::OkStatus();
    }
    int result = 0;
    const bool ended = waitpid(pid_, &result, WNOHANG) == pid_;
    if (ended) {
      pid_ = -1;
    }
    if (ended || absl::Now() > deadline) {
      Kill();
      return Annotate(connection.status(),
                      absl::StrCat("mysqld did not start: ", TailOf(directory_ + "/error.log")));
    }
    absl::SleepFor(absl::Milliseconds(50));  // Delay: a starting mysqld gives no signal
  }
}

mysql::ConnectionOptions Mysqld::Root() const {
  mysql::ConnectionOptions options;
  options.socket = directory_ + "/mysqld.sock";
  options.user = "root";
  return options;
}

mysql::ConnectionOptions Mysqld::RootOverTcp() const {
  mysql::ConnectionOptions options;
  options.host = "127.0.0.1";
  options.port = port_;
  options.user = "root";
  return options;
}

void Mysqld::Kill() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
}

absl::Status Mysqld::Restart() {
  Kill();
  return Spawn();
}

Mysqld::~Mysqld() {
  Kill();
  std::error_code ignored;
  if (!directory_.empty()) {
    fs::remove_all(directory_, ignored);
  }
}

}  // namespace sluice::testing
