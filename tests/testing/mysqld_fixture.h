// Mysqld: a real mysqld of a test's own, thrown away with the object.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mysql/connection.h"
#include "integration/cluster/mysqld.h"
#include "integration/cluster/process.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

// Runs on loopback with GTIDs and row binlogs, in a temporary directory that is copied from a data
// directory made once. Ends with the object, and with the test's process. Owned by one
// thread.
class Mysqld {
 public:
  // `extra` are options of mysqld ("--binlog-row-metadata=FULL") on top of the fixture's own.
  static absl::StatusOr<std::unique_ptr<Mysqld>> Start(const std::vector<std::string>& extra = {});
  // The same without waiting until it answers, so that several start at once: AwaitReady() does.
  static absl::StatusOr<std::unique_ptr<Mysqld>> Launch(const std::vector<std::string>& extra = {});
  absl::Status AwaitReady();

  Mysqld(const Mysqld&) = delete;
  Mysqld& operator=(const Mysqld&) = delete;
  ~Mysqld();

  // root without password, over the socket; RootOverTcp() over 127.0.0.1.
  [[nodiscard]] mysql::ConnectionOptions Root() const;
  [[nodiscard]] mysql::ConnectionOptions RootOverTcp() const;
  [[nodiscard]] uint16_t port() const { return options_.port; }

  // kill -9, and the process is gone.
  void Kill();
  // Starts it again after Kill() with the same data, port and options.
  absl::Status Restart();

 private:
  Mysqld() = default;
  absl::Status Spawn();
  [[nodiscard]] std::string LogPath() const;

  TempDir directory_;
  cluster::MysqldOptions options_;
  std::vector<std::string> extra_;
  cluster::ProcessId process_;
};

}  // namespace sluice::testing
