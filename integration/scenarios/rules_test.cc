// Routing rules at each moment of a move, and the spellings of the commands.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <set>

#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using RuleSet = std::set<std::pair<std::string, std::string>>;
using testing::HasSubstr;

RuleSet RulesOf(Scenario& scenario) {
  RuleSet rules;
  const nlohmann::json document = scenario.Json({"getroutingrules"});
  for (const auto& rule : document["rules"]) {
    EXPECT_EQ(rule["to_tables"].size(), 1U) << rule;
    rules.emplace(rule["from_table"], rule["to_tables"][0]);
  }
  EXPECT_EQ(rules.size(), document["rules"].size()) << "a rule stands twice";
  return rules;
}

// The listing of the user guide after create, with the identity rule of current releases.
const RuleSet& AfterCreate() {
  static const RuleSet rules = {{"customer.customer@rdonly", "commerce.customer"},
                                {"commerce.corder@rdonly", "commerce.corder"},
                                {"customer", "commerce.customer"},
                                {"customer.customer@replica", "commerce.customer"},
                                {"corder@replica", "commerce.corder"},
                                {"customer.corder", "commerce.corder"},
                                {"commerce.corder@replica", "commerce.corder"},
                                {"customer@rdonly", "commerce.customer"},
                                {"commerce.customer@replica", "commerce.customer"},
                                {"corder", "commerce.corder"},
                                {"corder@rdonly", "commerce.corder"},
                                {"customer.corder@rdonly", "commerce.corder"},
                                {"customer@replica", "commerce.customer"},
                                {"customer.customer", "commerce.customer"},
                                {"commerce.customer@rdonly", "commerce.customer"},
                                {"customer.corder@replica", "commerce.corder"},
                                {"commerce.customer", "commerce.customer"},
                                {"commerce.corder", "commerce.corder"}};
  return rules;
}

// The listing of the user guide after the switch.
const RuleSet& AfterSwitch() {
  static const RuleSet rules = {{"commerce.corder@rdonly", "customer.corder"},
                                {"corder@rdonly", "customer.corder"},
                                {"customer.corder@replica", "customer.corder"},
                                {"commerce.corder@replica", "customer.corder"},
                                {"customer.corder@rdonly", "customer.corder"},
                                {"customer@replica", "customer.customer"},
                                {"customer.customer@replica", "customer.customer"},
                                {"corder@replica", "customer.corder"},
                                {"commerce.customer@rdonly", "customer.customer"},
                                {"customer@rdonly", "customer.customer"},
                                {"customer.customer@rdonly", "customer.customer"},
                                {"commerce.customer@replica", "customer.customer"},
                                {"corder", "customer.corder"},
                                {"commerce.corder", "customer.corder"},
                                {"customer", "customer.customer"},
                                {"commerce.customer", "customer.customer"}};
  return rules;
}

const std::vector<std::vector<std::string>>& Spellings() {
  static const std::vector<std::vector<std::string>> spellings = {
      {"movetables", "create", "customer.commerce2customer", "--source", "commerce", "--tables",
       "customer,corder"},
      {"MoveTables", "--workflow", "commerce2customer", "--target-keyspace", "customer", "create",
       "--source-keyspace", "commerce", "--tables", "customer,corder"},
      {"MoveTables", "--", "--source", "commerce", "--tables", "customer,corder", "Create",
       "customer.commerce2customer"}};
  return spellings;
}

TEST(RulesTest, EachSpellingMakesTheSameMoveWithTheRulesOfTheGuide) {
  const auto scenario = Scenario::Start({});
  ASSERT_NE(scenario, nullptr);
  EXPECT_EQ(RulesOf(*scenario), RuleSet{});
  for (const auto& spelling : Spellings()) {
    SCOPED_TRACE(spelling[1]);
    scenario->Done(spelling);
    EXPECT_EQ(RulesOf(*scenario), AfterCreate());
    ASSERT_TRUE(scenario->AwaitRunning("customer.commerce2customer"));
    const nlohmann::json shown = scenario->Json({"workflow", "customer.commerce2customer", "show"});
    EXPECT_EQ(shown["SourceLocation"]["Keyspace"], "commerce");
    EXPECT_EQ(shown["TargetLocation"]["Keyspace"], "customer");
    scenario->Done({"movetables", "cancel", "customer.commerce2customer"});
    EXPECT_EQ(RulesOf(*scenario), RuleSet{});
    EXPECT_TRUE(scenario->TableNames(200).empty());
  }
}

