// What a diagnosis says of states that fit together, and of those that do not.

#include "coordinator/traffic/diagnosis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator/traffic/diagnosis_json.h"
#include "coordinator/traffic/state_facts.h"
#include "tests/coordinator/traffic/observations.h"

namespace sluice::traffic {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::Field;
using ::testing::HasSubstr;
using testing::InOrder;
using ::testing::IsEmpty;
using workflow::GateState;

std::vector<Finding> Faults(const Observation& seen) {
  std::vector<Finding> faults;
  for (const Finding& finding : Diagnose(seen)) {
    if (finding.verdict != Verdict::kAgrees) {
      faults.push_back(finding);
    }
  }
  return faults;
}

auto Fault(const std::string& place, const std::string& about, const std::string& state) {
  return AllOf(Field(&Finding::place, place), Field(&Finding::about, about),
               Field(&Finding::state, HasSubstr(state)));
}

TEST(DiagnosisTest, AllAgreesBeforeAndAfterASwitch) {
  for (const bool switched : {false, true}) {
    const std::vector<Finding> findings = Diagnose(InOrder(switched));
    EXPECT_TRUE(Consistent(findings)) << DiagnosisJson("customer.move", "", findings);
    // Two shards a side, each with a gate.
    EXPECT_THAT(findings, Contains(Field(&Finding::about, "gate")).Times(4));
    EXPECT_THAT(findings, Contains(Field(&Finding::about, "journal")).Times(switched ? 4 : 0));
  }
}

TEST(DiagnosisTest, AMysqldThatIsClosedAsAWholeIsWhereItBelongs) {
  Observation seen = InOrder(true);
  seen.source[0].gate = {
      .state = GateState::kReadable, .server_obstacles = {}, .end_obstacles = {}, .server = true};
  seen.source[0].recorded_gate = "readable";
  EXPECT_THAT(Faults(seen), IsEmpty());
  EXPECT_THAT(Diagnose(seen),
              Contains(Field(&Finding::state, "closed as a whole mysqld (read_only)")));
  // Not so one that is only readable: somebody reads by its views.
  seen.source[0].gate.server = false;
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("commerce/-80 (zone1-1-80)", "gate", "readable")));
}

TEST(DiagnosisTest, SaysHowTheSideThatServesWouldClose) {
  Observation seen = InOrder(false);
  seen.source[0].next_gate = cutover::GatePlan{.server = true, .reason = {}, .beside = {}};
  seen.source[1].next_gate =
      cutover::GatePlan{.server = false, .reason = "it holds others", .beside = {}};
  const std::vector<Finding> findings = Diagnose(seen);
  EXPECT_TRUE(Consistent(findings));
  EXPECT_THAT(findings, Contains(Field(&Finding::state,
                                       "open, and would close as a whole mysqld (read_only)")));
  EXPECT_THAT(findings, Contains(Field(&Finding::state, HasSubstr("it holds others"))));
}

TEST(DiagnosisTest, NamesTheGatesThatKeepAMysqldClosed) {
  Observation seen = InOrder(false);
  seen.source[0].gate.state = GateState::kReadable;
  seen.source[0].gate.kept_by = {"vt_commerce_80-"};
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("commerce/-80 (zone1-1-80)", "gate",
                                              "kept read-only by the gates of vt_commerce_80-")));
}

TEST(DiagnosisTest, AGateThatIsNotWhereTheRecordSaysIsNamed) {
  Observation seen = InOrder(true);
  seen.target[1].gate.state = GateState::kClosed;
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("customer/80- (zone1-280-)", "gate",
                                              "the side that serves refuses writes")));
  seen = InOrder(true);
  seen.source[0].gate.state = GateState::kMixed;
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("commerce/-80 (zone1-1-80)", "gate",
                                              "takes writes on a side that does not serve")));
  seen = InOrder(false);
  seen.source[0].recorded_gate = "changing";
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("commerce/-80 (zone1-1-80)", "gate",
                                              "open, recorded as changing")));
}

TEST(DiagnosisTest, ReadsThatStayKeepTheClosedSideReadable) {
  Observation seen = InOrder(true);
  seen.records.original.rdonly_switched = false;
  EXPECT_EQ(WantedGate(seen.records, false), GateState::kReadable);
  EXPECT_EQ(WantedGate(seen.records, true), GateState::kOpen);
  seen.records.original.sub_type = workflow::kPartial;
  EXPECT_EQ(WantedGate(seen.records, false), GateState::kClosed);
  seen = InOrder(true);
  workflow::MoveReplicaReads(false, {"zone2"}, seen.records.original);
  EXPECT_EQ(WantedGate(seen.records, false), GateState::kReadable);
  EXPECT_THAT(RuleFaults(seen), Contains("corder@replica:zone2 -> commerce.corder is missing"));
}

