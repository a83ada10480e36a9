// TestMysqld: the cluster library's mysqld, alone.

#include "tests/testing/mysqld_fixture.h"

#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::testing {

std::unique_ptr<TestMysqld> TestMysqld::Start(const Options& options) {
  std::unique_ptr<TestMysqld> server(new TestMysqld);
  server->directory_ = absl::StrCat(::testing::TempDir(), "/sluice-mysqld-", getpid(), "-",
                                    absl::GetCurrentTimeNanos());
  server->database_ = options.database;
  server->options_.directory = server->directory_;
  server->options_.server_id = options.server_id;
  server->options_.extra = options.extra;
  const auto start = [&]() -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(server->options_.port, cluster::PickPort());
    SLUICE_RETURN_IF_ERROR(cluster::PrepareMysqld(server->options_));
    SLUICE_RETURN_IF_ERROR(server->Launch());
    SLUICE_ASSIGN_OR_RETURN(
        auto connection, mysql::Connection::Connect(cluster::RootOptions(server->options_.port)));
    return connection->Execute("CREATE DATABASE " + mysql::QuoteName(options.database)).status();
  };
  if (const absl::Status started = start(); !started.ok()) {
    ADD_FAILURE() << "mysqld: " << started;
    return nullptr;
  }
  return server;
}

TestMysqld::~TestMysqld() {
  (void)Kill();
  std::error_code error;
  std::filesystem::remove_all(directory_, error);
}

absl::Status TestMysqld::Launch() {
  cluster::SpawnOptions spawn;
  SLUICE_ASSIGN_OR_RETURN(spawn.argv, cluster::MysqldCommand(options_));
  spawn.log = directory_ + "/mysqld.log";
  spawn.dies_with_parent = true;
  SLUICE_ASSIGN_OR_RETURN(process_, cluster::Spawn(spawn));
  return cluster::AwaitMysqld(options_.port, process_, directory_ + "/error.log",
                              absl::Seconds(60));
}

absl::Status TestMysqld::Kill() {
  if (!cluster::IsAlive(process_)) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(cluster::Signal(process_, SIGKILL));
  return cluster::AwaitExit(process_, absl::Seconds(20));
}

absl::Status TestMysqld::Restart() {
  SLUICE_RETURN_IF_ERROR(Kill());
  return Launch();
}

mysql::ConnectionOptions TestMysqld::connection_options() const {
  mysql::ConnectionOptions options = cluster::RootOptions(options_.port);
  options.database = database_;
  return options;
}

std::unique_ptr<mysql::Connection> TestMysqld::Connect() const {
  auto connection = mysql::Connection::Connect(connection_options());
  if (!connection.ok()) {
    ADD_FAILURE() << "connecting: " << connection.status();
    return nullptr;
  }
  return *std::move(connection);
}

}  // namespace sluice::testing
