// The benchmark's comparison of two sides finds what differs.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "integration/bench/data.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::bench {
namespace {

// Databases `one` and `two` of a server, with the same rows.
class VerifySameTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = testing::Mysqld::Start();
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto root = mysql::Connection::Connect(server_->Root());
    ASSERT_TRUE(root.ok()) << root.status();
    root_ = *std::move(root);
    Run("CREATE DATABASE one");
    Run("CREATE DATABASE two");
    Run("USE one");
    const absl::Status made = MakeTables(*root_, {WideTable("w", 300)}, false);
    ASSERT_TRUE(made.ok()) << made;
    Run("CREATE TABLE two.v LIKE one.w");
    Run("INSERT INTO two.v SELECT * FROM one.w");
  }

  void Run(const std::string& sql) {
    const auto done = root_->Execute(sql);
    ASSERT_TRUE(done.ok()) << sql << ": " << done.status();
  }
  absl::StatusOr<uint64_t> Verify() {
    return VerifySame(*root_, "one", *root_, "two", {{"w", "v"}});
  }
  void ExpectDifferent() { EXPECT_EQ(Verify().status().code(), absl::StatusCode::kDataLoss); }

  std::unique_ptr<testing::Mysqld> server_;
  std::unique_ptr<mysql::Connection> root_;
};

TEST_F(VerifySameTest, CountsTheRowsOfEqualTables) {
  const auto rows = Verify();
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(*rows, 300U);
}

TEST_F(VerifySameTest, FindsAChangedValue) {
  Run("UPDATE two.v SET body = CONCAT(body, ' ') WHERE id = 7");
  ExpectDifferent();
}

TEST_F(VerifySameTest, FindsAMissingRow) {
  Run("DELETE FROM two.v WHERE id = 300");
  ExpectDifferent();
}

TEST_F(VerifySameTest, FindsAMissingKey) {
  Run("ALTER TABLE two.v DROP KEY kind");
  ExpectDifferent();
}

TEST_F(VerifySameTest, FindsAMissingTable) {
  Run("DROP TABLE two.v");
  EXPECT_FALSE(Verify().ok());
}

}  // namespace
}  // namespace sluice::bench
