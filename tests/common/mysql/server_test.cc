// ServerTest: one mysqld for all suites of the program.

#include "tests/common/mysql/server_test.h"

#include <utility>

namespace sluice::mysql {
namespace {

std::unique_ptr<testing::Mysqld>& Shared() {
  static std::unique_ptr<testing::Mysqld> server;
  return server;
}

class Environment : public ::testing::Environment {
 public:
  void TearDown() override { Shared().reset(); }
};

const ::testing::Environment* const kEnvironment =
    ::testing::AddGlobalTestEnvironment(new Environment);

}  // namespace

void ServerTest::SetUpTestSuite() {
  if (Shared() == nullptr) {
    auto started = testing::Mysqld::Start();
    ASSERT_TRUE(started.ok()) << started.status();
    Shared() = std::move(*started);
  }
}

testing::Mysqld& ServerTest::server() {
  return *Shared();
}

void ServerTest::SetUp() {
  ASSERT_NE(Shared(), nullptr);
  connection_ = Connect(server().Root());
  ASSERT_NE(connection_, nullptr);
  Run("DROP DATABASE IF EXISTS d");
  Run("CREATE DATABASE d");
  Run("USE d");
}

std::unique_ptr<Connection> ServerTest::Connect(const ConnectionOptions& options) {
  auto connection = Connection::Connect(options);
  EXPECT_TRUE(connection.ok()) << connection.status();
  return connection.ok() ? std::move(*connection) : nullptr;
}

void ServerTest::Run(const std::string& sql) {
  auto result = connection_->Execute(sql);
  ASSERT_TRUE(result.ok()) << result.status() << "\n" << sql;
}

}  // namespace sluice::mysql
