// Tests of the proxy in a cutover before real mysqlds: holds, drain, closed gates, epochs.

#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/testing/temp_dir.h"

namespace sluice::proxy {
namespace {

using ::testing::HasSubstr;

class ProxyCutoverTest : public ProxyFixture {
 protected:
  // What the agents do: the tables get their names on the other side.
  void MoveTables() {
    auto source = Direct(*first_, "vt_commerce");
    auto target = Direct(*second_, "vt_customer");
    for (const char* statement :
         {"CREATE TABLE customer (id INT PRIMARY KEY AUTO_INCREMENT, email VARCHAR(64))",
          "CREATE TABLE corder (id INT PRIMARY KEY, customer_id INT, price INT)"}) {
      EXPECT_TRUE(target->Execute(statement).ok());
    }
    const auto rows = source->Query("SELECT id, customer_id, price FROM _sluice_closed_corder");
    EXPECT_TRUE(rows.ok()) << rows.status();
    for (const auto& row : rows->rows) {
      EXPECT_TRUE(target
                      ->Execute(absl::StrCat("INSERT INTO corder VALUES (", *row[0], ",",
                                             row[1].value_or("NULL"), ",", *row[2], ")"))
                      .ok());
    }
  }
  void CloseSource() {
    EXPECT_TRUE(Direct(*first_, "vt_commerce")
                    ->Execute("RENAME TABLE customer TO _sluice_closed_customer, corder TO "
                              "_sluice_closed_corder")
                    .ok());
  }
};

TEST_F(ProxyCutoverTest, SixteenClientsSeeOnlyAPause) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  constexpr int kClients = 16;
  std::atomic<bool> stop{false};
  std::atomic<int> errors{0};
  std::atomic<int> next{1000};
  std::atomic<int> written{0};
  std::vector<std::jthread> writers;
  for (int i = 0; i < kClients; ++i) {
    writers.emplace_back([&, i] {
      auto client = MustConnect(i % 2 == 0 ? "commerce" : "customer");
      while (!stop) {
        const std::string insert =
            absl::StrCat("INSERT INTO corder VALUES (", next++, ", 1, ", i, ")");
        unsigned error = 0;
        if (i % 4 == 3) {
          error = ErrorOfStatement(*client, "BEGIN");
          error += ErrorOfStatement(*client, insert);
          error += ErrorOfStatement(*client, "COMMIT");
        } else {
          error = ErrorOfStatement(*client, insert);
        }
        errors += error == 0 ? 0 : 1;
        written += error == 0 ? 1 : 0;
      }
    });
  }
  while (written < 200) {
    std::this_thread::yield();
  }
  spec_.holds = {MoveHold(absl::Seconds(10))};
  const absl::Time begin = absl::Now();
  const uint64_t epoch = coordinator_->Publish(spec_);
  ASSERT_TRUE(coordinator_->AwaitDrained(epoch));
  const absl::Duration drained = absl::Now() - begin;
  CloseSource();
  MoveTables();
  spec_.holds.clear();
  spec_.rules = routing::RulesOfMove(Move(true));
  Publish();
  const int before = written;
  while (written < before + 200) {
    std::this_thread::yield();
  }
  stop = true;
  writers.clear();
  EXPECT_EQ(errors, 0);
  EXPECT_EQ(Scalar(*Direct(*second_, "vt_customer"), "SELECT count(*) FROM corder"),
            absl::StrCat(written + 2));
  // Bounded by the statements that run, not by a poll: far below a second even on a busy machine.
  EXPECT_LT(drained, absl::Milliseconds(500));
  RecordProperty("drained_us", absl::StrCat(absl::ToInt64Microseconds(drained)));
}

TEST_F(ProxyCutoverTest, AnOpenTransactionIsWaitedForAndMayEnd) {
  auto client = MustConnect("commerce");
  ASSERT_EQ(ErrorOfStatement(*client, "BEGIN"), 0U);
  ASSERT_EQ(ErrorOfStatement(*client, "INSERT INTO corder VALUES (10, 1, 1)"), 0U);
  spec_.holds = {MoveHold(absl::Seconds(10))};
  const uint64_t epoch = Publish();
  std::string held;
  std::jthread waiter(
      [&] { held = Scalar(*MustConnect("commerce"), "SELECT max(id) FROM corder"); });
  while (traffic_->acknowledgement().held_statements != 1) {
    std::this_thread::yield();
  }
  EXPECT_LT(traffic_->acknowledgement().drained_epoch, epoch);
  EXPECT_EQ(traffic_->acknowledgement().open_on_held, 1U);
  EXPECT_EQ(ErrorOfStatement(*client, "INSERT INTO customer (email) VALUES ('t')"), 0U);
  const absl::Time begin = absl::Now();
  EXPECT_EQ(ErrorOfStatement(*client, "COMMIT"), 0U);
  ASSERT_TRUE(coordinator_->AwaitDrained(epoch));
  EXPECT_LT(absl::Now() - begin, absl::Milliseconds(250));
  // Others go on; replicas too.
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM product"), 0U);
  spec_.holds.clear();
  Publish();
  waiter.join();
  EXPECT_EQ(held, "10");
}

TEST_F(ProxyCutoverTest, WaitsAreBounded) {
  StopProxy();
  buffer_.statements_max = 1;
  limits_.window = absl::Milliseconds(600);
  StartProxy();
  spec_.holds = {MoveHold(absl::Seconds(30))};
  Publish();
  auto client = MustConnect("commerce");
  std::string message;
  unsigned first = 0;
  std::jthread waiter([&] { first = ErrorOfStatement(*client, "SELECT * FROM corder", &message); });
  while (traffic_->acknowledgement().held_statements != 1) {
    std::this_thread::yield();
  }
  auto second = MustConnect("commerce");
  std::string full;
  EXPECT_EQ(ErrorOfStatement(*second, "SELECT * FROM corder", &full), 1203U);
  EXPECT_THAT(full, HasSubstr("buffer full"));
  waiter.join();
  EXPECT_EQ(first, 1205U);
  EXPECT_THAT(message, HasSubstr("try again"));
  EXPECT_EQ(traffic_->acknowledgement().held_statements, 0U);
}

TEST_F(ProxyCutoverTest, ASilentCoordinatorEndsTheHoldWithARetryableError) {
  spec_.holds = {MoveHold(absl::Milliseconds(300))};
  Publish();
  coordinator_.reset();
  auto client = MustConnect("commerce");
  std::string message;
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM corder", &message), 1205U);
  EXPECT_THAT(message, HasSubstr("coordinator is silent"));
  EXPECT_EQ(ErrorOfStatement(*client, "SELECT * FROM product"), 0U);
}

TEST_F(ProxyCutoverTest, AClosedGateMetByAnOldRuleIsOnlyAWait) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  auto client = MustConnect("commerce");
  CloseSource();
  MoveTables();
  std::string price;
  unsigned error = 1;
  std::jthread reader([&] {
    price = Scalar(*client, "SELECT price FROM corder WHERE id = 2");
    error = ErrorOfStatement(*client, "BEGIN");
    error += ErrorOfStatement(*client, "UPDATE corder SET price = 31 WHERE id = 2");
    error += ErrorOfStatement(*client, "COMMIT");
  });
  while (traffic_->acknowledgement().held_statements != 1) {
    std::this_thread::yield();
  }
  spec_.rules = routing::RulesOfMove(Move(true));
  Publish();
  reader.join();
  EXPECT_EQ(price, "30");
  EXPECT_EQ(error, 0U);
  EXPECT_EQ(Scalar(*client, "SELECT price FROM corder WHERE id = 2"), "31");
}

