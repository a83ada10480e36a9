// Tests of the routing rules: JSON, resolution, and the rules of a move.

#include "common/routing/rules.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::routing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

std::vector<std::string> Lines(const std::vector<TableRule>& rules) {
  std::vector<std::string> lines;
  lines.reserve(rules.size());
  for (const TableRule& rule : rules) {
    lines.push_back(rule.from_table + " -> " + rule.to_table);
  }
  return lines;
}

TEST(RulesJsonTest, ReadsBothSpellings) {
  absl::StatusOr<std::vector<TableRule>> rules = ParseRulesJson(
      R"({"rules":[{"from_table":"customer@REPLICA","to_tables":["commerce.customer"]},
                   {"fromTable":"customer.customer","toTables":["commerce.customer"]}]})");
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(Lines(*rules), ElementsAre("customer@replica -> commerce.customer",
                                         "customer.customer -> commerce.customer"));
}

TEST(RulesJsonTest, AnEmptyListDisablesTheTable) {
  absl::StatusOr<std::vector<TableRule>> rules =
      ParseRulesJson(R"({"rules":[{"from_table":"a","to_tables":[]},{"from_table":"b"}]})");
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(Lines(*rules), ElementsAre("a -> ", "b -> "));
}

TEST(RulesJsonTest, WritesSnakeCaseSorted) {
  EXPECT_EQ(RulesToJson({{"b", "k.b"}, {"a@replica", ""}}),
            R"({
  "rules": [
    {
      "from_table": "a@replica",
      "to_tables": []
    },
    {
      "from_table": "b",
      "to_tables": [
        "k.b"
      ]
    }
  ]
})");
  EXPECT_EQ(RulesToJson({}), "{\n  \"rules\": []\n}");
}

TEST(RulesJsonTest, WhatIsWrittenIsRead) {
  const std::vector<TableRule> rules = {
      {"a", "k.a"}, {"k.a@rdonly", "l.a"}, {"k.a@rdonly:zone-1", "k.a"}, {"z", ""}};
  absl::StatusOr<std::vector<TableRule>> again = ParseRulesJson(RulesToJson(rules));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, rules);
}

struct BadRules {
  std::string name;
  std::string json;
  std::string message;
};

class BadRulesTest : public testing::TestWithParam<BadRules> {};

TEST_P(BadRulesTest, AreRefusedByName) {
  absl::StatusOr<std::vector<TableRule>> rules = ParseRulesJson(GetParam().json);
  ASSERT_FALSE(rules.ok());
  EXPECT_EQ(rules.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(rules.status().message()), HasSubstr(GetParam().message));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadRulesTest,
    testing::Values(
        BadRules{"NotJson", "{", "not valid JSON"}, BadRules{"AList", "[]", "expected an object"},
        BadRules{"UnknownTopField", R"({"rule":[]})", "'rule'"},
        BadRules{"RulesNoList", R"({"rules":{}})", "not a list"},
        BadRules{"RuleNoObject", R"({"rules":["a"]})", "rule 1: not an object"},
        BadRules{"NoFrom", R"({"rules":[{"to_tables":["a.b"]}]})", "no from_table"},
        BadRules{"EmptyFrom", R"({"rules":[{"from_table":""}]})", "no from_table"},
        BadRules{"FromNumber", R"({"rules":[{"from_table":7}]})", "no from_table"},
        BadRules{"Twice", R"({"rules":[{"from_table":"a"},{"from_table":"a"}]})", "'a'"},
        BadRules{"TwiceByType",
                 R"({"rules":[{"from_table":"a@replica"},{"from_table":"a@REPLICA"}]})",
                 "already in rule 1"},
        BadRules{"TwoTargets", R"({"rules":[{"from_table":"a","to_tables":["k.a","l.a"]}]})",
                 "more than one"},
        BadRules{"ToNoList", R"({"rules":[{"from_table":"a","to_tables":"k.a"}]})", "not a list"},
        BadRules{"ToNoKeyspace", R"({"rules":[{"from_table":"a","to_tables":["b"]}]})", "'b'"},
        BadRules{"ToWithType", R"({"rules":[{"from_table":"a","to_tables":["k.b@replica"]}]})",
                 "'k.b@replica'"},
        BadRules{"ToNumber", R"({"rules":[{"from_table":"a","to_tables":[1]}]})", "string"},
        BadRules{"UnknownType", R"({"rules":[{"from_table":"a@slave"}]})", "'slave'"},
        BadRules{"NoCell", R"({"rules":[{"from_table":"a@replica:"}]})", "no cell is named"},
        BadRules{"ACellOfWrites", R"({"rules":[{"from_table":"a@primary:z"}]})", "writes go to"},
        BadRules{"TwiceInACell",
                 R"({"rules":[{"from_table":"a@replica:z"},{"from_table":"a@REPLICA:z"}]})",
                 "already in rule 1"},
        BadRules{"ThreeParts", R"({"rules":[{"from_table":"a.b.c"}]})", "'a.b.c'"},
        BadRules{"EmptyPart", R"({"rules":[{"from_table":"a."}]})", "'a.'"},
        BadRules{"UnknownField", R"({"rules":[{"from_table":"a","comment":"x"}]})", "'comment'"},
        BadRules{"BothSpellings", R"({"rules":[{"from_table":"a","fromTable":"a"}]})",
                 "both spellings"}),
    [](const auto& tested) { return tested.param.name; });

