// Answers as text and as JSON.

#include "coordinator/cli/render.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "coordinator/cli/text_table.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

std::string Text(Verb verb, absl::string_view json, bool dry_run = false) {
  Command command;
  command.verb = verb;
  command.keyspace = "customer";
  command.workflow = "commerce2customer";
  command.dry_run = dry_run;
  const auto text = Render(command, json);
  EXPECT_TRUE(text.ok()) << text.status();
  return text.value_or("");
}

TEST(RenderTest, ASwitchTellsItsStates) {
  EXPECT_EQ(Text(Verb::kSwitchTraffic, R"({
      "summary": "SwitchTraffic was successful for workflow customer.commerce2customer",
      "start_state": "Reads Not Switched. Writes Not Switched",
      "current_state": "All Reads Switched. Writes Switched", "dry_run_results": []})"),
            "SwitchTraffic was successful for workflow customer.commerce2customer\n"
            "Start State: Reads Not Switched. Writes Not Switched\n"
            "Current State: All Reads Switched. Writes Switched\n");
}

TEST(RenderTest, ADryRunHasALineForEachStep) {
  EXPECT_EQ(Text(Verb::kSwitchTraffic, R"({
      "summary": "SwitchTraffic dry run results for workflow customer.w at 04 Jan 23 18:44 UTC",
      "dry_run_results": ["Lock keyspace commerce", "Switch writes"]})"),
            "SwitchTraffic dry run results for workflow customer.w at 04 Jan 23 18:44 UTC\n"
            "  Lock keyspace commerce\n"
            "  Switch writes\n");
}

TEST(RenderTest, TheDryRunOfACreateIsNoStatus) {
  EXPECT_EQ(Text(Verb::kMoveTablesCreate,
                 R"({"summary": "MoveTables create dry run", "dry_run_results": ["Copy corder"]})"),
            "MoveTables create dry run\n  Copy corder\n");
}

TEST(RenderTest, DetailsOfACancelNameTheTablets) {
  EXPECT_EQ(Text(Verb::kCancel, R"({"summary": "done", "details": [
      {"tablet": {"cell": "zone1", "uid": 200}, "deleted": true},
      {"tablet": "zone1-201", "deleted": false}, "kept corder"]})"),
            "done\n  zone1-200: deleted\n  zone1-201: not deleted\n  kept corder\n");
}

TEST(RenderTest, RoutingRulesAreATable) {
  constexpr char kRules[] = R"({"rules": [
      {"from_table": "corder@rdonly", "to_tables": ["customer.corder"]},
      {"from_table": "gone", "to_tables": []}]})";
  constexpr char kTable[] =
      "FROM TABLE     TO TABLE\n"
      "corder@rdonly  customer.corder\n"
      "gone           (disabled)\n";
  EXPECT_EQ(Text(Verb::kGetRoutingRules, kRules), kTable);
  EXPECT_EQ(Text(Verb::kApplyRoutingRules, kRules), std::string("New rules:\n") + kTable);
  EXPECT_THAT(Text(Verb::kApplyRoutingRules, kRules, true), HasSubstr("nothing was changed"));
  EXPECT_EQ(Text(Verb::kGetRoutingRules, R"({"rules": []})"), "No routing rules\n");
}

TEST(RenderTest, ShardRoutingRulesAreATable) {
  constexpr char kRules[] = R"({"rules": [
      {"from_keyspace": "ks2", "to_keyspace": "ks", "shard": "-80"}]})";
  constexpr char kTable[] =
      "FROM KEYSPACE  TO KEYSPACE  SHARD\n"
      "ks2            ks           -80\n";
  EXPECT_EQ(Text(Verb::kGetShardRoutingRules, kRules), kTable);
  EXPECT_EQ(Text(Verb::kApplyShardRoutingRules, kRules), std::string("New rules:\n") + kTable);
  EXPECT_EQ(Text(Verb::kGetShardRoutingRules, R"({"rules": []})"), "No shard routing rules\n");
}

