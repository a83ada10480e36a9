// Server: a mysqld beside the cluster: the peer's, or one without agents.

#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mysql/connection.h"
#include "integration/cluster/mysqld.h"
#include "integration/cluster/process.h"

namespace sluice::bench {

// With the settings of all servers of the benchmark. Ends with the object. Owned by one thread.
class Server {
 public:
  static absl::StatusOr<std::unique_ptr<Server>> Start(const std::string& directory,
                                                       uint32_t server_id);
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server();

  [[nodiscard]] uint16_t port() const { return options_.port; }
  [[nodiscard]] pid_t pid() const { return process_.pid; }
  [[nodiscard]] mysql::Connection& root() { return *root_; }

  // Follows another server by mysqld's own replication with 4 workers.
  absl::Status Follow(uint16_t source_port);
  // Returns when it has applied all of a GTID set.
  absl::Status AwaitExecuted(const std::string& gtids);
  // Returns when all of it lies in the relay log.
  absl::Status AwaitReceived(const std::string& gtids);

 private:
  Server() = default;

  cluster::MysqldOptions options_;
  cluster::ProcessId process_;
  std::unique_ptr<mysql::Connection> root_;
};

// @@GLOBAL.gtid_executed.
absl::StatusOr<std::string> ExecutedOf(mysql::Connection& connection);

}  // namespace sluice::bench
