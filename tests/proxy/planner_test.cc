// Tests of the planner: from names and a target, by table rules and shard rules, to one place.

#include "proxy/rules/planner.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/proxy/fake_coordinator.h"

namespace sluice::proxy {
namespace {

using routing::TabletType;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::UnorderedElementsAre;

Tablet TabletOf(const std::string& keyspace, const std::string& shard, TabletType type) {
  return {absl::StrCat(keyspace, shard, routing::TabletTypeName(type)),
          keyspace,
          shard,
          type,
          "127.0.0.1",
          3306,
          absl::StrCat("vt_", keyspace, "_", shard),
          "zone1",
          true};
}

// customer is moved to customer2 shard by shard; lookup has one shard, big has other ones.
class PlannerTest : public ::testing::Test {
 protected:
  PlannerTest() {
    spec_.keyspaces = {"big", "customer", "customer2", "lookup"};
    for (const char* keyspace : {"customer", "customer2"}) {
      for (const char* shard : {"-80", "80-"}) {
        spec_.tablets.push_back(TabletOf(keyspace, shard, TabletType::kPrimary));
        spec_.tablets.push_back(TabletOf(keyspace, shard, TabletType::kReplica));
      }
    }
    spec_.tablets.push_back(TabletOf("lookup", "0", TabletType::kPrimary));
    spec_.tablets.push_back(TabletOf("big", "-40", TabletType::kPrimary));
    spec_.tablets.push_back(TabletOf("big", "40-", TabletType::kPrimary));
    spec_.rules = routing::RulesOfMove(
        {"customer", "customer2", {"t", "u"}, false, false, /*writes_switched=*/false});
    Switch({});
  }

  // The shard rules of a partial move with these shards switched.
  void Switch(const std::vector<std::string>& switched) {
    spec_.shard_rules.clear();
    for (const char* shard : {"-80", "80-"}) {
      const bool is_switched = std::find(switched.begin(), switched.end(), shard) != switched.end();
      spec_.shard_rules.push_back(is_switched ? ShardRule{"customer", shard, "customer2"}
                                              : ShardRule{"customer2", shard, "customer"});
    }
  }

  absl::StatusOr<Plan> MakePlanOf(const std::string& target, const std::string& sql) {
    const auto snapshot = SnapshotOf(spec_, 7, cell_);
    EXPECT_TRUE(snapshot.ok()) << snapshot.status();
    const auto tokens = sql::Tokenize(sql);
    const auto statement = sql::AnalyzeStatement(*tokens);
    const auto parsed = routing::ParseTarget(target);
    EXPECT_TRUE(parsed.ok()) << parsed.status();
    return MakePlan(*statement, *parsed, **snapshot);
  }
  // "keyspace/shard", or the error.
  std::string PlaceOf(const std::string& target, const std::string& sql) {
    const auto plan = MakePlanOf(target, sql);
    return plan.ok() ? NameOf(plan->place)
                     : absl::StrCat(MysqlErrnoOf(plan.status()), ": ", plan.status().message());
  }