TEST(RenderTest, TabletsAreATable) {
  EXPECT_EQ(
      Text(Verb::kGetTablets, R"({"tablets": [
      {"alias": "zone1-100", "cell": "zone1", "uid": 100, "keyspace": "commerce", "shard": "0",
       "type": "PRIMARY", "state": "SERVING", "hostname": "db100", "port": 3306,
       "agent_url": "tcp://db100:15100", "replica_lag_ms": 0, "problem": ""},
      {"alias": "zone1-101", "keyspace": "commerce", "shard": "0", "type": "REPLICA",
       "state": "NOT_SERVING", "hostname": "db101", "port": 3306, "replica_lag_ms": 15000,
       "problem": "gtid_mode is OFF"}]})"),
      "ALIAS      KEYSPACE  SHARD  TYPE     STATE        ADDRESS      LAG  PROBLEM\n"
      "zone1-100  commerce  0      PRIMARY  SERVING      db100:3306\n"
      "zone1-101  commerce  0      REPLICA  NOT_SERVING  db101:3306  15 s  gtid_mode is OFF\n");
  EXPECT_EQ(Text(Verb::kGetTablets, R"({"tablets": []})"), "No tablets\n");
}

TEST(RenderTest, WorkflowsAreASentence) {
  EXPECT_EQ(Text(Verb::kWorkflowList, R"({"workflows": []})"),
            "No workflows found in keyspace customer\n");
  EXPECT_EQ(Text(Verb::kWorkflowList, R"({"workflows": ["a", {"name": "b"}]})"),
            "The following workflow(s) found in keyspace customer: a, b\n");
}

TEST(RenderTest, KeyspacesAreListedAndShown) {
  EXPECT_EQ(Text(Verb::kKeyspaceList, R"({"keyspaces": ["commerce", {"name": "customer"}]})"),
            "commerce\ncustomer\n");
  EXPECT_EQ(Text(Verb::kKeyspaceList, R"({"keyspaces": []})"), "No keyspaces\n");
  EXPECT_EQ(Text(Verb::kKeyspaceShow, R"({"name": "commerce", "shards": [
      {"name": "-80", "primary": "zone1-100", "tablets": ["zone1-100", "zone1-101"]},
      {"name": "80-", "primary": "", "tablets": []}]})"),
            "Keyspace commerce\n"
            "SHARD  PRIMARY    TABLETS               PROBLEM\n"
            "-80    zone1-100  zone1-100, zone1-101\n"
            "80-    none\n");
}

TEST(RenderTest, ProxiesAreATable) {
  EXPECT_EQ(Text(Verb::kProxies, R"({"proxies": [{"id": "p1", "address": "127.0.0.1:3307",
      "cell": "zone1", "epoch": 12, "drained_epoch": 11, "held_statements": 3, "refused_reason": "",
      "last_heard_ms": 40}]})"),
            "PROXY  ADDRESS         CELL   EPOCH  DRAINED  HELD      HEARD  REFUSED\n"
            "p1     127.0.0.1:3307  zone1     12       11     3  40 ms ago\n");
}

TEST(RenderTest, ACutoverIsATimelineToScale) {
  EXPECT_EQ(
      Text(Verb::kCutoverShow, R"({"attempts": [{"id": 3, "workflow": "customer.commerce2customer",
      "direction": "forward", "result": "done", "started_at": "2026-01-02T03:04:05.000Z",
      "steps": [
        {"name": "hold_rules", "shard": "", "started_us": 1000000, "took_us": 10000, "detail": ""},
        {"name": "close_gate", "shard": "commerce/0", "started_us": 1010000, "took_us": 10000},
        {"name": "commit", "shard": "", "started_us": 1020000, "took_us": 1, "detail": "point"},
        {"name": "route_rules", "shard": "", "started_us": 1020000, "took_us": 20000}]}]})"),
      "Cutover 3 of customer.commerce2customer, forward: done, started 2026-01-02T03:04:05.000Z, "
      "40000 us in all\n"
      "  hold_rules                   at 0 us  10000 us  |==========                              "
      "|\n"
      "  close_gate   commerce/0  at 10000 us  10000 us  |          ==========                    "
      "|\n"
      "  commit                   at 20000 us      1 us  |                    =                   "
      "|  "
      "point\n"
      "  route_rules              at 20000 us  20000 us  |                    "
      "====================|\n");
  EXPECT_EQ(Text(Verb::kCutoverShow, R"({"attempts": []})"),
            "No cutover of customer.commerce2customer is recorded\n");
}

