// Server: start, native replication, end.

#include "integration/bench/server.h"

#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "integration/bench/data.h"
#include "integration/bench/stage.h"

namespace sluice::bench {

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const std::string& directory,
                                                      uint32_t server_id) {
  std::unique_ptr<Server> server(new Server());
  server->options_ = {.directory = directory,
                      .server_id = server_id,
                      .port = 0,
                      .read_only = false,
                      .extra = ServerSettings()};
  server->options_.extra.emplace_back("replica_parallel_workers=4");
  SLUICE_ASSIGN_OR_RETURN(server->options_.port, cluster::PickPort());
  SLUICE_RETURN_IF_ERROR(cluster::PrepareMysqld(server->options_));
  SLUICE_ASSIGN_OR_RETURN(std::vector<std::string> argv, cluster::MysqldCommand(server->options_));
  const std::string log = directory + "/error.log";
  SLUICE_ASSIGN_OR_RETURN(server->process_, cluster::Spawn({.argv = std::move(argv),
                                                            .environment = {},
                                                            .directory = directory,
                                                            .log = log,
                                                            .dies_with_parent = true}));
  SLUICE_RETURN_IF_ERROR(
      cluster::AwaitMysqld(server->port(), server->process_, log, absl::Minutes(2)));
  SLUICE_ASSIGN_OR_RETURN(server->root_, ConnectRoot(server->port(), ""));
  return server;
}

Server::~Server() {
  if (process_.pid != 0) {
    cluster::StopProcess(process_, absl::ZeroDuration()).IgnoreError();
  }
  std::error_code ignored;
  std::filesystem::remove_all(options_.directory, ignored);
}

absl::Status Server::Follow(uint16_t source_port) {
  return RunAll(*root_, {absl::StrCat("CHANGE REPLICATION SOURCE TO SOURCE_HOST='127.0.0.1', "
                                      "SOURCE_PORT=",
                                      source_port,
                                      ", SOURCE_USER='root', SOURCE_AUTO_POSITION=1, "
                                      "GET_SOURCE_PUBLIC_KEY=1"),
                         "START REPLICA"});
}

absl::Status Server::AwaitExecuted(const std::string& gtids) {
  SLUICE_ASSIGN_OR_RETURN(const std::string timed_out,
                          root_->QueryScalar(absl::StrCat("SELECT WAIT_FOR_EXECUTED_GTID_SET(",
                                                          mysql::QuoteString(gtids), ", 3000)")));
  if (timed_out != "0") {
    return absl::DeadlineExceededError("the replica does not reach the source's position");
  }
  return absl::OkStatus();
}

absl::Status Server::AwaitReceived(const std::string& gtids) {
  const std::string sql = absl::StrCat(
      "SELECT GTID_SUBSET(", mysql::QuoteString(gtids),
      ", CONCAT(@@GLOBAL.gtid_executed, ',', received_transaction_set)), last_error_message FROM "
      "performance_schema.replication_connection_status");
  const absl::Time deadline = absl::Now() + absl::Minutes(30);
  std::string last;
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult result, root_->Query(sql));
    if (!result.rows.empty() && result.rows[0][0] == "1") {
      return absl::OkStatus();
    }
    last = result.rows.empty() ? "it does not replicate" : result.rows[0][1].value_or("");
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // Delay: between two looks
  }
  return absl::DeadlineExceededError(
      absl::StrCat("the replica does not receive the source's binlog: ", last));
}

absl::StatusOr<std::string> ExecutedOf(mysql::Connection& connection) {
  return connection.QueryScalar("SELECT @@GLOBAL.gtid_executed");
}

}  // namespace sluice::bench