  RuleSetSpec spec_;
  std::string cell_;  // the proxy's
};

TEST_F(PlannerTest, BothNamesLeadToTheSideThatServesTheShard) {
  for (const char* type : {"", "@replica", "@rdonly"}) {
    for (const char* keyspace : {"customer", "customer2"}) {
      for (const char* separator : {":", "/"}) {
        const std::string low = absl::StrCat(keyspace, separator, "-80", type);
        const std::string high = absl::StrCat(keyspace, separator, "80-", type);
        for (const char* sql : {"SELECT * FROM t", "UPDATE u SET a = 1", "SELECT 1", "SHOW TABLES",
                                "SELECT * FROM customer.t JOIN customer2.u", "CALL p()",
                                "SELECT * FROM other_table", "SHOW TABLES FROM customer2"}) {
          Switch({});
          EXPECT_EQ(PlaceOf(low, sql), "customer/-80") << low << " " << sql;
          EXPECT_EQ(PlaceOf(high, sql), "customer/80-") << high << " " << sql;
          Switch({"80-"});
          EXPECT_EQ(PlaceOf(low, sql), "customer/-80") << low << " " << sql;
          EXPECT_EQ(PlaceOf(high, sql), "customer2/80-") << high << " " << sql;
          Switch({"-80", "80-"});
          EXPECT_EQ(PlaceOf(low, sql), "customer2/-80") << low << " " << sql;
          EXPECT_EQ(PlaceOf(high, sql), "customer2/80-") << high << " " << sql;
        }
      }
    }
  }
}

TEST_F(PlannerTest, ReadsGoByTheRulesOfTheProxysCell) {
  spec_.shard_rules.clear();
  routing::MoveRules move{"customer", "customer2", {"t", "u"}, false, false, false};
  move.replica_exceptions = {"zone2"};
  spec_.rules = routing::RulesOfMove(move);
  for (const char* sql : {"SELECT * FROM t", "SELECT * FROM customer.t JOIN customer2.u"}) {
    for (const char* target : {"customer:-80", "customer2:-80"}) {
      for (const char* type : {"", "@replica", "@rdonly"}) {
        EXPECT_EQ(PlaceOf(absl::StrCat(target, type), sql), "customer/-80");
        const bool moved = absl::string_view(type) == "@replica";
        cell_ = "zone2";
        EXPECT_EQ(PlaceOf(absl::StrCat(target, type), sql),
                  moved ? "customer2/-80" : "customer/-80");
        cell_ = "zone3";
        EXPECT_EQ(PlaceOf(absl::StrCat(target, type), sql), "customer/-80");
        cell_.clear();
      }
    }
  }
}

TEST_F(PlannerTest, ARuleOfACellThatMakesNoSenseIsRefused) {
  for (const char* from : {"t@replica:", "t@primary:zone1", "t@nobody:zone1"}) {
    spec_.rules = {{from, "customer.t"}};
    EXPECT_EQ(SnapshotOf(spec_, 7, "zone1").status().code(), absl::StatusCode::kInvalidArgument)
        << from;
  }
}

TEST_F(PlannerTest, TableRulesHoldForTargetedSessionsToo) {
  spec_.shard_rules.clear();
  EXPECT_EQ(PlaceOf("customer2:-80", "SELECT * FROM t"), "customer/-80");
  spec_.rules = routing::RulesOfMove(
      {"customer", "customer2", {"t", "u"}, true, true, /*writes_switched=*/true});
  EXPECT_EQ(PlaceOf("customer:-80", "SELECT * FROM t"), "customer2/-80");
  EXPECT_EQ(PlaceOf("customer:-80", "SELECT * FROM customer2.t"), "customer2/-80");
  EXPECT_EQ(PlaceOf("customer:-80@replica", "SELECT * FROM t"), "customer2/-80");
  EXPECT_EQ(PlaceOf("customer:-80", "SELECT * FROM unmoved"), "customer/-80");
}

TEST_F(PlannerTest, TheSessionsShardHoldsForOtherKeyspaces) {
  EXPECT_EQ(PlaceOf("customer:-80", "SELECT * FROM lookup.l"), "lookup/0");
  EXPECT_THAT(PlaceOf("customer:-80", "SELECT * FROM big.b"),
              AllOf(HasSubstr("1105: the session targets shard -80"), HasSubstr("keyspace big"),
                    HasSubstr("-40, 40-"), HasSubstr("USE `big:-40`")));
  EXPECT_THAT(PlaceOf("customer:-80", "SELECT * FROM t JOIN lookup.l"),
              AllOf(HasSubstr("1105: tables on two sides"),
                    HasSubstr("t is in keyspace customer, shard -80"),
                    HasSubstr("lookup.l is in keyspace lookup, shard 0")));
}

TEST_F(PlannerTest, WithoutAShardTheErrorSaysWhatExists) {
  for (const char* target : {"customer", "customer2", "customer@replica"}) {
    EXPECT_THAT(PlaceOf(target, "SELECT * FROM t"),
                AllOf(HasSubstr("1105: keyspace customer has the shards -80, 80-"),
                      HasSubstr("target one with USE `customer:-80`")));
    EXPECT_THAT(PlaceOf(target, "CALL p()"), HasSubstr("1105"));
    EXPECT_THAT(PlaceOf(target, "SELECT f()"), HasSubstr("1105"));
  }
  EXPECT_EQ(PlaceOf("lookup", "SELECT * FROM l"), "lookup/0");
  EXPECT_THAT(PlaceOf("", "SELECT * FROM t"), HasSubstr("1105: keyspace customer has the shards"));
  EXPECT_THAT(PlaceOf("customer:40-80", "SELECT * FROM t"),
              AllOf(HasSubstr("1049: keyspace customer has no shard 40-80"),
                    HasSubstr("it has: -80, 80-")));
}

TEST_F(PlannerTest, WhatReadsNoTableMayGoToAnyShard) {
  EXPECT_EQ(PlaceOf("customer", "SELECT @@version_comment LIMIT 1"), "customer/-80");
  EXPECT_EQ(PlaceOf("customer", "SHOW TABLES"), "customer/-80");
  EXPECT_EQ(PlaceOf("customer", "SELECT NOW()"), "customer/-80");
  Switch({"-80"});
  EXPECT_EQ(PlaceOf("customer", "SELECT 1"), "customer2/-80");
}

TEST_F(PlannerTest, AShardThatHasNoTabletLeftIsKnownByItsRule) {
  Switch({"-80", "80-"});
  spec_.tablets.erase(
      std::remove_if(spec_.tablets.begin(), spec_.tablets.end(),
                     [](const Tablet& tablet) { return tablet.keyspace == "customer"; }),
      spec_.tablets.end());
  EXPECT_EQ(PlaceOf("customer:80-", "SELECT * FROM t"), "customer2/80-");
}

TEST_F(PlannerTest, AStatementSaysWhatItTouches) {
  Switch({"-80"});
  const auto plan = MakePlanOf("customer2:-80", "SELECT * FROM t");
  ASSERT_TRUE(plan.ok());
  EXPECT_EQ(plan->epoch, 7U);
  EXPECT_EQ(plan->via, "customer/-80");
  EXPECT_TRUE(plan->by_rule);
  EXPECT_THAT(plan->touched.tables, UnorderedElementsAre("customer2.t", "customer.t"));
  EXPECT_THAT(plan->touched.places, UnorderedElementsAre("customer/-80", "customer2/-80"));
  const auto replica = MakePlanOf("customer2:-80@replica", "SELECT * FROM t");
  EXPECT_TRUE(replica->touched.tables.empty());
  EXPECT_TRUE(replica->touched.places.empty());
  const auto unmoved = MakePlanOf("lookup", "SELECT * FROM l");
  EXPECT_FALSE(unmoved->by_rule);
  EXPECT_EQ(unmoved->via, "");
  EXPECT_THAT(unmoved->touched.places, ElementsAre("lookup/0"));
}

TEST_F(PlannerTest, AShardRuleAloneMayMeetAClosedGate) {
  spec_.rules.clear();
  for (const char* target : {"customer:-80", "customer2:-80"}) {
    EXPECT_TRUE(MakePlanOf(target, "SELECT * FROM t")->by_rule) << target;
  }
  spec_.shard_rules.clear();
  EXPECT_FALSE(MakePlanOf("customer:-80", "SELECT * FROM t")->by_rule);
}

TEST_F(PlannerTest, BrokenShardRulesAndHoldsAreRefusedByName) {
  const auto refusal = [&] { return std::string(SnapshotOf(spec_, 1).status().message()); };
  spec_.shard_rules = {{"customer", "-80", "customer2"}, {"customer2", "-80", "customer"}};
  EXPECT_THAT(refusal(), AllOf(HasSubstr("customer/-80"), HasSubstr("lead to each other")));
  spec_.shard_rules = {{"customer", "-80", "customer2"}, {"customer", "-80", "big"}};
  EXPECT_THAT(refusal(), HasSubstr("two shard rules for customer/-80"));
  spec_.shard_rules = {{"customer", "-80", "nowhere"}};
  EXPECT_THAT(refusal(), HasSubstr("unknown keyspace 'nowhere'"));
  spec_.shard_rules = {{"customer", "", "customer2"}};
  EXPECT_THAT(refusal(), HasSubstr("is missing"));
  spec_.shard_rules.clear();
  for (const char* shard : {"-80", "/-80", "customer/"}) {
    spec_.holds = {{"c1", {"customer.t"}, {shard}, absl::Seconds(1)}};
    EXPECT_THAT(refusal(), HasSubstr("not of the form keyspace/shard")) << shard;
  }
}

TEST_F(PlannerTest, RoutesDifferExactlyWhenMoreThanHoldsAndEpochDo) {
  const uint64_t routes = (*SnapshotOf(spec_, 1))->routes();
  RuleSetSpec held = spec_;
  held.holds = {{"c1", {"customer.t"}, {"customer/-80"}, absl::Seconds(1)}};
  EXPECT_EQ((*SnapshotOf(held, 2))->routes(), routes);
  Switch({"-80"});
  EXPECT_NE((*SnapshotOf(spec_, 3))->routes(), routes);
  Switch({});
  EXPECT_EQ((*SnapshotOf(spec_, 4))->routes(), routes);
  spec_.tablets.front().serving = false;
  EXPECT_NE((*SnapshotOf(spec_, 5))->routes(), routes);
}

}  // namespace
}  // namespace sluice::proxy
