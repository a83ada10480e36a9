// The coordinator killed at every named place, and the next one too: each ends by itself, and every
// promise holds. Coordinators run in forked children only; the cluster's memory is shared with
// them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <functional>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cutover/crash_points.h"
#include "coordinator/traffic/state_facts.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;
using workflow::GateState;

constexpr int kKilled = 137;

// What a child does with its coordinator.
using Work = std::function<void(Coordinator&)>;

// A cutover that was held is held again by the next coordinator. One that is not is refused, or
// takes the word as long as it can.
absl::Status AbortWhatWaitsForAPerson(Coordinator& coordinator) {
  return coordinator.service->CutoverAbort(SwitchOf().workflow, absl::Now() + absl::Seconds(20))
      .status();
}

class CrashTest : public ::testing::Test {
 protected:
  CrashTest() : path_(StorePath()) {}
  ~CrashTest() override { RemoveStore(path_); }

  // The exit code of a child that works with a coordinator of its own: 0, 137 at the crash point, 1
  // when an expectation failed.
  int InChild(const std::string& crash_at, const Work& work) {
    (void)std::fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      if (crash_at.empty()) {
        unsetenv("SLUICE_CRASH_AT");
      } else {
        setenv("SLUICE_CRASH_AT", crash_at.c_str(), 1);
      }
      setenv("SLUICE_LOG_LEVEL", "off", 1);
      {
        Coordinator coordinator(path_, cluster_);
        work(coordinator);
      }
      (void)std::fflush(nullptr);
      _exit(HasFailure() ? 1 : 0);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  void Begin(const Work& prepare) {
    RemoveStore(path_);
    cluster_.Reset();
    ASSERT_EQ(InChild("",
                      [&](Coordinator& coordinator) {
                        coordinator.PutWorkflow();
                        prepare(coordinator);
                      }),
              0);
  }

  // Recovers, judges, and lets the operator try again.
  void ExpectItEnds(const std::string& story, const Work& judge) {
    SCOPED_TRACE(story);
    EXPECT_EQ(InChild("",
                      [&](Coordinator& coordinator) {
                        ASSERT_TRUE(coordinator.service->Recover().ok());
                        const absl::Status aborted = AbortWhatWaitsForAPerson(coordinator);
                        ASSERT_TRUE(coordinator.AwaitIdle(absl::Seconds(20))) << aborted;
                        judge(coordinator);
                      }),
              0);
    EXPECT_STREQ(cluster_.world().violation, "");
  }

  const std::string path_;
  FakeCluster cluster_;
};

void SwitchAll(Coordinator& coordinator) {
  (void)coordinator.service->Switch(SwitchOf(), Soon());
}
// With all that an operator may ask for.
void SwitchHeld(Coordinator& coordinator) {
  admin::SwitchArgs args = SwitchOf();
  args.hold = args.raise_counters = true;
  (void)coordinator.service->Switch(args, Soon());
  (void)coordinator.service->CutoverRelease(SwitchOf().workflow, Soon());
}
void ReverseAll(Coordinator& coordinator) {
  (void)coordinator.service->Reverse(SwitchOf(), Soon());
}
void CompleteIt(Coordinator& coordinator) {
  (void)coordinator.service->Complete(FinishOf(), Soon());
}
void CancelIt(Coordinator& coordinator) {
  (void)coordinator.service->Cancel(FinishOf(), Soon());
}
void Nothing(Coordinator& /*coordinator*/) {}
void OfACell(Coordinator& coordinator, bool reverse) {
  admin::SwitchArgs args = SwitchOf({TabletType::kReplica});
  args.cells = {"zone1"};
  (void)(reverse ? coordinator.service->Reverse(args, Soon())
                 : coordinator.service->Switch(args, Soon()));
}

// Rules, records and gates tell the same story, and the switch can be made good.
Work SwitchIsWhole(FakeCluster& cluster) {
  return [&cluster](Coordinator& coordinator) {
    const auto record = coordinator.Workflow("customer", "move");
    const bool moved = record.writes_switched;
    EXPECT_EQ(cluster.target().gate == static_cast<int>(GateState::kOpen), moved);
    EXPECT_EQ(cluster.source().gate == static_cast<int>(GateState::kOpen), !moved);
    EXPECT_EQ(coordinator.Route("commerce.customer"),
              moved ? "customer.customer" : "commerce.customer");
    // Of every type and cell, none of which may read a side that is closed.
    EXPECT_EQ(coordinator.rules->Rules().table_rules,
              routing::RulesOfMove(workflow::MoveRulesOf(record)));
    EXPECT_EQ((moved ? cluster.source() : cluster.target()).gate,
              static_cast<int>(WantedGate({.original = record, .reverse = {}}, false)));
    EXPECT_TRUE(coordinator.rules->Rules().holds.empty());
    for (const auto& switched : {coordinator.service->Switch(SwitchOf(), Soon()),
                                 coordinator.service->Reverse(SwitchOf(), Soon()),
                                 coordinator.service->Switch(SwitchOf(), Soon())}) {
      EXPECT_TRUE(switched.ok()) << switched.status();
    }
    EXPECT_EQ(workflow::TrafficStateText(coordinator.Workflow("customer", "move")), kAllSwitched);
    EXPECT_EQ(FakeCluster::StreamCount(cluster.source()), 1);
    EXPECT_EQ(FakeCluster::StreamCount(cluster.target()), 1);
  };
}

struct Scenario {
  const char* name;
  Work prepare;
  Work command;
  const char* refused;  // a request that every agent refuses during the command
};

std::vector<Scenario> Scenarios() {
  const auto only = [](TabletType type) -> Work {
    return [type](Coordinator& coordinator) {
      (void)coordinator.service->Switch(SwitchOf({type}), Soon());
    };
  };
  return {{"all", Nothing, SwitchAll, ""},
          {"back", SwitchAll, ReverseAll, ""},
          {"held", Nothing, SwitchHeld, ""},
          {"refused writes", Nothing, SwitchAll, "await_marker"},
          {"refused reads", Nothing, SwitchAll, "await_position zone1-201"},
          {"last reads",
           [only](Coordinator& coordinator) {
             only(TabletType::kPrimary)(coordinator);
             only(TabletType::kReplica)(coordinator);
           },
           only(TabletType::kRdonly), ""},
          {"reads of a cell", Nothing,
           [](Coordinator& coordinator) { OfACell(coordinator, false); }, ""},
          {"reads of a cell come back", SwitchAll,
           [](Coordinator& coordinator) { OfACell(coordinator, true); }, ""},
          {"the last cell leaves",
           [](Coordinator& coordinator) {
             SwitchAll(coordinator);
             OfACell(coordinator, true);
           },
           [](Coordinator& coordinator) { OfACell(coordinator, false); }, ""}};
}

Work Refusing(FakeCluster& cluster, const Scenario& scenario) {
  return [&cluster, scenario](Coordinator& coordinator) {
    cluster.SetBefore([&](const std::string& request, const std::string&) {
      return request == scenario.refused ? absl::FailedPreconditionError("refused")
                                         : absl::OkStatus();
    });
    scenario.command(coordinator);
  };
}

TEST_F(CrashTest, OfTheCoordinatorAnywhereInACutoverLosesNothing) {
  std::set<std::string> reached;
  for (const Scenario& scenario : Scenarios()) {
    for (const std::string& point : cutover::CutoverCrashPoints()) {
      Begin(scenario.prepare);
      const int code = InChild(point, Refusing(cluster_, scenario));
      ASSERT_TRUE(code == 0 || code == kKilled) << point << ": " << code;
      if (code == kKilled) {
        reached.insert(point);
        ExpectItEnds(absl::StrCat(scenario.name, ", killed at ", point), SwitchIsWhole(cluster_));
      }
    }
  }
  for (const std::string& point : cutover::CutoverCrashPoints()) {
    EXPECT_EQ(reached.count(point), 1U) << point << " was never reached";
  }
}

TEST_F(CrashTest, OfTheSecondCoordinatorDuringTheRecoveryLosesNothing) {
  const std::vector<std::string> second = {
      "cutover.delete_reverse.intent", "cutover.reopen_gate.intent",  "cutover.reopen_gate.done",
      "cutover.release_rules.done",    "cutover.restart_stream.done", "cutover.open_gate.intent",
      "cutover.open_gate.done",        "cutover.route_rules.done",    "cutover.start_reverse.done",
      "cutover.freeze_forward.intent"};
  int twice = 0;
  for (const char* first :
       {"cutover.prepare_reverse.done", "cutover.close_gate.intent", "cutover.close_gate.done",
        "cutover.seal.done", "cutover.stop_stream.done", "cutover.commit.intent",
        "cutover.commit.done", "cutover.open_gate.done", "cutover.route_rules.intent"}) {
    for (const std::string& again : second) {
      Begin(Nothing);
      ASSERT_EQ(InChild(first, SwitchAll), kKilled) << first;
      const int code = InChild(again, [](Coordinator& coordinator) {
        (void)coordinator.service->Recover();
        (void)coordinator.AwaitIdle(absl::Seconds(20));
      });
      ASSERT_TRUE(code == 0 || code == kKilled) << again << ": " << code;
      if (code == kKilled) {
        // Streams stop beside the commit: whether that has happened is chance, and with it which
        // points come next.
        twice += first == std::string("cutover.stop_stream.done") ? 0 : 1;
        ExpectItEnds(absl::StrCat("killed at ", first, " and at ", again), SwitchIsWhole(cluster_));
      }
    }
  }
  EXPECT_EQ(twice, 23);
}

TEST_F(CrashTest, OfTheCoordinatorAnywhereInATeardownIsFinishedByTheNext) {
  for (const std::string& point : cutover::TeardownCrashPoints()) {
    const bool complete = absl::StartsWith(point, "complete");
    Begin(complete ? SwitchAll : Nothing);
    ASSERT_EQ(InChild(point, complete ? CompleteIt : CancelIt), kKilled) << point;
    ExpectItEnds(absl::StrCat("killed at ", point), [&](Coordinator& coordinator) {
      if (absl::EndsWith(point, ".begin")) {
        // Nothing was decided: the operator asks again.
        EXPECT_FALSE(coordinator.Workflows().empty());
        (complete ? CompleteIt : CancelIt)(coordinator);
      }
      EXPECT_TRUE(coordinator.Workflows().empty());
      EXPECT_TRUE(coordinator.rules->Rules().table_rules.empty());
      EXPECT_EQ(cluster_.source().dropped, complete);
      EXPECT_EQ(cluster_.target().dropped, !complete);
      EXPECT_EQ(cluster_.target().released, complete);
      EXPECT_EQ(cluster_.source().released, !complete);
      EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
      EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 0);
    });
  }
}

}  // namespace
}  // namespace sluice::traffic::testing