TEST(RuleTableTest, TriesTheTypeFirst) {
  const RuleTable table({{"t", "a.t"}, {"t@replica", "b.t"}, {"k.t@rdonly", "c.t2"}});
  EXPECT_EQ(*table.Resolve("", "t", TabletType::kPrimary), (TableId{"a", "t"}));
  EXPECT_EQ(*table.Resolve("", "t", TabletType::kReplica), (TableId{"b", "t"}));
  EXPECT_EQ(*table.Resolve("", "t", TabletType::kRdonly), (TableId{"a", "t"}));
  EXPECT_EQ(*table.Resolve("k", "t", TabletType::kRdonly), (TableId{"c", "t2"}));
  EXPECT_EQ(*table.Resolve("k", "t", TabletType::kPrimary), std::nullopt);
}

TEST(RuleTableTest, ADisabledTableIsAnErrorThatNamesIt) {
  const RuleTable table(std::vector<TableRule>{{"k.t", ""}});
  absl::StatusOr<std::optional<TableId>> result = table.Resolve("k", "t", TabletType::kPrimary);
  EXPECT_EQ(result.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(result.status().message()), HasSubstr("k.t"));
}

TEST(RuleTableTest, AnUnknownNameStandsForItself) {
  const RuleTable table(std::vector<TableRule>{});
  EXPECT_EQ(*table.Resolve("k", "t", TabletType::kPrimary), std::nullopt);
}

TEST(RulesOfMoveTest, AfterCreateEverythingPointsToTheSource) {
  EXPECT_THAT(
      Lines(RulesOfMove({"commerce", "customer", {"corder"}})),
      UnorderedElementsAre(
          "corder -> commerce.corder", "corder@replica -> commerce.corder",
          "corder@rdonly -> commerce.corder", "customer.corder -> commerce.corder",
          "customer.corder@replica -> commerce.corder", "customer.corder@rdonly -> commerce.corder",
          "commerce.corder -> commerce.corder", "commerce.corder@replica -> commerce.corder",
          "commerce.corder@rdonly -> commerce.corder"));
}

TEST(RulesOfMoveTest, AfterTheSwitchEverythingPointsToTheTarget) {
  EXPECT_THAT(
      Lines(RulesOfMove({"commerce", "customer", {"corder"}, true, true, true})),
      UnorderedElementsAre("corder -> customer.corder", "corder@replica -> customer.corder",
                           "corder@rdonly -> customer.corder", "commerce.corder -> customer.corder",
                           "commerce.corder@replica -> customer.corder",
                           "commerce.corder@rdonly -> customer.corder",
                           "customer.corder@replica -> customer.corder",
                           "customer.corder@rdonly -> customer.corder"));
}

