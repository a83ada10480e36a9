// ProxyFixture: two real mysqlds, a coordinator from memory and a proxy in this process; for tests.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/mysql/connection.h"
#include "gtest/gtest.h"
#include "proxy/rules/rules_client.h"
#include "proxy/rules/traffic.h"
#include "proxy/server/server.h"
#include "tests/proxy/fake_coordinator.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::proxy {

// Keyspaces: commerce (PRIMARY on the first mysqld, REPLICA on the second, which is only another
// database there), customer (PRIMARY on the second), wide (shards -80 and 80-). Tables customer,
// corder and product are in commerce; the database of the REPLICA has a product of its own.
class ProxyFixture : public ::testing::Test {
 protected:
  static constexpr const char* kUser = "app";
  static constexpr const char* kPassword = "s3cret pass";

  void SetUp() override;
  void TearDown() override;

  // The rule set of the start; tests change it and publish it.
  RuleSetSpec spec_;
  std::unique_ptr<sluice::testing::Mysqld> first_;
  std::unique_ptr<sluice::testing::Mysqld> second_;
  std::unique_ptr<FakeCoordinator> coordinator_;

  // A client of the proxy, `database` being what it connects to.
  absl::StatusOr<std::unique_ptr<mysql::Connection>> Connect(
      const std::string& database = "", const std::string& user = kUser,
      const std::string& password = kPassword);
  std::unique_ptr<mysql::Connection> MustConnect(const std::string& database = "");
  static std::unique_ptr<mysql::Connection> Direct(const sluice::testing::Mysqld& server,
                                                   const std::string& database);
  // Publishes and waits until the proxy obeys it.
  uint64_t Publish();
  // The rules of a move of customer and corder from commerce to customer.
  static routing::MoveRules Move(bool writes_switched);
  static Hold MoveHold(absl::Duration lease);

  void StartProxy();
  void StopProxy();

  BufferLimits buffer_;
  SessionLimits limits_;
  std::string state_file_;
  std::unique_ptr<Traffic> traffic_;
  std::unique_ptr<Server> server_;
  std::unique_ptr<RulesClient> rules_;
};

// First cell of the first row of a query; the error's text when it fails.
std::string Scalar(mysql::Connection& connection, const std::string& sql);
// The MySQL error number of a statement; 0 when it succeeds.
unsigned ErrorOfStatement(mysql::Connection& connection, const std::string& sql,
                          std::string* message = nullptr);

}  // namespace sluice::proxy
