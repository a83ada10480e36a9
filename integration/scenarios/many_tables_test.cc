// Thousands of tables from create to complete and cancel, whoever dies in between.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <iostream>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::HasSubstr;

constexpr char kWorkflow[] = "customer.many";
constexpr absl::Duration kLong = absl::Minutes(20);

// SLUICE_MANY_TABLES=2000 takes a quarter of an hour.
int Many() {
  const char* named = std::getenv("SLUICE_MANY_TABLES");
  return named != nullptr ? std::stoi(named) : 200;
}

class ManyTablesTest : public testing::Test {
 protected:
  void Start(int tables) {
    tables_ = tables;
    scenario_ = Scenario::Start({.orders = 1});
    ASSERT_NE(scenario_, nullptr);
    for (const uint32_t uid : {100U, 200U}) {
      scenario_->Ask(uid, "SET GLOBAL innodb_flush_log_at_trx_commit = 0");
      scenario_->Ask(uid, "SET GLOBAL sync_binlog = 0");
    }
    MakeTables();
  }
  // By several sessions: each is a commit of its own.
  void MakeTables() {
    constexpr int kSessions = 4;
    std::vector<std::jthread> threads;
    threads.reserve(kSessions);
    for (int t = 0; t < kSessions; ++t) {
      threads.emplace_back([this, t] {
        auto session = scenario_->cluster().ConnectMysqld(100);
        ASSERT_TRUE(session.ok()) << session.status();
        for (int i = t; i < tables_; i += kSessions) {
          for (const std::string& sql :
               {absl::StrCat("CREATE TABLE ", Name(i), " (id INT PRIMARY KEY, v VARCHAR(20))"),
                absl::StrCat("INSERT INTO ", Name(i), " VALUES (1, '", i, "')")}) {
            const auto done = (*session)->Execute(sql);
            ASSERT_TRUE(done.ok()) << done.status();
          }
        }
      });
    }
  }
  static std::string Name(int i) { return absl::StrCat("many_", i); }
  std::string All() const {
    std::vector<std::string> names;
    names.reserve(static_cast<size_t>(tables_));
    for (int i = 0; i < tables_; ++i) {
      names.push_back(Name(i));
    }
    return absl::StrJoin(names, ",");
  }
  // Wants success; how long it took.
  absl::Duration Timed(const std::vector<std::string>& arguments) {
    const absl::Time begun = absl::Now();
    const cluster::CommandResult result = scenario_->Sluice(arguments, kLong);
    EXPECT_EQ(result.exit_code, 0) << arguments[1] << ": " << result.errors.substr(0, 2000);
    std::cerr << arguments[1] << " of " << tables_ << " tables: " << absl::Now() - begun << "\n";
    return absl::Now() - begun;
  }
  void Create() {
    Timed({"movetables", "create", kWorkflow, "--source", "commerce", "--tables", All()});
    ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow, kLong));
  }
  void Switch(const char* verb) {
    Timed({"movetables", verb, kWorkflow, "--timeout", "10m", "--action-timeout", "15m"});
  }
  int Count(uint32_t uid, const std::string& pattern) {
    return std::stoi(scenario_->Ask(
        uid, absl::StrCat("SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = "
                          "DATABASE() AND table_name LIKE '",
                          pattern, "'"))[0]);
  }
  int Open(uint32_t uid) { return Count(uid, "many\\_%"); }
  int Closed(uint32_t uid) { return Count(uid, "\\_sluice\\_closed\\_many\\_%"); }
  void AwaitGone() {
    const absl::Time deadline = absl::Now() + kLong;
    while (!scenario_->TrafficState(kWorkflow).empty() && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(100));  // Delay: each look is a process
    }
    EXPECT_EQ(scenario_->TrafficState(kWorkflow), "");
  }

  int tables_ = 0;
  std::unique_ptr<Scenario> scenario_;
};

