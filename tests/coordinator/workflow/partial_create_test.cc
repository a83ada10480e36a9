// MoveTables create of some shards: what it does, and what it refuses by name.

#include "coordinator/workflow/create_checks.h"
#include "coordinator/workflow/move_rules.h"
#include "coordinator/workflow/move_tables.h"
#include "coordinator/workflow/views.h"
#include "nlohmann/json.hpp"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::Bench;
using ::sluice::testing::FakeAgent;
using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;
using Code = absl::StatusCode;

class PartialCreateTest : public ::testing::Test {
 protected:
  PartialCreateTest()
      : move_tables_(bench_.services(), {.retry_every = absl::Milliseconds(50),
                                         .first_report_within = absl::ZeroDuration()}) {
    EXPECT_THAT(bench_.topology->CreateKeyspace("ks", {"-80", "80-"}), IsOk());
    EXPECT_THAT(bench_.topology->CreateKeyspace("ks2", {"-80", "80-"}), IsOk());
    EXPECT_THAT(bench_.topology->CreateKeyspace("ks3", {"-80", "80-"}), IsOk());
    uint32_t uid = 100;
    for (const char* keyspace : {"ks", "ks2", "ks3"}) {
      for (const char* shard : {"-80", "80-"}) {
        FakeAgent& agent = bench_.AddAgent({.uid = uid++, .keyspace = keyspace, .shard = shard});
        if (std::string(keyspace) == "ks") {
          agent.AddTable("customer");
          agent.AddTable("corder");
        }
      }
    }
    args_.keyspace = "ks2";
    args_.name = "high";
    args_.source_keyspace = "ks";
    args_.source_shards = {"80-"};
    args_.all_tables = true;
  }

  FakeAgent& Agent(uint32_t uid) { return *bench_.agents.at(uid - 100); }
  absl::StatusOr<std::string> Create() {
    return move_tables_.Create(args_, absl::Now() + absl::Seconds(20));
  }
  std::vector<WorkflowRecord> Records() { return store::ListWorkflows(*bench_.store).value(); }
  std::vector<std::string> ShardRules() {
    std::vector<std::string> lines;
    for (const routing::ShardRule& rule : bench_.rules->ShardRules()) {
      lines.push_back(routing::ShardRuleText(rule));
    }
    return lines;
  }
  // As a switch leaves it.
  void SwitchRecord(const std::string& name) {
    WorkflowRecord record = store::GetWorkflow(*bench_.store, "ks2", name).value();
    record.phase = WorkflowPhase::kFrozen;
    record.replica_switched = record.rdonly_switched = record.writes_switched = true;
    EXPECT_THAT(bench_.rules->Change([&](store::StoreTransaction& t, store::RuleState& rules) {
      RouteMove(record, rules);
      return t.PutWorkflow(record);
    }),
                IsOk());
  }
  // A refusal leaves no record, rule, stream or table behind.
  void ExpectRefused(Code code, const std::string& message) {
    const store::RuleState rules = bench_.rules->Rules();
    const std::vector<WorkflowRecord> records = Records();
    size_t calls = 0;
    for (const auto& agent : bench_.agents) {
      calls += agent->Calls().size();
    }
    EXPECT_THAT(Create(), StatusIs(code, message));
    EXPECT_EQ(bench_.rules->Rules(), rules);
    EXPECT_EQ(Records(), records);
    for (const auto& agent : bench_.agents) {
      calls -= agent->Calls().size();
    }
    EXPECT_EQ(calls, 0U);
  }

  Bench bench_;
  MoveTables move_tables_;
  CreateArgs args_;
};

