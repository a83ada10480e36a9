// Museum: what the tests of other tools' mistakes share: a stream between two real servers.
//
// Each test is named after one thing that went wrong in another tool, and shows that it does not
// here.

#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "common/gtid/gtid_set.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {

inline constexpr uint64_t kStream = 1;

// Small chunks and batches, short epochs: every boundary is met often.
target::StreamTuning SmallSteps();

// INSERT of rows `first`..`last` into `table`: id, and the other columns as `values` says in terms
// of i.
std::string InsertRange(const std::string& table, const std::string& values, int first, int last);

class MuseumTest : public ::testing::Test {
 protected:
  // Starts the servers. Tests call it with the options they need.
  void StartWorld(const target::StreamTuning& tuning = SmallSteps(),
                  std::vector<std::string> source_options = {},
                  std::vector<std::string> target_options = {});
  // Creates the stream of these tables.
  void StartStream(const std::vector<std::string>& tables);
  void AwaitRunning();
  void AwaitCopied(uint64_t rows);

  // One cell of a server's answer.
  std::string OnSource(const std::string& sql);
  std::string OnTarget(const std::string& sql);
  // The position as committed on the target.
  gtid::GtidSet DurablePosition();
  gtid::GtidSet Executed();

  // A REPLACE or UPDATE that fails may be met by a writer; a test waits for what it wants.
  static bool Eventually(const std::function<bool()>& condition);

  // Applies everything and compares the tables, which have rows.
  void DrainAndCompare(const std::vector<std::string>& tables);

  std::unique_ptr<StreamWorld> world_;
};

// Runs statements of one session in a loop until it is destroyed; statements that fail are rolled
// back and passed over.
class Churn {
 public:
  // `statements` gives those of the n-th transaction.
  Churn(const Mysqld& server, std::function<std::vector<std::string>(int)> statements);
  ~Churn();
  Churn(const Churn&) = delete;
  Churn& operator=(const Churn&) = delete;

  [[nodiscard]] int commits() const { return commits_; }

 private:
  void Work(const std::stop_token& stop);

  const mysql::ConnectionOptions options_;
  const std::function<std::vector<std::string>(int)> statements_;
  std::atomic<int> commits_ = 0;
  std::jthread thread_;
};

}  // namespace sluice::testing
