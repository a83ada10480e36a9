// switchtraffic and reversetraffic over a scripted cluster.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <filesystem>

#include "absl/time/clock.h"
#include "tests/coordinator/traffic/fixture.h"
#include "tests/coordinator/traffic/polling_proxy.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;
using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using workflow::GateState;
using workflow::WorkflowPhase;

using SwitchTest = TrafficTest;

TEST_F(SwitchTest, MovesAllTrafficAndSaysSo) {
  const nlohmann::json answer = Switch();
  EXPECT_EQ(answer["summary"], "SwitchTraffic was successful for workflow customer.move");
  EXPECT_EQ(answer["start_state"], kNothingSwitched);
  EXPECT_EQ(answer["current_state"], kAllSwitched);
  EXPECT_EQ(answer["cutovers"].size(), 2U);
  EXPECT_EQ(answer["cutover"]["result"], "committed");

  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kClosed));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kOpen));
  EXPECT_EQ(cluster_.source().journals, 1U);
  EXPECT_EQ(cluster_.target().journals, 1U);
  for (const char* name :
       {"customer", "commerce.customer", "customer@replica", "commerce.corder@rdonly"}) {
    EXPECT_THAT(coordinator_->Route(name), ::testing::StartsWith("customer.")) << name;
  }
  EXPECT_THAT(coordinator_->rules->Rules().holds, IsEmpty());
  EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);

  const auto forward = coordinator_->Workflow("customer", "move");
  EXPECT_EQ(forward.phase, WorkflowPhase::kFrozen);
  const auto reverse = coordinator_->Workflow("commerce", "move_reverse");
  EXPECT_EQ(reverse.phase, WorkflowPhase::kActive);
  EXPECT_EQ(reverse.reverse_of, "customer.move");
  EXPECT_FALSE(reverse.writes_switched);
  ASSERT_EQ(reverse.streams.size(), 1U);
  const FakeStream* running = cluster_.FindStream(cluster_.source(), reverse.streams[0].id);
  ASSERT_NE(running, nullptr);
  EXPECT_EQ(running->state, static_cast<int>(topology::StreamState::kRunning));
  EXPECT_TRUE(cluster_.FindStream(cluster_.target(), 1)->frozen);
}

TEST_F(SwitchTest, RecordsTheStepsWithTheirTimes) {
  const nlohmann::json steps = Switch()["cutover"]["steps"];
  std::vector<std::string> names;
  for (const auto& step : steps) {
    names.push_back(step["name"]);
    EXPECT_GT(step["started_us"].get<int64_t>(), 0);
    EXPECT_GE(step["took_us"].get<int64_t>(), 0);
  }
  for (const char* name :
       {"prepare_reverse", "ask_proxies", "probe_gate", "hold_rules", "close_gate", "seal",
        "stop_stream", "commit", "journal_source", "open_gate", "route_rules", "start_reverse",
        "freeze_forward", "fence"}) {
    EXPECT_THAT(names, Contains(name));
  }
}

// The proxy had its rules, and had said so, before the switch began.
TEST_F(SwitchTest, NoStepLiesBeforeTheBeginningOfItsCutover) {
  const PollingProxy proxy(*coordinator_->rules, "p1");
  const int64_t before_us = absl::ToUnixMicros(absl::Now());
  bool asked = false;
  const nlohmann::json answer = Switch({TabletType::kPrimary});
  for (const auto& step : answer["cutover"]["steps"]) {
    EXPECT_GE(step["started_us"].get<int64_t>(), before_us) << step;
    EXPECT_GE(step["took_us"].get<int64_t>(), 0) << step;
    asked |= step["name"] == "ask_proxies" && step["proxy"] == "p1";
  }
  EXPECT_TRUE(asked) << answer;
  EXPECT_EQ(answer.value("warning", ""), "");
}

TEST_F(SwitchTest, WarnsOfAProxyThatDoesNotTakeTheNewRules) {
  const PollingProxy well(*coordinator_->rules, "p1");
  const PollingProxy deaf(*coordinator_->rules, "p2", true);
  const std::string warning = Switch({TabletType::kPrimary}).value("warning", "");
  EXPECT_THAT(warning, HasSubstr("not every proxy had the new rules"));
  EXPECT_THAT(warning, HasSubstr("proxy p2: obeys epoch"));
  EXPECT_THAT(warning, Not(HasSubstr("p1")));
}

