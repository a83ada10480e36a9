// Whoever judges finds what is wrong: on two mysqlds that no gate keeps apart.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/killloop/direct.h"
#include "integration/killloop/watch.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::killloop {
namespace {

using ::testing::HasSubstr;

constexpr uint64_t kFirstKey = 1'000'000;

class JudgesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (size_t i = 0; i < 2; ++i) {
      auto started = sluice::testing::Mysqld::Start();
      ASSERT_TRUE(started.ok()) << started.status();
      mysqlds_.at(i) = *std::move(started);
      auto session = mysql::Connection::Connect(mysqlds_.at(i)->Root());
      ASSERT_TRUE(session.ok()) << session.status();
      sessions_.at(i) = *std::move(session);
      for (const char* sql :
           {"CREATE DATABASE d", "USE d",
            "CREATE TABLE corder (order_id BIGINT PRIMARY KEY, customer_id BIGINT, sku"
            " VARBINARY(128), price BIGINT)",
            "CREATE TABLE customer (customer_id BIGINT PRIMARY KEY)", "CREATE DATABASE _sluice",
            "CREATE TABLE _sluice.gate (workflow VARCHAR(64), database_name VARCHAR(64), state"
            " VARCHAR(16), epoch BIGINT)",
            "INSERT INTO _sluice.gate VALUES ('w', 'd', 'open', 1)",
            "CREATE USER shop@'%' IDENTIFIED BY 'shop'", "GRANT ALL ON d.* TO shop@'%'"}) {
        Run(i, sql);
      }
    }
    Run(1, "SET GLOBAL read_only = ON");
  }

  void Run(size_t side, const std::string& sql) {
    const auto done = sessions_.at(side)->Execute(sql);
    ASSERT_TRUE(done.ok()) << sql << ": " << done.status();
  }

  mysql::ConnectionOptions Address(size_t side, const std::string& user) const {
    mysql::ConnectionOptions options = mysqlds_.at(side)->RootOverTcp();
    options.database = "d";
    if (user != "root") {
      options.user = user;
      options.password = user;
    }
    return options;
  }

  std::unique_ptr<Watch> StartWatch() {
    return Watch::Start(Address(0, "root"), Address(1, "root"));
  }
  std::unique_ptr<DirectClients> StartClients() {
    return DirectClients::Start({Address(0, "shop"), Address(1, "shop")}, kFirstKey);
  }

  // False when it does not hold for long.
  template <typename Condition>
  static bool Await(const Condition& holds) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!holds() && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(5));  // Delay: between two looks
    }
    return holds();
  }

  std::array<std::unique_ptr<sluice::testing::Mysqld>, 2> mysqlds_;
  std::array<std::unique_ptr<mysql::Connection>, 2> sessions_;
};

TEST_F(JudgesTest, TheWatchFindsTwoSidesOpenAtOnceAndOnlyThese) {
  const auto watch = StartWatch();
  ASSERT_TRUE(Await([&] { return watch->looks() > 10; }));
  // What is being changed is not known to be open.
  Run(0, "UPDATE _sluice.gate SET epoch = epoch + 1");
  Run(0, "RENAME TABLE corder TO _sluice_closed_corder, customer TO _sluice_closed_customer");
  Run(1, "SET GLOBAL read_only = OFF");
  const uint64_t before = watch->looks();
  ASSERT_TRUE(Await([&] { return watch->looks() > before + 10; }));
  EXPECT_EQ(watch->finding(), "");
  Run(0, "RENAME TABLE _sluice_closed_corder TO corder, _sluice_closed_customer TO customer");
  EXPECT_TRUE(Await([&] { return !watch->finding().empty(); }));
  EXPECT_THAT(watch->finding(), HasSubstr("both sides are open at once"));
}

TEST_F(JudgesTest, ClientsPastTheProxiesAreRefusedByAClosedMysqldAndTheirLossIsFound) {
  Run(1, "SET GLOBAL read_only = OFF");
  const auto clients = StartClients();
  ASSERT_TRUE(Await([&] { return clients->counts().acknowledged > 50; }));
  EXPECT_EQ(clients->counts().refused, 0U);
  Run(1, "SET GLOBAL read_only = ON");
  ASSERT_TRUE(Await([&] { return clients->counts().refused > 10; }));
  clients->Pause();
  // One side serves, but nobody brought there what the other one has acknowledged.
  const absl::Status lost = clients->Judge(*sessions_[0]);
  EXPECT_TRUE(absl::IsDataLoss(lost)) << lost;
  EXPECT_THAT(lost.message(), HasSubstr("is gone"));
}

TEST_F(JudgesTest, ARefusedWriteThatIsThereIsFound) {
  const auto clients = StartClients();
  ASSERT_TRUE(Await([&] { return clients->counts().acknowledged > 10; }));
  clients->Pause();
  // No client has written it, and it is among the rows of the first one.
  Run(0, absl::StrCat("INSERT INTO corder VALUES (", kFirstKey + 999'999, ", 1, 'd', 1)"));
  EXPECT_THAT(clients->Judge(*sessions_[0]).message(), HasSubstr("expected no row"));
  Run(0, absl::StrCat("DELETE FROM corder WHERE order_id = ", kFirstKey + 999'999));
  ASSERT_TRUE(clients->Judge(*sessions_[0]).ok());
  Run(0, absl::StrCat("UPDATE corder SET price = price + 1 WHERE order_id = ", kFirstKey));
  EXPECT_THAT(clients->Judge(*sessions_[0]).message(), HasSubstr("expected at most"));
}

}  // namespace
}  // namespace sluice::killloop