TEST(RenderTest, StepsStandInTheOrderOfTheirBeginningWithAProxyEach) {
  const std::string text = Text(Verb::kCutoverShow, R"({"attempts": [{"attempt": 2, "id": "x",
      "steps": [
        {"name": "close_gate", "shard": "commerce/0", "started_us": 20, "took_us": 10},
        {"name": "hold_rules", "shard": "", "proxy": "p1", "started_us": 10, "took_us": 3},
        {"name": "hold_rules", "shard": "", "started_us": 10, "took_us": 9},
        {"name": "open_gate", "shard": "customer/0", "started_us": 60, "took_us": 5},
        {"name": "close_gate", "shard": "commerce/80-", "started_us": 21, "took_us": 10}]}]})");
  EXPECT_THAT(text, HasSubstr("2. Cutover x of"));
  EXPECT_LT(text.find("proxy p1"), text.find("close_gate"));
  EXPECT_THAT(text, HasSubstr("shard 0 took no writes for 45 us"));
  EXPECT_THAT(text, testing::Not(HasSubstr("shard 80- took")));
}

TEST(RenderTest, AStepThatIsTriedAgainForTheSameReasonHasOneLine) {
  const std::string text = Text(Verb::kCutoverShow, R"({"attempts": [{"id": "x",
      "result": "committed, waiting for open_gate of customer/0",
      "steps": [
        {"name": "stop_stream", "shard": "ks2/-80", "started_us": 10, "took_us": 5,
         "detail": "attempt 1: no connection"},
        {"name": "stop_stream", "shard": "ks2/80-", "started_us": 11, "took_us": 5,
         "detail": "attempt 1: no connection"},
        {"name": "stop_stream", "shard": "ks2/-80", "started_us": 20, "took_us": 5,
         "detail": "attempt 2: not heard for 1.2s"},
        {"name": "stop_stream", "shard": "ks2/-80", "started_us": 30, "took_us": 5,
         "detail": "attempt 3: not heard for 3s"},
        {"name": "stop_stream", "shard": "ks2/-80", "started_us": 40, "took_us": 5,
         "detail": "attempt 4: not heard for 4.25s"},
        {"name": "stop_stream", "shard": "ks2/-80", "started_us": 50, "took_us": 6,
         "detail": ""}]}]})");
  EXPECT_THAT(text, HasSubstr("46 us so far\n"));
  EXPECT_THAT(text, HasSubstr("|  attempts 2 to 4, each: not heard for 4.25s\n"));
  EXPECT_THAT(text, HasSubstr("at 10 us  25 us"));
  // Another reason, another shard and the success have lines of their own.
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 5) << text;
}

TEST(RenderTest, ADryRunThatCouldNotTimeTheGatesSaysSo) {
  const auto dry_run = [](const std::string& basis) {
    return Text(Verb::kSwitchTraffic,
                R"({"summary": "s", "expected_pause_us": 7500, "measures": [{"step": "close_gate",
                    "place": "ks/-40", "expected_us": 1000, "basis": ")" +
                    basis + R"(", "problem": false, "detail": ""}]})");
  };
  EXPECT_THAT(dry_run("recorded"), HasSubstr("  Clients are expected to wait for 7.5 ms\n"));
  EXPECT_THAT(dry_run("measured"),
              HasSubstr("  Clients are expected to wait for at least 7.5 ms; what mysqld needs for "
                        "the gates is not known before the first switch in this direction\n"));
}

TEST(RenderTest, ADiagnosisNamesWhatDoesNotAgreeAndWhatItShouldBe) {
  constexpr char kFound[] = R"json({"summary": "Workflow customer.move: of 2 findings 1 disagrees",
      "traffic_state": "Reads Not Switched. Writes Not Switched", "consistent": false,
      "findings": [
        {"place": "commerce/0 (zone1-100)", "about": "gate", "state": "closed", "expected": "open",
         "verdict": "disagrees"},
        {"place": "proxy p1", "about": "rules", "state": "obeys epoch 3", "expected": "epoch 3",
         "verdict": "agrees"}]
})json";
  EXPECT_EQ(Text(Verb::kWorkflowDiagnose, kFound),
            "Workflow customer.move: of 2 findings 1 disagrees\n"
            "Current State: Reads Not Switched. Writes Not Switched\n"
            "  disagrees  commerce/0 (zone1-100)  gate   closed (expected: open)\n"
            "  agrees     proxy p1                rules  obeys epoch 3\n");
  Command command;
  command.verb = Verb::kWorkflowDiagnose;
  EXPECT_FALSE(IsGood(command, kFound));
  EXPECT_TRUE(IsGood(command, R"({"consistent": true})"));
  command.verb = Verb::kGetTablets;
  EXPECT_TRUE(IsGood(command, kFound));
}

