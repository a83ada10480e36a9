// The routing rules as operators read and write them.

#include "coordinator/rules/rule_service.h"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::rules {
namespace {

using ::sluice::testing::Bench;
using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::HasSubstr;
using Code = absl::StatusCode;

class RoutingRulesTest : public ::testing::Test {
 protected:
  RoutingRulesTest() {
    EXPECT_THAT(bench_.topology->CreateKeyspace("commerce", {}), IsOk());
    EXPECT_THAT(bench_.topology->CreateKeyspace("customer", {}), IsOk());
  }
  absl::StatusOr<std::string> Apply(const std::string& json, bool dry_run = false) {
    return bench_.rules->ApplyRoutingRules(json, dry_run);
  }

  Bench bench_;
};

constexpr char kCamel[] =
    R"({"rules":[{"fromTable":"customer@replica","toTables":["commerce.customer"]}]})";
constexpr char kSnake[] =
    R"({"rules":[{"from_table":"customer@replica","to_tables":["commerce.customer"]}]})";

TEST_F(RoutingRulesTest, BothSpellingsAreReadAndSnakeCaseIsWritten) {
  const std::string written = Apply(kCamel).value();
  EXPECT_THAT(written, HasSubstr("\"from_table\": \"customer@replica\""));
  EXPECT_EQ(bench_.rules->GetRoutingRulesJson(), written);
  EXPECT_EQ(Apply(kSnake).value(), written);
}

TEST_F(RoutingRulesTest, ADryRunChangesNothing) {
  const std::string before = bench_.rules->GetRoutingRulesJson();
  EXPECT_THAT(Apply(kCamel, true), IsOk());
  EXPECT_EQ(bench_.rules->GetRoutingRulesJson(), before);
}

TEST_F(RoutingRulesTest, WrongRulesAreRefusedByName) {
  EXPECT_THAT(Apply("{"), StatusIs(Code::kInvalidArgument, "JSON"));
  EXPECT_THAT(Apply(R"({"rules":[{"from_table":"t","to_tables":["x.t"]}]})"),
              StatusIs(Code::kNotFound, "keyspace x"));
  EXPECT_THAT(Apply(R"({"rules":[{"from_table":"x.t@rdonly","to_tables":["customer.t"]}]})"),
              StatusIs(Code::kNotFound, "keyspace x"));
  EXPECT_EQ(bench_.rules->Rules().table_rules.size(), 0);
}

TEST_F(RoutingRulesTest, ARuleMayBeOfOneCell) {
  EXPECT_THAT(Apply(R"({"rules":[
      {"from_table":"customer.t@replica:eu.west","to_tables":["commerce.t"]}]})"),
              IsOk());
  EXPECT_THAT(Apply(R"({"rules":[{"from_table":"x.t@replica:eu.west"}]})"),
              StatusIs(Code::kNotFound, "keyspace x"));
}

TEST_F(RoutingRulesTest, TheRulesOfAWorkflowsTablesStandAsLongAsItLives) {
  EXPECT_THAT(Apply(kSnake), IsOk());
  workflow::WorkflowRecord record;
  record.keyspace = record.target_keyspace = "customer";
  record.name = "c2c";
  record.source_keyspace = "commerce";
  record.tables = {"customer"};
  EXPECT_THAT(
      bench_.store->Transaction([&](store::StoreTransaction& t) { return t.PutWorkflow(record); }),
      IsOk());
  EXPECT_THAT(Apply(R"({"rules":[]})"), StatusIs(Code::kFailedPrecondition, "customer.c2c"));
  EXPECT_THAT(Apply(R"({"rules":[]})", true), StatusIs(Code::kFailedPrecondition, "customer.c2c"));
  EXPECT_THAT(Apply(R"({"rules":[
      {"from_table":"customer@replica","to_tables":["commerce.customer"]},
      {"from_table":"customer@replica:zone1","to_tables":["customer.customer"]}]})"),
              StatusIs(Code::kFailedPrecondition, "customer.c2c"));
  EXPECT_THAT(Apply(R"({"rules":[
      {"from_table":"other","to_tables":["customer.other"]},
      {"from_table":"customer@replica","to_tables":["commerce.customer"]}]})"),
              IsOk());
}

}  // namespace
}  // namespace sluice::rules
