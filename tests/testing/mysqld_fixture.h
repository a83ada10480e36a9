// Mysqld: a real mysqld of a test's own, thrown away with the object.

#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/mysql/connection.h"

namespace sluice::testing {

// $SLUICE_MYSQLD, else bin/mysqld of the prefix that deploy/bootstrap fills. NOT_FOUND says so.
absl::StatusOr<std::string> FindMysqld();

// A TCP port on loopback that nobody listens on at the moment.
absl::StatusOr<uint16_t> PickPort();

// Runs on loopback with GTIDs and row binlogs, in a temporary directory that is copied from a data
// directory made once per build. Ends with the object, and with the test's process. Owned by one
// thread.
class Mysqld {
 public:
  // `extra` are options of mysqld ("--binlog-row-metadata=FULL") on top of the fixture's own.
  static absl::StatusOr<std::unique_ptr<Mysqld>> Start(const std::vector<std::string>& extra = {});

  Mysqld(const Mysqld&) = delete;
  Mysqld& operator=(const Mysqld&) = delete;
  ~Mysqld();

  // root without password, over the socket; RootOverTcp() over 127.0.0.1.
  [[nodiscard]] mysql::ConnectionOptions Root() const;
  [[nodiscard]] mysql::ConnectionOptions RootOverTcp() const;
  [[nodiscard]] uint16_t port() const { return port_; }

  // kill -9, and the process is gone.
  void Kill();
  // Starts it again after Kill() with the same data, port and options.
  absl::Status Restart();

 private:
  Mysqld() = default;
  absl::Status Spawn();
  absl::Status AwaitReady();

  std::string program_;
  std::string directory_;
  std::vector<std::string> extra_;
  uint16_t port_ = 0;
  pid_t pid_ = -1;
};

}  // namespace sluice::testing