TEST_F(PartialCreateTest, OnlyTheNamedShardsArePreparedAndEveryShardHasARule) {
  const auto status = Create();
  ASSERT_THAT(status, IsOk());
  EXPECT_EQ(nlohmann::json::parse(*status)["traffic_state"],
            "Reads Not Switched. Writes Not Switched");
  EXPECT_THAT(Agent(103).Calls(),
              ElementsAre("prepare ks2.high corder,customer",
                          "create stream 1 of ks2.high from ks/80-", "start stream 1"));
  EXPECT_THAT(Agent(102).Calls(), IsEmpty());
  const WorkflowRecord record = Records().at(0);
  EXPECT_EQ(record.sub_type, "Partial");
  EXPECT_THAT(record.source_shards, ElementsAre("80-"));
  EXPECT_THAT(record.target_shards, ElementsAre("80-"));
  EXPECT_EQ(bench_.rules->Rules().table_rules.size(), 18);
  EXPECT_THAT(ShardRules(), UnorderedElementsAre("ks2/-80 -> ks/-80", "ks2/80- -> ks/80-"));
  const auto shown = nlohmann::json::parse(
      ShowWorkflow({*bench_.store, *bench_.topology, *bench_.rules}, {"ks2", "high", {"80-"}})
          .value());
  const auto& shard = shown["ShardStatuses"].begin().value();
  EXPECT_EQ(shard["PrimaryReplicationStatuses"][0]["WorkflowSubType"], "Partial");
}

TEST_F(PartialCreateTest, AllShardsByNameAreAPartialWorkflowToo) {
  args_.source_shards = {"80-", "-80"};
  ASSERT_THAT(Create(), IsOk());
  EXPECT_TRUE(IsPartial(Records().at(0)));
  EXPECT_THAT(Records().at(0).source_shards, ElementsAre("-80", "80-"));
  EXPECT_EQ(Records().at(0).streams.size(), 2U);
}

TEST_F(PartialCreateTest, AListThatIsEverythingIsAsGoodAsAllTables) {
  args_.all_tables = false;
  args_.tables = {"customer", "corder"};
  ASSERT_THAT(Create(), IsOk());
  EXPECT_THAT(Records().at(0).tables, ElementsAre("corder", "customer"));
}

TEST_F(PartialCreateTest, TablesThatWouldBeLeftBehindAreNamed) {
  args_.exclude_tables = {"corder"};
  ExpectRefused(Code::kFailedPrecondition,
                "table(s) corder of shard ks/80- would be left behind: a shard is routed as a "
                "whole, so all of its tables must move; say --all-tables");
  args_.exclude_tables.clear();
  args_.all_tables = false;
  args_.tables = {"corder"};
  ExpectRefused(Code::kFailedPrecondition, "table(s) customer of shard ks/80-");
  // Shards that differ: the other one has a table more, or lacks one.
  args_.all_tables = true;
  args_.tables.clear();
  args_.source_shards = {"-80", "80-"};
  Agent(101).AddTable("only_here");
  ExpectRefused(Code::kFailedPrecondition, "table(s) only_here of shard ks/80-");
  Agent(100).AddTable("only_here");
  Agent(100).AddTable("only_there");
  ExpectRefused(Code::kNotFound, "table(s) not found in source keyspace ks: only_there");
}

TEST_F(PartialCreateTest, ShardsThatDoNotFitAreNamed) {
  args_.source_shards = {"40-80"};
  ExpectRefused(Code::kNotFound,
                "keyspace ks has no shard 40-80 (--source-shards); it has -80, 80-");
  args_.source_shards = {"-80", "-80"};
  ExpectRefused(Code::kInvalidArgument, "shard -80 is twice in --source-shards");
  ASSERT_THAT(bench_.topology->CreateKeyspace("finer", {"-40", "40-80", "80-"}), IsOk());
  args_.keyspace = "finer";
  args_.source_shards = {"80-"};
  ExpectRefused(Code::kFailedPrecondition,
                "the shards of keyspace ks (-80, 80-) and keyspace finer (-40, 40-80, 80-) differ");
}

TEST_F(PartialCreateTest, OneWorkflowForEachGroupOfShards) {
  ASSERT_THAT(Create(), IsOk());
  SwitchRecord("high");
  args_.name = "low";
  args_.source_shards = {"-80", "80-"};
  ExpectRefused(Code::kFailedPrecondition, "shard 80- is moved by workflow ks2.high already");
  args_.source_shards = {"-80"};
  ASSERT_THAT(Create(), IsOk());
  EXPECT_THAT(ShardRules(), UnorderedElementsAre("ks2/-80 -> ks/-80", "ks/80- -> ks2/80-"));
  EXPECT_EQ(bench_.rules->Rules().table_rules.size(), 18);
  EXPECT_EQ(bench_.rules->TrafficState(store::GetWorkflow(*bench_.store, "ks2", "high").value()),
            "Reads partially switched, for shards: 80-. Writes partially switched, for shards: "
            "80-");
}