TEST_F(ProxyCutoverTest, ATransactionsFirstStatementMovesOverWithIt) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  auto client = MustConnect("commerce");
  CloseSource();
  MoveTables();
  ASSERT_EQ(ErrorOfStatement(*client, "BEGIN"), 0U);
  unsigned error = 1;
  std::jthread writer([&] {
    error = ErrorOfStatement(*client, "UPDATE corder SET price = 31 WHERE id = 2");
    error += ErrorOfStatement(*client, "ROLLBACK");
  });
  while (traffic_->acknowledgement().held_statements != 1) {
    std::this_thread::yield();
  }
  spec_.rules = routing::RulesOfMove(Move(true));
  Publish();
  writer.join();
  EXPECT_EQ(error, 0U);
  EXPECT_EQ(Scalar(*client, "SELECT price FROM corder WHERE id = 2"), "30");
}

TEST_F(ProxyCutoverTest, ATableThatIsReallyMissingIsAnErrorInTheEnd) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  CloseSource();
  const absl::Time begin = absl::Now();
  EXPECT_EQ(ErrorOfStatement(*MustConnect("commerce"), "SELECT * FROM corder"), 1146U);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(5));
}

TEST_F(ProxyCutoverTest, BrokenAndOlderEpochsAreRefusedWithAReason) {
  const RuleSetSpec good = spec_;
  const uint64_t first = Publish();
  spec_.rules = {{"a", "commerce.a"}, {"a", "customer.a"}};
  const uint64_t broken = coordinator_->Publish(spec_);
  ASSERT_TRUE(coordinator_->AwaitRefused(broken));
  EXPECT_THAT(coordinator_->last().refused_reason, HasSubstr("two rules for 'a'"));
  EXPECT_EQ(Scalar(*MustConnect("commerce"), "SELECT count(*) FROM product"), "2");
  spec_ = good;
  Publish();
  coordinator_->PublishAs(first, good);
  ASSERT_TRUE(coordinator_->AwaitRefused(first));
  EXPECT_THAT(coordinator_->last().refused_reason, HasSubstr("older"));
}

