// Mysqld: a server of integration/cluster that lives in a temporary directory and ends with its
// object.

#include "tests/testing/mysqld_fixture.h"

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "common/base/status_macros.h"

namespace sluice::testing {
namespace {

constexpr absl::Duration kStartTimeout = absl::Minutes(2);

}  // namespace

absl::StatusOr<std::unique_ptr<Mysqld>> Mysqld::Start(const std::vector<std::string>& extra) {
  SLUICE_ASSIGN_OR_RETURN(auto server, Launch(extra));
  SLUICE_RETURN_IF_ERROR(server->AwaitReady());
  return server;
}

absl::StatusOr<std::unique_ptr<Mysqld>> Mysqld::Launch(const std::vector<std::string>& extra) {
  auto server = std::unique_ptr<Mysqld>(new Mysqld());
  server->extra_ = extra;
  server->options_ = {.directory = server->directory_.path(),
                      .server_id = 1,
                      .port = 0,
                      .read_only = false,
                      .extra = {"sync_binlog=0", "innodb_flush_log_at_trx_commit=2"}};
  SLUICE_ASSIGN_OR_RETURN(server->options_.port, cluster::PickPort());
  SLUICE_RETURN_IF_ERROR(cluster::PrepareMysqld(server->options_));
  SLUICE_RETURN_IF_ERROR(server->Spawn());
  return server;
}

absl::Status Mysqld::Spawn() {
  SLUICE_ASSIGN_OR_RETURN(std::vector<std::string> argv, cluster::MysqldCommand(options_));
  argv.insert(argv.end(), extra_.begin(), extra_.end());
  SLUICE_ASSIGN_OR_RETURN(process_, cluster::Spawn({.argv = std::move(argv),
                                                    .environment = {},
                                                    .directory = options_.directory,
                                                    .log = LogPath(),
                                                    .dies_with_parent = true}));
  return absl::OkStatus();
}

std::string Mysqld::LogPath() const {
  return options_.directory + "/error.log";
}

absl::Status Mysqld::AwaitReady() {
  return cluster::AwaitMysqld(options_.port, process_, LogPath(), kStartTimeout);
}

mysql::ConnectionOptions Mysqld::Root() const {
  mysql::ConnectionOptions options;
  options.socket = options_.directory + "/data/mysqld.sock";
  options.user = "root";
  return options;
}

mysql::ConnectionOptions Mysqld::RootOverTcp() const {
  return cluster::RootOptions(options_.port);
}

void Mysqld::Kill() {
  if (process_.pid != 0) {
    cluster::StopProcess(process_, absl::ZeroDuration()).IgnoreError();
    process_ = {};
  }
}

absl::Status Mysqld::Restart() {
  Kill();
  SLUICE_RETURN_IF_ERROR(Spawn());
  return AwaitReady();
}

Mysqld::~Mysqld() {
  Kill();
}

}  // namespace sluice::testing