TEST_F(PartialCreateTest, AShardThatHasMovedIsNotMovedAgain) {
  EXPECT_THAT(bench_.rules->ApplyShardRoutingRules(
                  R"({"rules":[{"from_keyspace":"ks","to_keyspace":"ks2","shard":"80-"}]})", false),
              IsOk());
  ExpectRefused(Code::kFailedPrecondition, "shard 80- is served by keyspace ks2 already");
  args_.source_shards = {"-80"};
  EXPECT_THAT(Create(), IsOk());
}

TEST_F(PartialCreateTest, RulesThatLeadElsewhereAreNamed) {
  EXPECT_THAT(bench_.rules->ApplyShardRoutingRules(
                  R"({"rules":[{"from_keyspace":"ks3","to_keyspace":"ks","shard":"-80"}]})", false),
              IsOk());
  ExpectRefused(Code::kFailedPrecondition,
                "shard routing rule ks3/-80 -> ks/-80 sends a shard of keyspaces ks and ks2 "
                "elsewhere; remove it with applyshardroutingrules first");
  args_.source_shards.clear();
  ExpectRefused(Code::kFailedPrecondition, "stands in the way of a move of tables");
  EXPECT_THAT(bench_.rules->ApplyShardRoutingRules(R"({"rules":[]})", false), IsOk());
  EXPECT_THAT(
      bench_.rules->ApplyRoutingRules(
          R"({"rules":[{"from_table":"ks2.customer","to_tables":["ks2.customer"]}]})", false),
      IsOk());
  args_.source_shards = {"80-"};
  ExpectRefused(Code::kFailedPrecondition, "routing rule ks2.customer -> ks2.customer");
}

TEST_F(PartialCreateTest, NoOtherKindOfWorkflowStandsBesideIt) {
  ASSERT_THAT(Create(), IsOk());
  CreateArgs partial = args_;
  args_.name = "tables";
  args_.source_shards.clear();
  args_.keyspace = "ks3";
  ExpectRefused(Code::kFailedPrecondition,
                "workflow ks2.high moves shards between keyspaces ks and ks2");
  args_.source_shards = {"-80"};
  ExpectRefused(Code::kFailedPrecondition,
                "workflow ks2.high moves shards from keyspace ks to ks2; until that is over");
  args_ = partial;
  args_.name = "back";
  args_.keyspace = "ks";
  args_.source_keyspace = "ks2";
  args_.source_shards = {"-80"};
  ExpectRefused(Code::kFailedPrecondition, "workflow ks2.high moves shards from keyspace ks");
}

TEST_F(PartialCreateTest, ItIsNotCreatedBesideAMoveOfTables) {
  args_.source_shards.clear();
  args_.keyspace = "ks3";
  args_.name = "tables";
  args_.all_tables = false;
  args_.tables = {"corder"};
  ASSERT_THAT(Create(), IsOk());
  args_.keyspace = "ks2";
  args_.name = "high";
  args_.tables.clear();
  args_.all_tables = true;
  args_.source_shards = {"80-"};
  ExpectRefused(Code::kFailedPrecondition,
                "workflow ks3.tables moves tables between keyspaces ks and ks3; what is moved "
                "shard by shard is routed with all of its keyspace");
}

TEST_F(PartialCreateTest, TablesOfTheTargetThatNobodyWouldReachAreNamed) {
  bench_.topology->NoteTables("zone1-102", {"theirs"});
  ExpectRefused(Code::kFailedPrecondition,
                "table(s) of the target keyspace would be out of reach: ks2/-80 theirs;");
}

TEST_F(PartialCreateTest, ADryRunTellsOfTheShardRules) {
  args_.dry_run = true;
  const auto json = nlohmann::json::parse(Create().value());
  EXPECT_THAT(json["dry_run_results"].dump(), ::testing::HasSubstr("Create shard routing rules"));
  EXPECT_THAT(ShardRules(), IsEmpty());
}