TEST(RenderTest, ARepairSaysWhatWasDoneAndWhatRemains) {
  constexpr char kDone[] = R"({"summary": "Workflow customer.move: something remains",
      "done": false, "repairs": [{"what": "open the gate", "irreversible": false,
      "result": "done"}], "remains": ["stream 3 has failed"], "consistent": false,
      "findings": [{"place": "store", "about": "record", "state": "frozen", "expected": "",
      "verdict": "agrees"}]})";
  EXPECT_EQ(Text(Verb::kWorkflowRepair, kDone),
            "Workflow customer.move: something remains\n"
            "  done: open the gate\n"
            "  remains: stream 3 has failed\n"
            "What stands now:\n"
            "  agrees  store  record  frozen\n");
  Command command;
  command.verb = Verb::kWorkflowRepair;
  EXPECT_FALSE(IsGood(command, kDone));
  EXPECT_TRUE(IsGood(command, R"({"done": true})"));
}

TEST(RenderTest, AForcedSwitchWarnsFirst) {
  EXPECT_THAT(Text(Verb::kSwitchTraffic, R"({"warning": "forced, although", "summary": "done"})"),
              testing::StartsWith("WARNING: forced, although\ndone\n"));
}

TEST(RenderTest, ACutoverWithoutStepsOrWithoutTimeIsStillTold) {
  EXPECT_THAT(Text(Verb::kCutoverShow, R"({"attempts": [{"id": "x", "steps": []},
      {"id": "y", "steps": [{"name": "commit", "started_us": 5, "took_us": -3}]}]})"),
              testing::AllOf(HasSubstr("Cutover x"), HasSubstr("commit    at 0 us  0 us  |=")));
}

TEST(RenderTest, AShownWorkflowIsJsonInBothFormats) {
  constexpr char kShown[] = R"({"Workflow":"commerce2customer","Frozen":false})";
  constexpr char kPretty[] = "{\n  \"Workflow\": \"commerce2customer\",\n  \"Frozen\": false\n}\n";
  EXPECT_EQ(Text(Verb::kWorkflowShow, kShown), kPretty);
  Command command;
  command.verb = Verb::kWorkflowShow;
  command.format = Format::kJson;
  EXPECT_EQ(Render(command, kShown).value_or(""), kPretty);
}

TEST(RenderTest, JsonKeepsTheOrderOfTheFields) {
  Command command;
  command.verb = Verb::kGetTablets;
  command.format = Format::kJson;
  EXPECT_EQ(Render(command, R"({"z":1,"a":[]})").value_or(""), "{\n  \"z\": 1,\n  \"a\": []\n}\n");
}

TEST(RenderTest, AnAnswerThatIsNotJsonIsAnError) {
  Command command;
  command.verb = Verb::kGetTablets;
  EXPECT_EQ(Render(command, "tablets: none").status().code(), absl::StatusCode::kDataLoss);
}

TEST(RenderTest, OddDocumentsNeverEndTheProgram) {
  for (const Verb verb :
       {Verb::kMoveTablesCreate, Verb::kSwitchTraffic, Verb::kCancel, Verb::kWorkflowList,
        Verb::kGetRoutingRules, Verb::kGetTablets, Verb::kKeyspaceList, Verb::kKeyspaceShow,
        Verb::kCutoverShow, Verb::kProxies, Verb::kWorkflowShow, Verb::kWorkflowDiagnose,
        Verb::kWorkflowRepair}) {
    for (const char* json :
         {"null", "[]", "3", "\"x\"", "{}", R"({"rules": 1, "tablets": {"a": 2}, "shards": [3],
             "keyspaces": [null], "workflows": "w", "attempts": [4, {"steps": [5, {}]}],
             "proxies": [[]], "findings": [7, {}], "repairs": "r", "remains": 1, "details": [6, {}], "dry_run_results": 7, "summary": []})"}) {
      EXPECT_FALSE(Text(verb, json).empty()) << static_cast<int>(verb) << " " << json;
    }
  }
}

TEST(TextTableTest, WideCharactersCountOnce) {
  TextTable table({"A", "B"});
  table.Add({"größe", "1"});
  table.Add({"x", "2"});
  EXPECT_EQ(table.ToText(), "A      B\ngröße  1\nx      2\n");
}

TEST(TextTableTest, ControlBytesAreReplaced) {
  EXPECT_EQ(Printable("a\x1b[2J\nb\tc"), "a?[2J b c");
  EXPECT_EQ(Printable("a\nb\x7f", true), "a\nb?");
}

}  // namespace
}  // namespace sluice::cli
