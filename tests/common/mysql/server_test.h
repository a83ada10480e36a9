// ServerTest: the mysqld that this program's tests share.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "common/mysql/connection.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::mysql {

class ServerTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite();
  // An empty schema d for every test.
  void SetUp() override;

  static testing::Mysqld& server();
  static std::unique_ptr<Connection> Connect(const ConnectionOptions& options);
  void Run(const std::string& sql);

  std::unique_ptr<Connection> connection_;
};

}  // namespace sluice::mysql