TEST_F(PartialCreateTest, AFailureInTheMiddleLeavesNoRule) {
  Agent(103).Fail(schemas::Method::CREATE_STREAM, absl::InternalError("disk full"));
  EXPECT_THAT(Create(), StatusIs(Code::kInternal, "disk full"));
  EXPECT_THAT(Records(), IsEmpty());
  EXPECT_THAT(ShardRules(), IsEmpty());
  EXPECT_THAT(Agent(103).TableNames(), IsEmpty());
}

WorkflowRecord Record(const std::string& name, std::vector<std::string> shards) {
  WorkflowRecord record;
  record.keyspace = record.target_keyspace = "ks2";
  record.source_keyspace = "ks";
  record.name = name;
  record.sub_type = kPartial;
  record.tables = {"customer"};
  record.source_shards = shards;
  record.target_shards = std::move(shards);
  return record;
}

TEST(MoveRulesTest, TheRulesGoWithTheLastWorkflowWhenOneSideServesEveryShard) {
  const WorkflowRecord record = Record("high", {"80-"});
  const std::vector<std::string> shards = {"-80", "80-"};
  const routing::ShardMove move = ShardMoveOf(record);
  store::RuleState rules;
  RouteMove(record, rules);
  rules.shard_rules = routing::WithDefaults(std::move(rules.shard_rules), move, shards);
  EXPECT_TRUE(ShardMoveIsOver(record, {}, shards, rules.shard_rules));
  EXPECT_FALSE(ShardMoveIsOver(record, {Record("low", {"-80"})}, shards, rules.shard_rules));
  WorkflowRecord switched = record;
  switched.replica_switched = switched.rdonly_switched = switched.writes_switched = true;
  RouteMove(switched, rules);
  EXPECT_FALSE(ShardMoveIsOver(record, {}, shards, rules.shard_rules));
  EXPECT_THAT(ShardsElsewhere(switched, shards, rules.shard_rules), ElementsAre("-80"));
  rules.shard_rules = routing::WithShardsAt(std::move(rules.shard_rules), move, {"-80"}, true);
  EXPECT_TRUE(ShardMoveIsOver(record, {}, shards, rules.shard_rules));
  EXPECT_THAT(ShardsElsewhere(switched, shards, rules.shard_rules), IsEmpty());
}

TEST(MoveRulesTest, TheEndTakesTheTablesOfEarlierWorkflowsAlongAndNothingElse) {
  const WorkflowRecord record = Record("high", {"80-"});
  WorkflowRecord earlier = Record("low", {"-80"});
  earlier.tables = {"customer", "gone"};
  store::RuleState rules;
  rules.table_rules = {{"orders", "ks.customer"}, {"gone2", "ks.gone2"}};
  rules.shard_rules = {{"a", "-80", "b"}};
  rules.homes = {{"customer", "ks"}, {"x", "y"}};
  const store::RuleState before = rules;
  RouteMove(earlier, rules);
  RouteMove(record, rules);
  EndShardMove(record, "ks2", rules);
  EXPECT_EQ(rules.table_rules, before.table_rules);
  EXPECT_EQ(rules.shard_rules, before.shard_rules);
  EXPECT_THAT(rules.homes,
              UnorderedElementsAre(store::TableHome{"x", "y"}, store::TableHome{"customer", "ks2"},
                                   store::TableHome{"gone", "ks2"}));
}

TEST(MoveRulesTest, AReverseRecordMeansTheSameRules) {
  WorkflowRecord forward = Record("high", {"80-"});
  forward.replica_switched = forward.rdonly_switched = forward.writes_switched = true;
  WorkflowRecord reverse = Record("high_reverse", {"80-"});
  reverse.keyspace = reverse.target_keyspace = "ks";
  reverse.source_keyspace = "ks2";
  reverse.reverse_of = "ks2.high";
  store::RuleState by_forward;
  store::RuleState by_reverse;
  RouteMove(forward, by_forward);
  RouteMove(reverse, by_reverse);
  EXPECT_EQ(by_forward, by_reverse);
  EXPECT_THAT(by_forward.shard_rules, ElementsAre(routing::ShardRule{"ks", "80-", "ks2"}));
}

}  // namespace
}  // namespace sluice::workflow
