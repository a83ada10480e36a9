// The kill table: kill -9 of every process in every phase of a move; nothing lost, nothing doubled.

#include <gtest/gtest.h>

#include <iostream>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

// The move goes to and fro between the keyspaces, a workflow of its own for each case.
struct Move {
  std::string name;
  std::string source;
  std::string target;
  uint32_t target_uid = 0;
};

const std::vector<std::string>& Victims() {
  static const std::vector<std::string> names = {"agent-100", "agent-200",  "coordinator",
                                                 "proxy-1",   "mysqld-100", "mysqld-200"};
  return names;
}

class KillTest : public testing::Test {
 protected:
  void SetUp() override {
    scenario_ = Scenario::Start({.orders = 30'000});
    ASSERT_NE(scenario_, nullptr);
    scenario_->StartClients();
  }

  Move Next() {
    const bool back = scenario_->OwnerOfOrders() == 200;
    Move move;
    move.source = back ? "customer" : "commerce";
    move.target = back ? "commerce" : "customer";
    move.target_uid = back ? 100 : 200;
    move.name = absl::StrCat(move.target, ".move", ++moves_);
    return move;
  }

  void Create(const Move& move) {
    scenario_->Done({"movetables", "create", move.name, "--source", move.source, "--tables",
                     "customer,corder"});
  }

  void KillAndRestart(const std::string& victim) {
    ASSERT_TRUE(scenario_->cluster().Kill(victim).ok()) << victim;
    const absl::Status started = scenario_->cluster().Start(victim);
    ASSERT_TRUE(started.ok()) << victim << ": " << started;
    ASSERT_TRUE(scenario_->cluster().AwaitServing(absl::Seconds(60)).ok()) << victim;
  }

  // Whatever the fault left: the writes end up switched, judged, and the workflow completed. They
  // count as switched from the commit on, which a new coordinator may still have to carry out.
  void FinishMove(const Move& move) {
    const absl::Time deadline = absl::Now() + absl::Seconds(90);
    std::string state;
    std::string last;
    while (absl::Now() < deadline) {
      state = scenario_->TrafficState(move.name);
      if (state == "All Reads Switched. Writes Switched") {
        break;
      }
      const auto switched =
          scenario_->Sluice({"movetables", "switchtraffic", move.name, "--timeout", "20s"});
      last = switched.output + switched.errors;
    }
    ASSERT_EQ(state, "All Reads Switched. Writes Switched") << last;
    ASSERT_EQ(scenario_->AwaitOwnerOfOrders(absl::Seconds(60)), move.target_uid);
    ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
    scenario_->JudgeAll();
    scenario_->Done({"movetables", "complete", move.name});
    ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  }

  // Kills `victim` while the coordinator stands still at `point` of a cutover.
  void KillAtPoint(const std::string& victim, const std::string& point) {
    SCOPED_TRACE(victim + " at " + point);
    cluster::Cluster& cluster = scenario_->cluster();
    const Move move = Next();
    Create(move);
    ASSERT_TRUE(scenario_->AwaitRunning(move.name));
    ASSERT_TRUE(cluster.Terminate("coordinator").ok());
    ASSERT_TRUE(cluster.Start("coordinator", {"SLUICE_STOP_AT=" + point}).ok());
    ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(30)).ok());
    ASSERT_TRUE(scenario_->AwaitRunning(move.name));
    {
      std::jthread operator_command([&] {
        scenario_->Sluice({"movetables", "switchtraffic", move.name, "--timeout", "20s"});
      });
      const absl::Status stopped = cluster.AwaitStopped("coordinator", absl::Seconds(30));
      ASSERT_TRUE(stopped.ok()) << stopped;
      ASSERT_TRUE(cluster.Kill(victim).ok());
      if (victim == "coordinator") {
        ASSERT_TRUE(cluster.Start(victim).ok());
      } else {
        ASSERT_TRUE(cluster.Resume("coordinator").ok());
        ASSERT_TRUE(cluster.Start(victim).ok());
      }
    }
    ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
    FinishMove(move);
  }

  std::unique_ptr<Scenario> scenario_;
  int moves_ = 0;
};

TEST_F(KillTest, DuringTheCopy) {
  for (const std::string& victim : Victims()) {
    SCOPED_TRACE(victim);
    cluster::Cluster& cluster = scenario_->cluster();
    const Move move = Next();
    const std::string copier = absl::StrCat("agent-", move.target_uid);
    ASSERT_TRUE(cluster.Terminate(copier).ok());
    ASSERT_TRUE(cluster.Start(copier, {"SLUICE_STOP_AT=copy.after_commit:3"}).ok());
    ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(30)).ok());
    Create(move);
    const absl::Status stopped = cluster.AwaitStopped(copier, absl::Seconds(30));
    ASSERT_TRUE(stopped.ok()) << stopped;
    ASSERT_TRUE(cluster.Kill(victim).ok());
    if (victim != copier) {
      ASSERT_TRUE(cluster.Resume(copier).ok());
    }
    ASSERT_TRUE(cluster.Start(victim).ok());
    ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(60)).ok());
    ASSERT_TRUE(scenario_->AwaitRunning(move.name, absl::Seconds(90)));
    FinishMove(move);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(KillTest, DuringTheCatchUp) {
  for (const std::string& victim : Victims()) {
    SCOPED_TRACE(victim);
    const Move move = Next();
    Create(move);
    ASSERT_TRUE(scenario_->AwaitRunning(move.name, absl::Seconds(60)));
    ASSERT_TRUE(scenario_->clients().AwaitWrites(30, absl::Seconds(30)).ok());
    KillAndRestart(victim);
    ASSERT_TRUE(scenario_->AwaitRunning(move.name, absl::Seconds(60)));
    FinishMove(move);
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(KillTest, BeforeTheCommitPoint) {
  for (const std::string& victim : Victims()) {
    KillAtPoint(victim, "cutover.seal.intent");
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(KillTest, AfterTheCommitPoint) {
  for (const std::string& victim : Victims()) {
    KillAtPoint(victim, "cutover.open_gate.intent");
    ASSERT_FALSE(HasFailure());
  }
}

}  // namespace
}  // namespace sluice::scenario