TEST_F(SwitchTest, ASecondSwitchHasNothingToDo) {
  Switch();
  cluster_.ForgetRequests();
  const nlohmann::json answer = Switch();
  EXPECT_EQ(answer["start_state"], kAllSwitched);
  EXPECT_EQ(answer["current_state"], kAllSwitched);
  EXPECT_THAT(cluster_.requests(), IsEmpty());
}

TEST_F(SwitchTest, GoesBackAndForthAnyNumberOfTimes) {
  for (int round = 0; round < 4; ++round) {
    EXPECT_EQ(Switch()["current_state"], kAllSwitched);
    const nlohmann::json back = Reverse();
    EXPECT_EQ(back["summary"], "ReverseTraffic was successful for workflow customer.move");
    EXPECT_EQ(back["start_state"], kAllSwitched);
    EXPECT_EQ(back["current_state"], kNothingSwitched);
    EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
    EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
    EXPECT_EQ(coordinator_->Workflow("customer", "move").phase, WorkflowPhase::kActive);
    EXPECT_EQ(coordinator_->Workflow("commerce", "move_reverse").phase, WorkflowPhase::kFrozen);
    EXPECT_EQ(coordinator_->Route("customer.customer"), "commerce.customer");
    // Streams of earlier rounds do not pile up.
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 1);
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 1);
  }
}

TEST_F(SwitchTest, TheReverseWorkflowsOwnNameMeansTheOtherDirection) {
  Switch();
  admin::SwitchArgs args = SwitchOf();
  args.workflow = {.keyspace = "commerce", .name = "move_reverse"};
  const nlohmann::json answer = Done(service().Switch(args, Soon()));
  EXPECT_EQ(answer["current_state"], kNothingSwitched);
}

TEST_F(SwitchTest, ReadsAloneGoToAViewAndComeBack) {
  const nlohmann::json answer = Switch({TabletType::kReplica});
  EXPECT_EQ(answer["current_state"],
            "Reads partially switched. All Replica Reads Switched. Rdonly not switched. Writes Not "
            "Switched");
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_EQ(coordinator_->Route("customer@replica"), "customer.customer");
  EXPECT_EQ(coordinator_->Route("customer@rdonly"), "commerce.customer");
  EXPECT_EQ(coordinator_->Route("customer"), "commerce.customer");
  EXPECT_THAT(cluster_.requests(), Contains("await_position zone1-201 customer"));
  EXPECT_THAT(cluster_.requests(), Not(Contains("await_position zone1-202 customer")));

  Switch({TabletType::kRdonly});
  Reverse({TabletType::kReplica});
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_EQ(Reverse({TabletType::kRdonly})["current_state"], kNothingSwitched);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
}

TEST_F(SwitchTest, WritesAloneLeaveTheOldSideReadable) {
  const nlohmann::json answer = Switch({TabletType::kPrimary});
  EXPECT_EQ(answer["current_state"], "Reads Not Switched. Writes Switched");
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kReadable));
  EXPECT_EQ(coordinator_->Route("customer@replica"), "commerce.customer");
  Switch({TabletType::kReplica});
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kReadable));
  Switch({TabletType::kRdonly});
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kClosed));
  // And back: reads first, then writes.
  EXPECT_EQ(Reverse()["current_state"], kNothingSwitched);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
}

TEST_F(SwitchTest, WithoutReverseReplicationTheReverseStreamIsStoppedAndBarsTheWayBack) {
  admin::SwitchArgs args = SwitchOf();
  args.enable_reverse = false;
  Done(service().Switch(args, Soon()));
  const uint64_t id = coordinator_->Workflow("commerce", "move_reverse").streams.at(0).id;
  EXPECT_EQ(cluster_.FindStream(cluster_.source(), id)->state,
            static_cast<int>(topology::StreamState::kStopped));
  ExpectRefused(service().Reverse(SwitchOf(), Soon()), absl::StatusCode::kFailedPrecondition,
                "is stopped; start it with \"sluice workflow start commerce.move_reverse\"");
  Done(service().Start({.keyspace = "commerce", .name = "move_reverse"}, {}, Soon()));
  EXPECT_EQ(Reverse()["current_state"], kNothingSwitched);
}