TEST_F(ProxyCutoverTest, TheLastRulesAreOnDisk) {
  StopProxy();
  const testing::TempDir folder;
  state_file_ = folder.File("rules");
  StartProxy();
  spec_.homes = {{"product", "commerce"}};
  Publish();
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  struct stat info {};
  while (stat(state_file_.c_str(), &info) != 0 && absl::Now() < deadline) {
    std::this_thread::yield();
  }
  StopProxy();
  coordinator_ = nullptr;
  coordinator_ = FakeCoordinator::Start();  // one that knows nothing
  StartProxy();
  EXPECT_EQ(Scalar(*MustConnect(), "SELECT name FROM product WHERE id = 1"), "keyboard");
  StopProxy();
}

TEST_F(ProxyCutoverTest, AFileThatCannotBeWrittenIsRemoved) {
  StopProxy();
  const testing::TempDir folder;
  state_file_ = folder.File("rules");
  StartProxy();
  Publish();
  EXPECT_TRUE(std::filesystem::exists(state_file_));
  std::filesystem::create_directory(folder.File("rules.new"));
  spec_.homes = {{"product", "commerce"}};
  Publish();  // is acknowledged: a restart has no older rules to begin with
  EXPECT_FALSE(std::filesystem::exists(state_file_));
  StopProxy();
}

TEST_F(ProxyCutoverTest, WhatARestartWouldTakeBackIsNotAcknowledged) {
  StopProxy();
  const testing::TempDir folder;
  state_file_ = folder.File("rules");
  // Neither to be replaced nor to be removed.
  std::filesystem::create_directories(folder.File("rules/in the way"));
  coordinator_ = nullptr;
  coordinator_ = FakeCoordinator::Start();
  const uint64_t epoch = coordinator_->Publish(spec_);
  StartProxy();
  EXPECT_EQ(Scalar(*MustConnect("commerce"), "SELECT count(*) FROM product"), "2");
  EXPECT_EQ(coordinator_->last().have_epoch, 0U);
  std::filesystem::remove_all(state_file_);
  EXPECT_TRUE(coordinator_->AwaitHave(epoch));
  EXPECT_TRUE(std::filesystem::exists(state_file_));
  StopProxy();
}

}  // namespace
}  // namespace sluice::proxy
