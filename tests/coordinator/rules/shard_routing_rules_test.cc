// The shard routing rules as operators read and write them.

#include <capnp/message.h>

#include "coordinator/rules/rule_service.h"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::rules {
namespace {

using ::sluice::testing::Bench;
using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Code = absl::StatusCode;

class ShardRoutingRulesTest : public ::testing::Test {
 protected:
  ShardRoutingRulesTest() {
    EXPECT_THAT(bench_.topology->CreateKeyspace("ks", {"-80", "80-"}), IsOk());
    EXPECT_THAT(bench_.topology->CreateKeyspace("ks2", {"-80", "80-"}), IsOk());
    EXPECT_THAT(bench_.topology->CreateKeyspace("whole", {}), IsOk());
  }
  absl::StatusOr<std::string> Apply(const std::string& rules, bool dry_run = false) {
    return bench_.rules->ApplyShardRoutingRules("{\"rules\":[" + rules + "]}", dry_run);
  }
  void Put(const workflow::WorkflowRecord& record) {
    EXPECT_THAT(bench_.store->Transaction(
                    [&](store::StoreTransaction& t) { return t.PutWorkflow(record); }),
                IsOk());
  }

  Bench bench_;
};

constexpr char kForward[] = R"({"from_keyspace":"ks","to_keyspace":"ks2","shard":"-80"})";
constexpr char kBack[] = R"({"fromKeyspace":"ks2","toKeyspace":"ks","shard":"80-"})";

workflow::WorkflowRecord Partial(std::vector<std::string> shards) {
  workflow::WorkflowRecord record;
  record.keyspace = record.target_keyspace = "ks2";
  record.name = "move";
  record.sub_type = workflow::kPartial;
  record.source_keyspace = "ks";
  record.tables = {"t"};
  record.source_shards = shards;
  record.target_shards = std::move(shards);
  return record;
}

TEST_F(ShardRoutingRulesTest, WhatIsAppliedIsStoredAndRead) {
  const std::string written = Apply(std::string(kForward) + "," + kBack).value();
  EXPECT_THAT(written, HasSubstr("\"from_keyspace\": \"ks2\""));
  EXPECT_EQ(bench_.rules->GetShardRoutingRulesJson(), written);
  EXPECT_EQ(bench_.rules->ShardRules().size(), 2);
  // The epoch would not tell: news of tablets raise it in the background.
  EXPECT_THAT(Apply("", true), IsOk());
  EXPECT_EQ(bench_.rules->GetShardRoutingRulesJson(), written);
  bench_.Restart();
  EXPECT_EQ(bench_.rules->GetShardRoutingRulesJson(), written);
  EXPECT_THAT(Apply(""), IsOk());
  EXPECT_THAT(bench_.rules->ShardRules(), IsEmpty());
}

TEST_F(ShardRoutingRulesTest, WrongRulesAreRefusedByName) {
  EXPECT_THAT(Apply("3"), StatusIs(Code::kInvalidArgument, "shard routing rule 1"));
  EXPECT_THAT(Apply(R"({"from_keyspace":"ks","to_keyspace":"none","shard":"-80"})"),
              StatusIs(Code::kNotFound,
                       "shard routing rule ks/-80 -> none/-80: keyspace none does not exist"));
  EXPECT_THAT(Apply(R"({"from_keyspace":"ks","to_keyspace":"ks2","shard":"40-80"})"),
              StatusIs(Code::kNotFound, "keyspace ks has no shard 40-80; it has -80, 80-"));
  EXPECT_THAT(Apply(R"({"from_keyspace":"ks","to_keyspace":"whole","shard":"-80"})", true),
              StatusIs(Code::kNotFound, "keyspace whole has no shard -80; it has 0"));
  EXPECT_THAT(bench_.rules->ShardRules(), IsEmpty());
}

TEST_F(ShardRoutingRulesTest, TheRulesOfShardsThatMoveStandAsLongAsTheWorkflowLives) {
  EXPECT_THAT(Apply(R"({"from_keyspace":"ks2","to_keyspace":"ks","shard":"-80"})"), IsOk());
  Put(Partial({"-80"}));
  for (const bool dry_run : {true, false}) {
    EXPECT_THAT(Apply("", dry_run), StatusIs(Code::kFailedPrecondition, "ks2.move moves (-80)"));
    EXPECT_THAT(Apply(kForward, dry_run), StatusIs(Code::kFailedPrecondition, "ks2.move"));
  }
  EXPECT_THAT(
      Apply(std::string(R"({"from_keyspace":"ks2","to_keyspace":"ks","shard":"-80"},)") + kBack),
      IsOk());
  EXPECT_EQ(bench_.rules->ShardRules().size(), 2);
}

TEST_F(ShardRoutingRulesTest, ProxiesGetThem) {
  EXPECT_THAT(Apply(kForward), IsOk());
  RuleSnapshot snapshot;
  snapshot.rules = bench_.rules->Rules();
  snapshot.rules.holds = {{"cut", {"ks.t"}, 100, {"ks/-80", "ks2/-80"}}};
  capnp::MallocMessageBuilder message;
  auto set = message.initRoot<schemas::RuleSet>();
  FillRuleSet(snapshot, set);
  ASSERT_EQ(set.getShardRules().size(), 1);
  EXPECT_STREQ(set.getShardRules()[0].getShard().cStr(), "-80");
  ASSERT_EQ(set.getHolds().size(), 1);
  ASSERT_EQ(set.getHolds()[0].getShards().size(), 2);
  EXPECT_STREQ(set.getHolds()[0].getShards()[1].cStr(), "ks2/-80");
}

TEST_F(ShardRoutingRulesTest, TheTrafficStateOfAWorkflowKnowsOfTheOtherShards) {
  workflow::WorkflowRecord record = Partial({"-80"});
  EXPECT_THAT(Apply(kBack), IsOk());
  EXPECT_EQ(bench_.rules->TrafficState(record), "Reads Not Switched. Writes Not Switched");
  record.replica_switched = record.rdonly_switched = record.writes_switched = true;
  EXPECT_THAT(Apply(std::string(kForward) + "," + kBack), IsOk());
  EXPECT_EQ(bench_.rules->TrafficState(record),
            "Reads partially switched, for shards: -80. Writes partially switched, for shards: "
            "-80");
  EXPECT_THAT(
      Apply(std::string(kForward) + R"(,{"from_keyspace":"ks","to_keyspace":"ks2","shard":"80-"})"),
      IsOk());
  EXPECT_EQ(bench_.rules->TrafficState(record), "All Reads Switched. All Writes Switched");
  record.sub_type = "None";
  EXPECT_EQ(bench_.rules->TrafficState(record), "All Reads Switched. Writes Switched");
}

}  // namespace
}  // namespace sluice::rules
