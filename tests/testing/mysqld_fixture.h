// TestMysqld: a real mysqld for one test, on a free port of loopback, gone with the object.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/mysql/connection.h"
#include "integration/cluster/mysqld.h"

namespace sluice::testing {

// Owned by the thread that started it: the server ends with that thread, whatever becomes of the
// test.
class TestMysqld {
 public:
  struct Options {
    uint32_t server_id = 1;
    std::string database = "vt_test";
    std::vector<std::string> extra;  // lines of the [mysqld] group: "binlog_row_image=MINIMAL"
  };

  // Null, and a failure reported to gtest, when it does not start.
  static std::unique_ptr<TestMysqld> Start(const Options& options);
  static std::unique_ptr<TestMysqld> Start() { return Start(Options()); }
  TestMysqld(const TestMysqld&) = delete;
  TestMysqld& operator=(const TestMysqld&) = delete;
  ~TestMysqld();

  // root, without a password, with `database` chosen.
  [[nodiscard]] mysql::ConnectionOptions connection_options() const;
  // Null, and a failure reported, when it can't connect.
  [[nodiscard]] std::unique_ptr<mysql::Connection> Connect() const;
  [[nodiscard]] uint16_t port() const { return options_.port; }

  // SIGKILL; returns when it is gone.
  absl::Status Kill();
  // Starts it again on the same data and port.
  absl::Status Restart();

 private:
  TestMysqld() = default;
  absl::Status Launch();

  std::string directory_;
  std::string database_;
  cluster::MysqldOptions options_;
  cluster::ProcessId process_;
};

}  // namespace sluice::testing
