// What the tests of a stream's options share: a tuning of small steps, rows, and a writer.

#pragma once

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {

inline target::StreamTuning SmallTuning() {
  target::StreamTuning tuning;
  tuning.copier.workers = 3;
  tuning.copier.part_bytes = 64U << 10U;
  tuning.copier.bytes_max = 16U << 10U;
  tuning.follow_wait = absl::Milliseconds(50);
  tuning.backoff_max = absl::Milliseconds(200);
  return tuning;
}

inline std::string Scalar(const Mysqld& server, const std::string& sql) {
  const auto connection = ConnectTo(server, "");
  const auto value = connection->QueryScalar(sql);
  EXPECT_TRUE(value.ok()) << sql << ": " << value.status();
  return value.value_or("");
}

// Waits for a condition on the target.
inline void AwaitTrue(StreamWorld& world, const std::string& sql) {
  const auto connection = ConnectTo(world.target_mysqld(), "");
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (connection->QueryScalar(sql).value_or("") != "1") {
    ASSERT_LT(absl::Now(), deadline) << sql;
    absl::SleepFor(absl::Milliseconds(5));  // Delay: the server has no way to tell of it
  }
}

// Rows 1 … n of a table, by an expression list over `i`.
inline void FillTable(StreamWorld& world, const std::string& table, const std::string& values,
                      int rows) {
  world.OnSource({"SET SESSION cte_max_recursion_depth = 1000000",
                  absl::StrCat("INSERT INTO ", table,
                               " WITH RECURSIVE s AS (SELECT 1 AS i UNION "
                               "ALL SELECT i + 1 FROM s WHERE i < ",
                               rows, ") SELECT ", values, " FROM s")});
}

// Runs statements on the source in a session of its own until it goes.
class Writer {
 public:
  using Make = std::function<std::string(std::mt19937&)>;
  Writer(const Mysqld& server, Make make)
      : connection_(ConnectTo(server, kSourceDatabase)), make_(std::move(make)), thread_([this] {
          std::mt19937 random(7);
          while (!over_) {
            const absl::Status status = connection_->Execute(make_(random)).status();
            EXPECT_TRUE(status.ok()) << status;
            ++statements_;
            absl::SleepFor(absl::Milliseconds(5));  // Delay: leaves the stream time to keep up
          }
        }) {}
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;
  ~Writer() { End(); }

  int End() {
    over_ = true;
    if (thread_.joinable()) {
      thread_.join();
    }
    return statements_;
  }

 private:
  std::unique_ptr<mysql::Connection> connection_;
  Make make_;
  std::atomic<bool> over_ = false;
  std::atomic<int> statements_ = 0;
  std::jthread thread_;
};

}  // namespace sluice::testing