TEST(RulesOfMoveTest, ReadsOfOneTypeMoveAlone) {
  const RuleTable table(RulesOfMove({"commerce", "customer", {"corder"}, true, false, false}));
  const TableId source{"commerce", "corder"};
  const TableId target{"customer", "corder"};
  for (const char* keyspace : {"", "commerce", "customer"}) {
    EXPECT_EQ(*table.Resolve(keyspace, "corder", TabletType::kReplica), target);
    EXPECT_EQ(*table.Resolve(keyspace, "corder", TabletType::kRdonly), source);
    EXPECT_EQ(*table.Resolve(keyspace, "corder", TabletType::kPrimary), source);
  }
}

TEST(RulesOfMoveTest, TheReadsOfACellGoToTheOtherSideByARuleOfItsOwn) {
  MoveRules move{"commerce", "customer", {"corder"}, false, true, false};
  move.replica_exceptions = {"zone2"};
  move.rdonly_exceptions = {"zone1", "zone3"};
  const std::vector<TableRule> rules = RulesOfMove(move);
  const TableId source{"commerce", "corder"};
  const TableId target{"customer", "corder"};
  struct Reader {
    const char* cell;
    TableId replica;
    TableId rdonly;
  };
  // A proxy without a cell, or of one that nobody has named, goes by the rules of all.
  for (const Reader& reader : {Reader{"zone1", source, source}, Reader{"zone2", target, target},
                               Reader{"zone3", source, source}, Reader{"zone4", source, target},
                               Reader{"", source, target}, Reader{"zone", source, target}}) {
    const RuleTable table(rules, reader.cell);
    for (const char* keyspace : {"", "commerce", "customer"}) {
      EXPECT_EQ(*table.Resolve(keyspace, "corder", TabletType::kReplica), reader.replica)
          << reader.cell;
      EXPECT_EQ(*table.Resolve(keyspace, "corder", TabletType::kRdonly), reader.rdonly)
          << reader.cell;
      EXPECT_EQ(*table.Resolve(keyspace, "corder", TabletType::kPrimary), source) << reader.cell;
    }
  }
  EXPECT_THAT(WithoutMove(rules, move), testing::IsEmpty());
}

TEST(RuleTableTest, TheOrderOfTheRulesDoesNotMatter) {
  std::vector<TableRule> rules = {{"t@replica:zone1", "b.t"}, {"t@replica", "a.t"}, {"t", "a.t"}};
  for (int turn = 0; turn < 3; ++turn) {
    std::rotate(rules.begin(), rules.begin() + 1, rules.end());
    EXPECT_EQ(*RuleTable(rules, "zone1").Resolve("", "t", TabletType::kReplica),
              (TableId{"b", "t"}));
    EXPECT_EQ(*RuleTable(rules, "zone2").Resolve("", "t", TabletType::kReplica),
              (TableId{"a", "t"}));
    EXPECT_EQ(*RuleTable(rules, "zone1").Resolve("", "t", TabletType::kRdonly),
              (TableId{"a", "t"}));
  }
}

TEST(WithoutMoveTest, LeavesTheRulesOfOthers) {
  const MoveRules move{"commerce", "customer", {"corder"}, true, true, true};
  std::vector<TableRule> rules = RulesOfMove(move);
  rules.push_back({"product", "commerce.product"});
  rules.push_back({"other.corder", "commerce.corder"});
  rules.push_back({"customer.corder", "commerce.corder"});
  EXPECT_THAT(
      Lines(WithoutMove(std::move(rules), move)),
      UnorderedElementsAre("product -> commerce.product", "other.corder -> commerce.corder"));
}

}  // namespace
}  // namespace sluice::routing
