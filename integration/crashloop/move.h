// MoveTest: a move between two real servers whose processes a test kills, step by step.

#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/time.h"
#include "integration/cluster/cluster.h"

namespace sluice::crashloop {

inline constexpr uint32_t kSource = 100;
inline constexpr uint32_t kSourceReplica = 101;
inline constexpr uint32_t kTarget = 200;
inline constexpr uint32_t kTargetReplica = 201;

// Keyspaces source and target. Steps that go wrong report a failure and return.
class MoveTest : public ::testing::Test {
 protected:
  ~MoveTest() override;

  // PRIMARYs, and replicas of these uids.
  void StartCluster(const std::vector<uint32_t>& replicas);
  cluster::Cluster& cluster() { return *cluster_; }

  // One session, past everything, as root.
  void On(uint32_t uid, const std::vector<std::string>& statements);
  // The first cell of an answer; empty when nobody answers.
  std::string Ask(uint32_t uid, const std::string& sql);
  // The operator's program: wants exit code 0.
  void Done(const std::vector<std::string>& arguments);
  // The same beside the test, whatever comes of it.
  void StartOperator(const std::vector<std::string>& arguments);
  void JoinOperator();

  // Starts the agent anew so that it ends (or stands still) at a point.
  void Rearm(uint32_t uid, const std::string& point,
             const std::string& variable = "SLUICE_CRASH_AT");
  // Waits for its end and starts it as usual.
  void AwaitCrash(uint32_t uid);
  void RestartMysqld(uint32_t uid);

  static bool Eventually(const std::function<bool()>& condition,
                         absl::Duration timeout = absl::Seconds(60));
  // Streams are what their state on the target's mysqld says.
  void AwaitRunning(uint32_t target);
  // The target's stream has applied all that the source has executed.
  void AwaitApplied(uint32_t source, uint32_t target);
  // The table of the source, and the one behind the target's gate.
  void ExpectSame(uint32_t source, uint32_t target, const std::string& table,
                  const std::string& key);

 private:
  std::unique_ptr<cluster::Cluster> cluster_;
  std::jthread operator_;
};

}  // namespace sluice::crashloop