TEST(DiagnosisTest, StreamsAreHeldAgainstTheRecords) {
  Observation seen = InOrder(true);
  seen.source[0].streams.clear();
  EXPECT_THAT(Faults(seen),
              ElementsAre(Fault("commerce/-80 (zone1-1-80)", "stream 21", "missing")));
  seen = InOrder(true);
  seen.source[0].streams[0].position.clear();
  EXPECT_THAT(Faults(seen), ElementsAre(Field(&Finding::expected, HasSubstr("the commit"))));
  seen = InOrder(true);
  seen.target[0].streams[0].frozen = false;
  EXPECT_THAT(Faults(seen), ElementsAre(Field(&Finding::expected, HasSubstr("frozen"))));
  seen = InOrder(false);
  seen.source[0].streams = {seen.target[0].streams[0]};
  seen.source[0].streams[0].id = 99;
  EXPECT_THAT(Faults(seen), ElementsAre(Field(&Finding::about, "stream 99")));
  // A first copy has no position in the beginning, and that is right.
  seen = InOrder(false);
  seen.target[0].streams[0].position.clear();
  EXPECT_THAT(Faults(seen), IsEmpty());
  seen.target[0].streams[0].state = topology::StreamState::kError;
  seen.target[0].streams[0].message = "row too wide";
  EXPECT_THAT(Faults(seen), ElementsAre(Field(&Finding::state, HasSubstr("row too wide"))));
}

TEST(DiagnosisTest, RulesAndHoldsAreHeldAgainstTheRecord) {
  Observation seen = InOrder(true);
  seen.rules.table_rules.pop_back();
  seen.rules.table_rules.push_back({"customer.corder", "commerce.corder"});
  EXPECT_THAT(Faults(seen),
              ElementsAre(Fault("rules", "epoch 9", "customer.corder -> commerce.corder should")));
  EXPECT_EQ(RuleFaults(seen).size(), 2U);
  seen = InOrder(true);
  seen.rules.holds = {
      {.cutover_id = "old",
       .tables = {"commerce.corder"},
       .lease_ms = 1,
       .shards = {"commerce/80-"}},
      {.cutover_id = "elsewhere",
       .tables = {"commerce.corder"},
       .lease_ms = 1,
       .shards = {"commerce/c0-"}},
      {.cutover_id = "others", .tables = {"commerce.product"}, .lease_ms = 1, .shards = {}}};
  EXPECT_THAT(HoldsLeftOver(seen), ElementsAre("old"));
}

TEST(DiagnosisTest, ProxiesAreHeldAgainstTheEpoch) {
  Observation seen = InOrder(false);
  seen.proxies[0].epoch = 8;
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("proxy p1", "rules", "obeys epoch 8")));
  seen.proxies[0].refused_epoch = 9;
  seen.proxies[0].refused_reason = "two rules";
  EXPECT_THAT(Faults(seen), ElementsAre(Fault("proxy p1", "rules", "refuses epoch 9: two rules")));
  seen.proxies[0].connected = false;
  seen.proxies[0].last_heard = seen.now - absl::Seconds(90);
  EXPECT_THAT(Faults(seen), ElementsAre(AllOf(Fault("proxy p1", "rules", "not heard for 1m30s"),
                                              Field(&Finding::verdict, Verdict::kUnreachable))));
}

TEST(DiagnosisTest, WhatCantBeAskedIsSaidAsSuch) {
  Observation seen = InOrder(true);
  seen.source[1].reached = absl::UnavailableError("no connection to zone1-1");
  EXPECT_THAT(Faults(seen),
              ElementsAre(AllOf(Fault("commerce/80- (zone1-180-)", "database", "no connection"),
                                Field(&Finding::verdict, Verdict::kUnreachable))));
}

TEST(DiagnosisTest, ACommandThatRunsExplainsWhatDoesNotFit) {
  Observation seen = InOrder(false);
  seen.source[0].gate.state = GateState::kClosed;
  seen.command = "switchtraffic";
  seen.command_detail = "cutover c2 is preparing";
  EXPECT_THAT(Faults(seen), ::testing::Each(Field(&Finding::verdict, Verdict::kBusy)));
  EXPECT_FALSE(Consistent(Diagnose(seen)));
  seen.databases_asked = false;
  EXPECT_THAT(Faults(seen), Contains(Fault("databases", "all", "clients wait")));
  // One that waits for a person stands still.
  seen = InOrder(false);
  seen.command = "switchtraffic";
  seen.waits_for_release = true;
  EXPECT_THAT(Faults(seen), IsEmpty());
}

TEST(DiagnosisTest, TheCommitOfAnEarlierWorkflowOfThatNameMeansNothing) {
  Observation seen = InOrder(true);
  EXPECT_EQ(LastCommit(seen)->cutover, "c1");
  EXPECT_FALSE(StoreIsBehind(seen, LastCommit(seen)));
  Observation fresh = InOrder(false);
  fresh.attempts = seen.attempts;
  for (size_t i = 0; i < 2; ++i) {
    fresh.source[i].journal = seen.source[i].journal;
  }
  EXPECT_TRUE(StoreIsBehind(fresh, LastCommit(fresh)));
  EXPECT_FALSE(Consistent(Diagnose(fresh)));
  fresh.records.original.created_at_ms = 5;
  EXPECT_EQ(LastCommit(fresh), std::nullopt);
  EXPECT_THAT(Faults(fresh), IsEmpty());
}

TEST(DiagnosisTest, ADamagedJournalIsPassedOver) {
  Observation seen = InOrder(true);
  for (const char* record : {"", "[]", "{}", R"({"direction":1,"to":[],"positions":[],"epoch":9})",
                             R"({"direction":"forward","to":[3],"positions":[],"epoch":9})"}) {
    seen.source[0].journal.push_back({.cutover_id = "x", .record = record, .written_us = 9});
  }
  EXPECT_EQ(LastCommit(seen)->cutover, "c1");
}

}  // namespace
}  // namespace sluice::traffic