TEST_F(ManyTablesTest, ManyGoThereAndBackAndThereAgainAndAreCompleted) {
  Start(Many());
  const std::string last = Name(tables_ - 1);
  Create();
  Switch("switchtraffic");
  EXPECT_EQ(scenario_->ProxyErrno("", "INSERT INTO " + last + " VALUES (2, 'there')"), 0U);
  Switch("reversetraffic");
  EXPECT_EQ(scenario_->Ask(100, "SELECT v FROM " + last + " WHERE id = 2")[0], "there");
  EXPECT_EQ(scenario_->ProxyErrno("", "INSERT INTO many_7 VALUES (2, 'back')"), 0U);
  Switch("switchtraffic");
  EXPECT_EQ(scenario_->Ask(200, "SELECT v FROM many_7 WHERE id = 2")[0], "back");
  EXPECT_EQ(Closed(100), tables_);
  EXPECT_EQ(Closed(200), 0);
  EXPECT_THAT(scenario_->Done({"movetables", "complete", kWorkflow, "--dry-run"}), HasSubstr(last));
  EXPECT_EQ(Closed(100), tables_);
  Timed({"movetables", "complete", kWorkflow});
  EXPECT_EQ(Closed(100) + Open(100), 0);
  EXPECT_EQ(Open(200), tables_);
  EXPECT_EQ(scenario_->ProxyErrno("", "INSERT INTO many_0 VALUES (3, 'after')"), 0U);
}

// What a command that is cut off leaves is finished by the others, and saying it again waits.
TEST_F(ManyTablesTest, CompleteGoesOnWhoeverDies) {
  Start(300);
  Create();
  Switch("switchtraffic");
  cluster::Cluster& cluster = scenario_->cluster();
  ASSERT_TRUE(cluster.Kill("agent-100").ok());
  ASSERT_TRUE(cluster.Start("agent-100", {"SLUICE_CRASH_AT=drop.after_statement:5"}).ok());
  ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
  std::jthread first([&] {
    // Its coordinator dies under it.
    cluster.Sluice({"movetables", "complete", kWorkflow}, kLong).IgnoreError();
  });
  ASSERT_TRUE(cluster.AwaitEnd("agent-100", absl::Minutes(5)).ok());
  const int after_agent = Closed(100);
  EXPECT_LT(Open(100) + after_agent, 600) << "nothing is done";
  EXPECT_GT(after_agent, 0);
  ASSERT_TRUE(cluster.Kill("coordinator").ok());
  first.join();
  ASSERT_TRUE(cluster.Kill("mysqld-100").ok());
  ASSERT_TRUE(cluster.Start("mysqld-100").ok());
  ASSERT_TRUE(cluster.Start("coordinator").ok());
  ASSERT_TRUE(cluster.Start("agent-100").ok());
  const cluster::CommandResult again =
      scenario_->Sluice({"movetables", "complete", kWorkflow}, kLong);
  AwaitGone();
  EXPECT_TRUE(again.exit_code == 0 || absl::StrContains(again.errors, "does not exist"))
      << again.errors;
  EXPECT_EQ(Closed(100) + Open(100), 0);
  EXPECT_EQ(Open(200), 300);
}

TEST_F(ManyTablesTest, CancelTakesAsLongAsTheSameByHand) {
  Start(Many());
  Create();
  EXPECT_EQ(Closed(200), tables_);
  const absl::Duration took = Timed({"movetables", "cancel", kWorkflow});
  EXPECT_EQ(Closed(200) + Open(200), 0);
  EXPECT_EQ(Open(100), tables_);
  // The peer: the tables of the source, by one statement.
  const absl::Time begun = absl::Now();
  scenario_->Ask(100, absl::StrCat("DROP TABLE ", All()));
  const absl::Duration by_hand = absl::Now() - begun;
  std::cerr << "by hand: " << by_hand << "\n";
  EXPECT_LT(took, 2 * by_hand + absl::Seconds(2));
}

}  // namespace
}  // namespace sluice::scenario