TEST(RulesTest, FollowTheTrafficThroughSwitchReversalAndCompletion) {
  const auto scenario = Scenario::Start({.replicas = true});
  ASSERT_NE(scenario, nullptr);
  const std::string workflow = "customer.commerce2customer";
  scenario->Done(Spellings()[0]);
  ASSERT_TRUE(scenario->AwaitRunning(workflow));
  EXPECT_EQ(scenario->TrafficState(workflow), "Reads Not Switched. Writes Not Switched");

  scenario->Done({"movetables", "switchtraffic", workflow, "--tablet-types", "replica,rdonly"});
  EXPECT_EQ(scenario->TrafficState(workflow), "All Reads Switched. Writes Not Switched");
  RuleSet reads = AfterCreate();
  for (const auto& [from, to] : AfterCreate()) {
    if (from.find('@') != std::string::npos) {
      reads.erase({from, to});
      reads.emplace(from, "customer." + to.substr(to.find('.') + 1));
    }
  }
  EXPECT_EQ(RulesOf(*scenario), reads);
  EXPECT_EQ(scenario->ProxyErrno("@replica", "SELECT COUNT(*) FROM corder"), 0U);

  scenario->Done({"movetables", "switchtraffic", workflow});
  EXPECT_EQ(scenario->TrafficState(workflow), "All Reads Switched. Writes Switched");
  EXPECT_EQ(RulesOf(*scenario), AfterSwitch());
  EXPECT_EQ(scenario->ProxyErrno("commerce", "INSERT INTO corder VALUES (999001, 1, 'x', 1)"), 0U);
  EXPECT_EQ(scenario->Ask(200, "SELECT COUNT(*) FROM corder WHERE order_id = 999001")[0], "1");

  scenario->Done({"movetables", "reversetraffic", workflow});
  EXPECT_EQ(scenario->TrafficState(workflow), "Reads Not Switched. Writes Not Switched");
  EXPECT_EQ(RulesOf(*scenario), AfterCreate());
  EXPECT_EQ(scenario->Ask(100, "SELECT COUNT(*) FROM corder WHERE order_id = 999001")[0], "1");

  scenario->Done({"movetables", "switchtraffic", workflow});
  EXPECT_EQ(RulesOf(*scenario), AfterSwitch());
  scenario->Done({"movetables", "complete", workflow});
  EXPECT_EQ(RulesOf(*scenario), RuleSet{});
  EXPECT_THAT(scenario->Done({"workflow", "customer", "listall"}),
              HasSubstr("No workflows found in keyspace customer"));
  EXPECT_THAT(scenario->Done({"workflow", "commerce", "listall"}),
              HasSubstr("No workflows found in keyspace commerce"));
  EXPECT_EQ(scenario->ProxyErrno("commerce", "SELECT * FROM customer"), 1146U);
  EXPECT_EQ(scenario->ProxyErrno("", "SELECT * FROM customer"), 0U);
  EXPECT_EQ(scenario->TableNames(100), std::vector<std::string>{"product"});
}

TEST(RulesTest, WritesMaySwitchBeforeTheReadsThatStayBehind) {
  const auto scenario = Scenario::Start({.replicas = true});
  ASSERT_NE(scenario, nullptr);
  const std::string workflow = "customer.commerce2customer";
  scenario->Done(Spellings()[0]);
  ASSERT_TRUE(scenario->AwaitRunning(workflow));
  scenario->Done({"movetables", "switchtraffic", workflow, "--tablet-types", "primary"});
  EXPECT_EQ(scenario->TrafficState(workflow), "Reads Not Switched. Writes Switched");
  EXPECT_EQ(scenario->ProxyErrno("", "INSERT INTO corder VALUES (999002, 1, 'x', 1)"), 0U);
  EXPECT_EQ(scenario->ProxyErrno("@replica", "SELECT COUNT(*) FROM corder"), 0U);
  EXPECT_EQ(scenario->OwnerOfOrders(), 200U);
  scenario->Refused({"movetables", "complete", workflow}, "not yet switched all");
  scenario->Done({"movetables", "switchtraffic", workflow, "--tablet-types", "replica,rdonly"});
  EXPECT_EQ(scenario->TrafficState(workflow), "All Reads Switched. Writes Switched");
  scenario->Done({"movetables", "complete", workflow});
}

TEST(RulesTest, AreAppliedFromBothSpellingsAndFromAFile) {
  const auto scenario = Scenario::Start({.orders = 10});
  ASSERT_NE(scenario, nullptr);
  const std::string camel = R"({"rules":[{"fromTable":"orders","toTables":["commerce.corder"]}]})";
  scenario->Done({"applyroutingrules", "--rules", camel, "--dry-run"});
  EXPECT_EQ(RulesOf(*scenario), RuleSet{});
  scenario->Done({"ApplyRoutingRules", "--rules", camel});
  EXPECT_EQ(RulesOf(*scenario), (RuleSet{{"orders", "commerce.corder"}}));
  const std::string path = testing::TempDir() + "/rules.json";
  std::ofstream(path)
      << R"({"rules":[{"from_table":"clients@replica","to_tables":["commerce.customer"]}]})";
  scenario->Done({"apply_routing_rules", "--rules-file", path});
  std::remove(path.c_str());
  EXPECT_EQ(RulesOf(*scenario), (RuleSet{{"clients@replica", "commerce.customer"}}));
  scenario->Done({"applyroutingrules", "--rules", R"({"rules":[]})"});
  EXPECT_EQ(RulesOf(*scenario), RuleSet{});
}

}  // namespace
}  // namespace sluice::scenario
