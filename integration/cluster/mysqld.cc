// Mysqld: data directory template, configuration file, accounts, replication.

#include "integration/cluster/mysqld.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <csignal>
#include <cstddef>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <functional>
#include <random>
#include <set>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::cluster {
namespace {

namespace fs = std::filesystem;

std::string Prefix() {
  if (const char* prefix = std::getenv("SLUICE_PREFIX"); prefix != nullptr && *prefix != '\0') {
    return prefix;
  }
  if (const char* cache = std::getenv("XDG_CACHE_HOME"); cache != nullptr && *cache != '\0') {
    return std::string(cache) + "/sluice";
  }
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && *home != '\0' ? home : "/root") + "/.cache/sluice";
}

absl::Status WriteFile(const fs::path& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    return absl::InternalError(absl::StrCat("can't write ", path.string()));
  }
  return absl::OkStatus();
}

constexpr char kSizes[] =
    "innodb_buffer_pool_size=96M\n"
    "innodb_redo_log_capacity=64M\n"
    "innodb_log_buffer_size=8M\n"
    "max_connections=400\n"
    "table_open_cache=400\n"
    "performance_schema_max_table_instances=1000\n";

// One template per mysqld program and version of it.
absl::StatusOr<fs::path> TemplateDirectory(const std::string& mysqld) {
  std::error_code error;
  const auto stamp = fs::last_write_time(mysqld, error).time_since_epoch().count();
  const fs::path directory =
      fs::path(Prefix()) / "datadir-templates" /
      absl::StrFormat("%016x", std::hash<std::string>{}(absl::StrCat(mysqld, "|", stamp, "|3")));
  if (fs::exists(directory / "mysql.ibd")) {
    return directory;
  }
  fs::create_directories(directory.parent_path(), error);
  const fs::path made = absl::StrCat(directory.string(), ".", getpid(), ".new");
  fs::remove_all(made, error);
  const auto remove_made = absl::MakeCleanup([&made] {
    std::error_code ignored;
    fs::remove_all(made, ignored);
    fs::remove(made.string() + ".sql", ignored);
  });
  // The server does not look up host names, so root needs an account for the address itself. An
  // init file has one statement a line.
  const std::string init = made.string() + ".sql";
  SLUICE_RETURN_IF_ERROR(WriteFile(init,
                                   "CREATE USER 'root'@'127.0.0.1';\n"
                                   "GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"));
  std::vector<std::string> argv = {mysqld,
                                   "--no-defaults",
                                   "--initialize-insecure",
                                   "--init-file=" + init,
                                   "--datadir=" + made.string(),
                                   "--innodb_redo_log_capacity=64M",
                                   "--skip-log-bin"};
  SLUICE_ASSIGN_OR_RETURN(CommandResult result, RunCommand(argv, {}, absl::Minutes(3)));
  if (result.exit_code != 0) {
    return absl::InternalError(absl::StrCat(mysqld, " --initialize-insecure: ", result.errors));
  }
  fs::remove(made / "auto.cnf", error);
  fs::rename(made, directory, error);  // somebody else may have been first: then theirs serves
  if (!fs::exists(directory / "mysql.ibd")) {
    return absl::InternalError(absl::StrCat("no template at ", directory.string()));
  }
  return directory;
}

