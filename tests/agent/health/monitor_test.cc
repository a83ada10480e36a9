// When the duties of a PRIMARY are taken up, on a real mysqld.

#include "agent/health/monitor.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::agent {
namespace {

class MonitorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto mysqld = testing::Mysqld::Start({"--binlog-row-metadata=FULL"});
    ASSERT_TRUE(mysqld.ok()) << mysqld.status();
    mysqld_ = *std::move(mysqld);
    auto root = mysql::Connection::Connect(mysqld_->Root());
    ASSERT_TRUE(root.ok()) << root.status();
    root_ = *std::move(root);
    ASSERT_TRUE(root_->Execute("CREATE DATABASE app").ok());
    AgentConfig config;
    config.mysql = mysqld_->RootOverTcp();
    config.cell = "zone1";
    config.shards = {{.keyspace = "ks", .shard = "0", .database = "app"}};
    config.shards[0].type = routing::TabletType::kPrimary;
    monitor_ = std::make_unique<Monitor>(config, Hooks());
    monitor_->Start();
  }
  void TearDown() override { monitor_.reset(); }

  MonitorHooks Hooks() {
    return {.become_primary =
                [this](const std::vector<size_t>& shards) {
                  const absl::MutexLock lock(&mutex_);
                  ++taken_;
                  return std::vector<absl::Status>(shards.size());
                },
            .resume =
                [this] {
                  const absl::MutexLock lock(&mutex_);
                  ++resumed_;
                  return absl::OkStatus();
                },
            .resign = [] {},
            .changed = [this] { Stand(); }};
  }

  // The process stands still, as one that is stopped or swapped out.
  void Stand() {
    const absl::MutexLock lock(&mutex_);
    ++changes_;
    const bool never = false;
    mutex_.AwaitWithTimeout(absl::Condition(&never), std::exchange(stands_, absl::ZeroDuration()));
  }

  // Lets the next change that is seen take so long, makes one, and waits until it was seen.
  void StandFor(absl::Duration duration, const std::string& table) {
    int before = 0;
    {
      const absl::MutexLock lock(&mutex_);
      stands_ = duration;
      before = changes_;
    }
    ASSERT_TRUE(root_->Execute("CREATE TABLE app." + table + " (id INT PRIMARY KEY)").ok());
    const absl::MutexLock lock(&mutex_);
    const auto seen = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changes_ > before; };
    ASSERT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&seen), absl::Seconds(30)));
  }
  bool AwaitTaken(int times) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return taken_ >= times && resumed_ >= times;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(30));
  }
  int taken() {
    const absl::MutexLock lock(&mutex_);
    return taken_;
  }

  std::unique_ptr<testing::Mysqld> mysqld_;
  std::unique_ptr<mysql::Connection> root_;
  absl::Mutex mutex_;
  int taken_ ABSL_GUARDED_BY(mutex_) = 0;
  int resumed_ ABSL_GUARDED_BY(mutex_) = 0;
  int changes_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration stands_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<Monitor> monitor_;
};

// Meanwhile another server may have been PRIMARY, and this one been promoted again.
TEST_F(MonitorTest, TakesThemUpAnewWhenItHasNotLookedForLong) {
  ASSERT_TRUE(AwaitTaken(1)) << monitor_->Current().shards[0].problem;
  StandFor(absl::ZeroDuration(), "t1");
  StandFor(absl::Milliseconds(500), "t2");
  StandFor(absl::ZeroDuration(), "t3");
  EXPECT_EQ(taken(), 1);
  StandFor(absl::Seconds(6), "t4");
  EXPECT_TRUE(AwaitTaken(2));
  StandFor(absl::ZeroDuration(), "t5");
  EXPECT_EQ(taken(), 2);
}

}  // namespace
}  // namespace sluice::agent
