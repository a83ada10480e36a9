// ProxyFixture: what every integration test of the proxy begins with.

#include "tests/proxy/proxy_fixture.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"

namespace sluice::proxy {
namespace {

using routing::TabletType;

Tablet MakeTablet(const std::string& alias, const std::string& keyspace, const std::string& shard,
                  TabletType type, uint16_t port, const std::string& database) {
  return {alias, keyspace, shard, type, "127.0.0.1", port, database, "zone1", true};
}

void Prepare(mysql::Connection& connection, const std::vector<std::string>& statements) {
  for (const std::string& statement : statements) {
    const auto result = connection.Execute(statement);
    ASSERT_TRUE(result.ok()) << statement << ": " << result.status();
  }
}

}  // namespace

void ProxyFixture::SetUp() {
  auto first = sluice::testing::Mysqld::Start();
  ASSERT_TRUE(first.ok()) << first.status();
  first_ = *std::move(first);
  auto second = sluice::testing::Mysqld::Start();
  ASSERT_TRUE(second.ok()) << second.status();
  second_ = *std::move(second);
  const std::string user = "CREATE USER router@'%' IDENTIFIED BY 'backend'";
  const std::string grant = "GRANT ALL ON *.* TO router@'%'";
  Prepare(
      *Direct(*first_, ""),
      {user, grant, "CREATE DATABASE vt_commerce", "CREATE DATABASE vt_wide_0",
       "CREATE TABLE vt_wide_0.w (id INT PRIMARY KEY)", "INSERT INTO vt_wide_0.w VALUES (1)",
       "CREATE TABLE vt_commerce.product (id INT PRIMARY KEY, name VARCHAR(64))",
       "CREATE TABLE vt_commerce.customer (id INT PRIMARY KEY AUTO_INCREMENT, email VARCHAR(64))",
       "CREATE TABLE vt_commerce.corder (id INT PRIMARY KEY, customer_id INT, price INT)",
       "INSERT INTO vt_commerce.product VALUES (1, 'keyboard'), (2, 'monitor')",
       "INSERT INTO vt_commerce.customer VALUES (1, 'a@x'), (2, 'b@x')",
       "INSERT INTO vt_commerce.corder VALUES (1, 1, 100), (2, 2, 30)"});
  Prepare(*Direct(*second_, ""),
          {user, grant, "CREATE DATABASE vt_customer", "CREATE DATABASE vt_commerce_replica",
           "CREATE DATABASE vt_wide_1", "CREATE TABLE vt_wide_1.w (id INT PRIMARY KEY)",
           "INSERT INTO vt_wide_1.w VALUES (200)",
           "CREATE TABLE vt_commerce_replica.product (id INT PRIMARY KEY, name VARCHAR(64))",
           "INSERT INTO vt_commerce_replica.product VALUES (1, 'from the replica')"});
  spec_.keyspaces = {"commerce", "customer", "wide"};
  spec_.tablets = {
      MakeTablet("zone1-100", "commerce", "0", TabletType::kPrimary, first_->port(), "vt_commerce"),
      MakeTablet("zone1-101", "commerce", "0", TabletType::kReplica, second_->port(),
                 "vt_commerce_replica"),
      MakeTablet("zone1-200", "customer", "0", TabletType::kPrimary, second_->port(),
                 "vt_customer"),
      MakeTablet("zone1-300", "wide", "-80", TabletType::kPrimary, first_->port(), "vt_wide_0"),
      MakeTablet("zone1-400", "wide", "80-", TabletType::kPrimary, second_->port(), "vt_wide_1")};
  coordinator_ = FakeCoordinator::Start();
  coordinator_->Publish(spec_);
  StartProxy();
}

void ProxyFixture::TearDown() {
  StopProxy();
}

void ProxyFixture::StartProxy() {
  traffic_ = std::make_unique<Traffic>(buffer_);
  auto users = UserTable::Parse(absl::StrCat(kUser, ":", StoredPassword(kPassword)), "users");
  ASSERT_TRUE(users.ok()) << users.status();
  ServerOptions options;
  options.listen = "127.0.0.1:0";
  options.cell = "zone1";
  options.limits = limits_;
  options.backend.user = "router";
  options.backend.password = "backend";
  auto server = Server::Listen(options, *std::move(users), *traffic_);
  ASSERT_TRUE(server.ok()) << server.status();
  server_ = *std::move(server);
  auto rules =
      RulesClient::Start({coordinator_->url(), "p1", server_->address(), state_file_}, *traffic_);
  ASSERT_TRUE(rules.ok()) << rules.status();
  rules_ = *std::move(rules);
  ASSERT_TRUE(traffic_->AwaitFirst(absl::Now() + absl::Seconds(10)));
  server_->Start();
}

void ProxyFixture::StopProxy() {
  if (server_ != nullptr) {
    server_->Stop(absl::Seconds(5));
    traffic_->Close();
  }
  rules_.reset();
  server_.reset();
  traffic_.reset();
}

absl::StatusOr<std::unique_ptr<mysql::Connection>> ProxyFixture::Connect(
    const std::string& database, const std::string& user, const std::string& password) {
  mysql::ConnectionOptions options;
  options.host = "127.0.0.1";
  const std::string& address = server_->address();
  options.port = static_cast<uint16_t>(std::stoi(address.substr(address.rfind(':') + 1)));
  options.user = user;
  options.password = password;
  options.database = database;
  return mysql::Connection::Connect(options);
}

std::unique_ptr<mysql::Connection> ProxyFixture::MustConnect(const std::string& database) {
  auto connection = Connect(database);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return *std::move(connection);
}

std::unique_ptr<mysql::Connection> ProxyFixture::Direct(const sluice::testing::Mysqld& server,
                                                        const std::string& database) {
  mysql::ConnectionOptions options = server.Root();
  options.database = database;
  auto connection = mysql::Connection::Connect(options);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return *std::move(connection);
}

uint64_t ProxyFixture::Publish() {
  const uint64_t epoch = coordinator_->Publish(spec_);
  EXPECT_TRUE(coordinator_->AwaitHave(epoch));
  return epoch;
}

routing::MoveRules ProxyFixture::Move(bool writes_switched) {
  return {"commerce", "customer", {"customer", "corder"}, false, false, writes_switched};
}

Hold ProxyFixture::MoveHold(absl::Duration lease) {
  return {"cutover-1",
          {"commerce.customer", "commerce.corder", "customer.customer", "customer.corder"},
          {},
          lease};
}

std::string Scalar(mysql::Connection& connection, const std::string& sql) {
  const auto value = connection.QueryScalar(sql);
  return value.ok() ? *value : std::string(value.status().message());
}

unsigned ErrorOfStatement(mysql::Connection& connection, const std::string& sql,
                          std::string* message) {
  const auto result = connection.Query(sql);
  if (message != nullptr) {
    *message = std::string(result.status().message());
  }
  if (result.ok()) {
    return 0;
  }
  const unsigned code = MysqlErrnoOf(result.status());
  return code == 0 ? 1 : code;
}

}  // namespace sluice::proxy