absl::Status Run(mysql::Connection& connection, const std::vector<std::string>& statements) {
  for (const std::string& sql : statements) {
    absl::StatusOr<uint64_t> done = connection.Execute(sql);
    if (!done.ok()) {
      return Annotate(done.status(), sql.substr(0, 60));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> FindMysqld() {
  if (const char* named = std::getenv("SLUICE_MYSQLD"); named != nullptr && *named != '\0') {
    return std::string(named);
  }
  const std::string path = Prefix() + "/bin/mysqld";
  if (access(path.c_str(), X_OK) != 0) {
    return absl::NotFoundError(absl::StrCat(
        "no mysqld at ", path, ": run deploy/bootstrap, or name one by SLUICE_MYSQLD"));
  }
  return path;
}

absl::Status PrepareMysqld(const MysqldOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const std::string mysqld, FindMysqld());
  SLUICE_ASSIGN_OR_RETURN(const fs::path from, TemplateDirectory(mysqld));
  const fs::path directory = fs::absolute(options.directory);
  std::error_code error;
  fs::create_directories(directory, error);
  SLUICE_ASSIGN_OR_RETURN(CommandResult copied,
                          RunCommand({"/bin/cp", "-a", "--reflink=auto", "--sparse=always",
                                      from.string(), (directory / "data").string()},
                                     {}, absl::Minutes(2)));
  if (copied.exit_code != 0) {
    return absl::InternalError(absl::StrCat("copying the data directory: ", copied.errors));
  }
  std::string text =
      absl::StrCat("[mysqld]\n", "datadir=", (directory / "data").string(), "\n",
                   // Relative to the data directory: a socket's path may have 107 bytes at most.
                   "socket=mysqld.sock\n", "pid-file=mysqld.pid\n", "port=", options.port, "\n",
                   "bind-address=127.0.0.1\n", "mysqlx=OFF\n", "skip-name-resolve\n",
                   "server-id=", options.server_id, "\n", "gtid_mode=ON\n",
                   "enforce_gtid_consistency=ON\n", "log-bin=binlog\n", "relay-log=relay\n",
                   "log-error=", (directory / "error.log").string(), "\n", kSizes);
  if (options.read_only) {
    absl::StrAppend(&text, "super_read_only=ON\nread_only=ON\n");
  }
  for (const std::string& line : options.extra) {
    absl::StrAppend(&text, line, "\n");
  }
  return WriteFile(directory / "my.cnf", text);
}

absl::StatusOr<std::vector<std::string>> MysqldCommand(const MysqldOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(const std::string mysqld, FindMysqld());
  const fs::path directory = fs::absolute(options.directory);
  std::error_code none;
  fs::remove(directory / "data" / "mysqld.sock.lock", none);
  std::vector<std::string> argv = {mysqld, "--defaults-file=" + (directory / "my.cnf").string()};
  if (geteuid() == 0) {
    argv.emplace_back("--user=root");
  }
  return argv;
}

mysql::ConnectionOptions RootOptions(uint16_t port) {
  mysql::ConnectionOptions options;
  options.host = "127.0.0.1";
  options.port = port;
  options.user = "root";
  options.program = "sluice-cluster";
  return options;
}

absl::Status AwaitMysqld(uint16_t port, const ProcessId& id, const std::string& error_log,
                         absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  absl::Status last;
  while (absl::Now() < deadline) {
    absl::StatusOr<std::unique_ptr<mysql::Connection>> connection =
        mysql::Connection::Connect(RootOptions(port));
    if (connection.ok()) {
      return absl::OkStatus();
    }
    last = connection.status();
    // Delay: a server that starts says nothing to wait for; its end is noticed at once.
    if (AwaitExit(id, absl::Milliseconds(50)).ok()) {
      return absl::UnavailableError(absl::StrCat("mysqld ended at its start: ", TailOf(error_log)));
    }
  }
  return absl::DeadlineExceededError(
      absl::StrCat("mysqld on port ", port, " does not answer: ", last.ToString()));
}

absl::Status CreateAccounts(uint16_t port, const Accounts& accounts,
                            const std::vector<std::string>& databases) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(RootOptions(port)));
  const auto user = [](const char* name, const std::string& password) {
    return absl::StrCat("CREATE USER '", name, "'@'127.0.0.1' IDENTIFIED BY ",
                        mysql::QuoteString(password));
  };
  for (const std::string& database : databases) {
    SLUICE_RETURN_IF_ERROR(Run(*connection, {"CREATE DATABASE " + mysql::QuoteName(database)}));
  }
  return Run(*connection,
             {user("sluice_agent", accounts.agent_password),
              "GRANT ALL PRIVILEGES ON *.* TO 'sluice_agent'@'127.0.0.1' WITH GRANT OPTION",
              // What only a gate of kind server needs: cutovers close tables, unless a test or a
              // benchmark wants otherwise.
              "REVOKE SHOW DATABASES ON *.* FROM 'sluice_agent'@'127.0.0.1'",
              user("sluice_proxy", accounts.proxy_password),
              "GRANT SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, ALTER, INDEX, REFERENCES, "
              "CREATE TEMPORARY TABLES, LOCK TABLES, EXECUTE, SHOW VIEW, PROCESS "
              "ON *.* TO 'sluice_proxy'@'127.0.0.1'",
              user("sluice_replica", accounts.replica_password),
              "GRANT REPLICATION SLAVE ON *.* TO 'sluice_replica'@'127.0.0.1'"});
}

absl::Status AllowServerGates(uint16_t port) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(RootOptions(port)));
  return Run(*connection, {"GRANT SHOW DATABASES ON *.* TO 'sluice_agent'@'127.0.0.1'"});
}

absl::Status StartReplication(uint16_t port, uint16_t source_port, const Accounts& accounts) {
  SLUICE_ASSIGN_OR_RETURN(auto connection, mysql::Connection::Connect(RootOptions(port)));
  return Run(*connection,
             {absl::StrCat("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', SOURCE_PORT=",
                           source_port, ", SOURCE_USER='sluice_replica', SOURCE_PASSWORD=",
                           mysql::QuoteString(accounts.replica_password),
                           ", SOURCE_AUTO_POSITION=1, GET_SOURCE_PUBLIC_KEY=1, "
                           "SOURCE_CONNECT_RETRY=1, SOURCE_RETRY_COUNT=86400"),
              "START REPLICA"});
}

namespace {

constexpr size_t kReservedMax = 256;

// A name that only one process has at a time: other clusters that start at this moment leave the
// port alone, though nobody listens on it yet. It ends with this process, or when so many others
// have been picked that somebody listens by now.
bool Reserve(uint16_t port) {
  static std::deque<int> reserved;
  const std::string name = absl::StrCat("sluice-port-", port);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  name.copy(&address.sun_path[1], sizeof(address.sun_path) - 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0 || bind(fd, reinterpret_cast<sockaddr*>(&address), length) != 0) {
    close(fd);
    return false;
  }
  reserved.push_back(fd);
  if (reserved.size() > kReservedMax) {
    close(reserved.front());
    reserved.pop_front();
  }
  return true;
}

}  // namespace

absl::StatusOr<uint16_t> PickPort() {
  static std::set<uint16_t> given;
  std::random_device random;
  for (int attempt = 0; attempt < 200; ++attempt) {
    const auto port = static_cast<uint16_t>(15000 + random() % 16000);
    if (given.count(port) != 0) {
      continue;
    }
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto close_fd = absl::MakeCleanup([fd] { close(fd); });
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 && Reserve(port)) {
      given.insert(port);
      return port;
    }
  }
  return absl::ResourceExhaustedError("no free port between 15000 and 31000");
}

}  // namespace sluice::cluster