// A failover without semi-synchronous replication may lose it between the preparation and the end.
TEST_F(SwitchTest, AReverseStreamThatIsLostBehindTheCommitIsCreatedAgain) {
  std::atomic<bool> lost = false;
  cluster_.SetBefore([&](const std::string& request, const std::string& /*agent*/) {
    if (request == "place_stream" && !lost.exchange(true)) {
      cluster_.source().stream_count = 0;
    }
    return absl::OkStatus();
  });
  Switch();
  cluster_.SetBefore(nullptr);
  ASSERT_TRUE(lost);
  const uint64_t id = coordinator_->Workflow("commerce", "move_reverse").streams.at(0).id;
  const FakeStream* running = cluster_.FindStream(cluster_.source(), id);
  ASSERT_NE(running, nullptr);
  EXPECT_EQ(running->state, static_cast<int>(topology::StreamState::kRunning));
  EXPECT_FALSE(running->awaits_position);
}

TEST_F(SwitchTest, ADryRunSaysWhatWouldHappenAndChangesNothing) {
  admin::SwitchArgs args = SwitchOf();
  args.dry_run = true;
  const nlohmann::json answer = Done(service().Switch(args, Soon()));
  EXPECT_THAT(answer["summary"].get<std::string>(),
              HasSubstr("SwitchTraffic dry run results for workflow customer.move at "));
  const std::string lines = answer["dry_run_results"].dump();
  EXPECT_THAT(lines, HasSubstr("Switch reads for tables [corder,customer] to keyspace customer for "
                               "tablet types [REPLICA,RDONLY]"));
  EXPECT_THAT(lines, HasSubstr("Stop writes on keyspace commerce for tables [corder,customer]: "
                               "[keyspace:commerce;shard:0;position:"));
  EXPECT_THAT(lines, HasSubstr("Create reverse workflow commerce.move_reverse"));
  ExpectUnchanged();
  Switch();
  EXPECT_THAT(Done(service().Switch(args, Soon()))["dry_run_results"],
              ElementsAre("No changes required"));
}

TEST_F(SwitchTest, ADryRunNamesThePrivilegesThatAnAgentLacksOnEitherSide) {
  admin::SwitchArgs args = SwitchOf();
  args.dry_run = true;
  const auto problem = [&] { return Done(service().Switch(args, Soon())).dump(); };
  EXPECT_EQ(problem().find("PROCESS"), std::string::npos);
  for (FakeServer* server : {&cluster_.source(), &cluster_.target()}) {
    strcpy(server->lacks, "PROCESS on *.*; GRANT PROCESS");  // NOLINT(clang-analyzer-security*)
    EXPECT_THAT(problem(),
                AllOf(HasSubstr("PROCESS on *.*; GRANT PROCESS"), HasSubstr("\"problem\":true")));
    server->lacks[0] = '\0';
  }
  ExpectUnchanged();
}

// Behind the commit nobody would serve until somebody grants it.
TEST_F(SwitchTest, ASideThatCouldNotBeOpenedTakesNoWrites) {
  strcpy(cluster_.target().lacks,
         "lacks DROP on `vt_customer`.*");  // NOLINT(clang-analyzer-security*)
  admin::SwitchArgs args = SwitchOf({TabletType::kPrimary});
  for (const bool force : {false, true}) {
    args.force = force;
    ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kFailedPrecondition,
                  "customer/0 (the side that takes over) could not be opened: lacks DROP");
  }
  ExpectUnchanged();
  cluster_.target().lacks[0] = '\0';
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
}

TEST_F(SwitchTest, RefusesWhatCannotBeSwitchedNow) {
  constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;
  const std::string prefix = "cannot switch traffic for workflow customer.move at this time: ";
  FakeStream& stream = cluster_.target().streams[0];
  stream.state = static_cast<int>(topology::StreamState::kCopying);
  ExpectRefused(service().Switch(SwitchOf(), Soon()), kPrecondition,
                prefix + "copy is still in progress");
  stream.state = static_cast<int>(topology::StreamState::kError);
  cluster_.stream_message = "duplicate key";
  ExpectRefused(service().Switch(SwitchOf(), Soon()), kPrecondition,
                prefix + "workflow has errors: stream 1: duplicate key");
  stream.state = static_cast<int>(topology::StreamState::kRunning);
  cluster_.lag_ms = 31'000;
  ExpectRefused(service().Switch(SwitchOf(), Soon()), kPrecondition,
                prefix + "replication lag 31s is higher than allowed lag 30s");
  cluster_.lag_ms = 0;
  cluster_.source().gate = Gate(GateState::kMixed);
  ExpectRefused(service().Switch(SwitchOf(), Soon()), kPrecondition, "is mixed, not open");
  cluster_.source().gate = Gate(GateState::kOpen);
  cluster_.SetBefore([](const std::string&, const std::string& agent) {
    return agent == "customer" ? absl::UnavailableError("customer/0: no connection")
                               : absl::OkStatus();
  });
  ExpectRefused(service().Switch(SwitchOf(), Soon()), kPrecondition, "no connection");
  cluster_.SetBefore(nullptr);

  admin::SwitchArgs args = SwitchOf();
  args.timeout = absl::Milliseconds(999);
  ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kInvalidArgument,
                "out of bounds");
  args = SwitchOf();
  args.workflow.name = "nothing";
  ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kNotFound,
                "workflow customer.nothing does not exist");
  ExpectRefused(service().Reverse(SwitchOf({TabletType::kReplica}), Soon()), kPrecondition,
                "requesting reversal of read traffic for REPLICAs but REPLICA reads have not been "
                "switched");
  const auto lock = coordinator_->locks.TryLock("customer.move", "complete");
  ExpectRefused(service().Switch(SwitchOf(), Soon()), absl::StatusCode::kAborted,
                "another command (complete) is running");
  ExpectUnchanged();
}

TEST_F(SwitchTest, ALockThatIsNotGrantedInTimeRollsBackAndNamesTheBlocker) {
  cluster_.SetBefore([](const std::string& request, const std::string& agent) {
    return request == "set_gate closed" && agent == "commerce"
               ? absl::AbortedError("lock wait ran out; blocked by connection 17 (app@web1)")
               : absl::OkStatus();
  });
  admin::SwitchArgs args =
      SwitchOf({TabletType::kPrimary, TabletType::kReplica, TabletType::kRdonly});
  args.timeout = absl::Milliseconds(1'300);
  const auto answer = service().Switch(args, Soon());
  ExpectRefused(answer, absl::StatusCode::kAborted, "was rolled back");
  EXPECT_THAT(std::string(answer.status().message()), HasSubstr("connection 17 (app@web1)"));
  // Each attempt gave the tables back before the next one.
  const std::vector<std::string> requests = cluster_.requests();
  EXPECT_GT(std::count(requests.begin(), requests.end(), "set_gate closed commerce"), 1);
  // The reads that were switched before stay where they are.
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_EQ(cluster_.FindStream(cluster_.target(), 1)->state,
            static_cast<int>(topology::StreamState::kRunning));
  EXPECT_THAT(coordinator_->rules->Rules().holds, IsEmpty());
  cluster_.SetBefore(nullptr);
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
}

TEST_F(SwitchTest, AStepThatFailsForLongFillsNeitherTheStoreNorThePage) {
  int tries = 0;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    if (request == "set_gate open" && ++tries <= 40) {
      return absl::UnavailableError(absl::StrCat("not heard for ", tries, ".5s"));
    }
    return absl::OkStatus();
  });
  const nlohmann::json answer = Switch({TabletType::kPrimary});
  std::vector<std::string> details;
  for (const auto& step : answer["cutover"]["steps"]) {
    if (step["name"] == "open_gate") {
      details.push_back(step["detail"].get<std::string>().substr(0, 11));
    }
  }
  EXPECT_THAT(details, ElementsAre("attempt 1: ", "attempt 2: ", "attempt 4: ", "attempt 8: ",
                                   "attempt 16:", "attempt 32:", "open, 1000 "));
}

// A server that is away behind the commit keeps the cutover from its end for as long as it is away.
TEST_F(SwitchTest, AnAbortBehindTheCommitIsRefusedAtOnce) {
  absl::Mutex mutex;
  bool away = true;
  bool met = false;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    const absl::MutexLock lock(&mutex);
    if (request == "set_gate open" && away) {
      met = true;
      return absl::UnavailableError("no connection");
    }
    return absl::OkStatus();
  });
  const auto answer =
      service().Switch(SwitchOf({TabletType::kPrimary}), absl::Now() + absl::Milliseconds(300));
  ExpectRefused(answer, absl::StatusCode::kDeadlineExceeded, "is committed");
  ExpectRefused(service().CutoverAbort(SwitchOf().workflow, Soon()),
                absl::StatusCode::kFailedPrecondition,
                "is committed and goes on to its end, waiting for open_gate of customer/0");
  {
    const absl::MutexLock lock(&mutex);
    EXPECT_TRUE(met);
    away = false;
  }
  ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(10)));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kOpen));
}

TEST_F(SwitchTest, WhoSitsOnTheTablesIsWaitedForBeforeAnybodyIsHeld) {
  absl::Mutex mutex;
  int asked = 0;
  cluster_.SetBefore([&](const std::string& request, const std::string& side) {
    if (request == "probe_gate" && side == "commerce") {
      const absl::MutexLock lock(&mutex);
      return ++asked < 4 ? absl::AbortedError("used by connection 17 (app@web1)")
                         : absl::OkStatus();
    }
    return absl::OkStatus();
  });
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
  EXPECT_EQ(asked, 4);
}

TEST_F(SwitchTest, GoesOnWhenNobodyWaitsForTheAnswer) {
  absl::Mutex mutex;
  bool go = false;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    if (request == "await_marker") {
      const absl::MutexLock lock(&mutex);
      mutex.AwaitWithTimeout(absl::Condition(&go), absl::Seconds(4));
    }
    return absl::OkStatus();
  });
  const auto answer =
      service().Switch(SwitchOf({TabletType::kPrimary}), absl::Now() + absl::Milliseconds(300));
  ExpectRefused(answer, absl::StatusCode::kDeadlineExceeded, "waiting for seal of customer/0");
  const auto second = service().Switch(SwitchOf(), Soon());
  ExpectRefused(second, absl::StatusCode::kAborted, "another command (switchtraffic) is running");
  {
    const auto shown = service().CutoverShow(SwitchOf().workflow, 0);
    ASSERT_TRUE(shown.ok());
    EXPECT_THAT(*shown, HasSubstr("waiting for seal of customer/0"));
    const absl::MutexLock lock(&mutex);
    go = true;
  }
  ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(10)));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kOpen));
}

// Every request of a cutover, its first answer lost after it was carried out.
TEST_F(SwitchTest, ALostAnswerIsRepeatedAndNothingIsDoneTwice) {
  absl::Mutex mutex;
  std::map<std::string, int> seen;
  cluster_.SetAfter([&](const std::string& request, const std::string& agent) {
    const bool reading = request == "read_gate" || request == "list_streams";
    const absl::MutexLock lock(&mutex);
    return !reading && seen[request + agent]++ == 0
               ? absl::DeadlineExceededError("the answer is lost")
               : absl::OkStatus();
  });
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
  EXPECT_EQ(Reverse()["current_state"], kNothingSwitched);
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 1);
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 1);
}

TEST_F(SwitchTest, AStreamThatALateRequestLeftBehindIsDeletedFirst) {
  FakeStream& stray = cluster_.source().streams[0];
  stray.id = 77;
  (void)std::snprintf(stray.workflow, sizeof(stray.workflow), "commerce.move_reverse");
  stray.state = static_cast<int>(topology::StreamState::kStopped);
  cluster_.source().stream_count = 1;
  Switch();
  EXPECT_EQ(cluster_.FindStream(cluster_.source(), 77), nullptr);
}

TEST_F(SwitchTest, StopsAndStartsStreams) {
  Done(service().Stop(SwitchOf().workflow, {}, Soon()));
  EXPECT_EQ(cluster_.target().streams[0].state, static_cast<int>(topology::StreamState::kStopped));
  ExpectRefused(service().Switch(SwitchOf(), Soon()), absl::StatusCode::kFailedPrecondition,
                "stream 1 is stopped");
  Done(service().Start(SwitchOf().workflow, {}, Soon()));
  EXPECT_FALSE(coordinator_->Workflow("customer", "move").start_pending);
  Switch();
  ExpectRefused(service().Start(SwitchOf().workflow, {}, Soon()),
                absl::StatusCode::kFailedPrecondition, "is frozen");
}

TEST_F(SwitchTest, ShowsTheAttempts) {
  Switch();
  Reverse();
  const auto shown = service().CutoverShow(SwitchOf().workflow, 0);
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_THAT(*shown, HasSubstr("\"reverse\""));
  EXPECT_THAT(*shown, HasSubstr("close_gate"));
  EXPECT_EQ(service().CutoverShow({.keyspace = "customer", .name = "x"}, 0).status().code(),
            absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace sluice::traffic::testing
