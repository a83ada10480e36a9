// MoveTables create: what it does, what it refuses, and what it leaves after a failure.

#include "common/base/status_macros.h"
#include "coordinator/workflow/move_tables.h"
#include "coordinator/workflow/views.h"
#include "nlohmann/json.hpp"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::MoveBench;
using ::sluice::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Code = absl::StatusCode;
using schemas::Method;

class CreateTest : public ::testing::Test {
 protected:
  CreateTest()
      : move_tables_(bench_.services(), {.retry_every = absl::Milliseconds(50),
                                         .first_report_within = absl::ZeroDuration()}) {
    args_.keyspace = "customer";
    args_.name = "c2c";
    args_.source_keyspace = "commerce";
    args_.tables = {"customer", "corder"};
  }

  absl::StatusOr<std::string> Create() {
    return move_tables_.Create(args_, absl::Now() + absl::Seconds(20));
  }
  std::vector<WorkflowRecord> Records() { return store::ListWorkflows(*bench_.store).value(); }

  // A refusal leaves no record, rule, table, stream or call behind.
  void ExpectRefused(Code code, const std::string& message) {
    const size_t target_calls = bench_.target.Calls().size();
    const std::vector<std::string> target_tables = bench_.target.TableNames();
    const store::RuleState rules = bench_.rules->Rules();
    EXPECT_THAT(Create(), StatusIs(code, message));
    EXPECT_EQ(bench_.target.Calls().size(), target_calls);
    EXPECT_EQ(bench_.target.TableNames(), target_tables);
    EXPECT_THAT(bench_.source.Calls(), IsEmpty());
    EXPECT_EQ(bench_.rules->Rules(), rules);
  }

  MoveBench bench_;
  MoveTables move_tables_;
  CreateArgs args_;
};

TEST_F(CreateTest, ItPreparesTheTargetCreatesTheStreamWritesRulesAndStarts) {
  const auto status = Create();
  ASSERT_THAT(status, IsOk());
  EXPECT_THAT(bench_.target.Calls(),
              ElementsAre("prepare customer.c2c corder,customer",
                          "create stream 1 of customer.c2c from commerce/0", "start stream 1"));
  EXPECT_THAT(bench_.source.Calls(), IsEmpty());
  const WorkflowRecord record = Records().at(0);
  EXPECT_EQ(record.phase, WorkflowPhase::kActive);
  EXPECT_FALSE(record.start_pending);
  EXPECT_THAT(record.tables, ElementsAre("corder", "customer"));
  EXPECT_EQ(bench_.rules->Rules().table_rules, routing::RulesOfMove(MoveRulesOf(record)));
  EXPECT_EQ(bench_.rules->Rules().table_rules.size(), 18);
  const auto json = nlohmann::json::parse(*status);
  EXPECT_EQ(json["workflow"], "customer.c2c");
  EXPECT_EQ(json["traffic_state"], "Reads Not Switched. Writes Not Switched");
}

TEST_F(CreateTest, WithoutAutoStartTheStreamsStand) {
  args_.auto_start = false;
  ASSERT_THAT(Create(), IsOk());
  EXPECT_EQ(bench_.target.Calls().size(), 2);
  EXPECT_FALSE(Records().at(0).start_pending);
}

TEST_F(CreateTest, TheOptionsAreKeptAndTheTargetIsOfUtc) {
  args_.stream.source_time_zone = "Europe/Berlin";
  args_.stream.allow_no_key = true;
  args_.stream.cells = {"zone1"};
  ASSERT_THAT(Create(), IsOk());
  const WorkflowRecord record = Records().at(0);
  EXPECT_EQ(record.options.stream.source_time_zone, "Europe/Berlin");
  EXPECT_EQ(record.options.stream.target_time_zone, "UTC");
  EXPECT_TRUE(record.options.stream.allow_no_key);
  EXPECT_EQ(record.options.stream.on_ddl, stream::OnDdl::kStop);
}

TEST_F(CreateTest, ACellWithoutATabletIsRefusedByName) {
  args_.stream.cells = {"zone9"};
  ExpectRefused(Code::kFailedPrecondition, "is in cell zone9; its cells are zone1");
}

TEST_F(CreateTest, AllTablesLeavesOutTheExcludedOnes) {
  args_.tables.clear();
  args_.all_tables = true;
  args_.exclude_tables = {"product"};
  ASSERT_THAT(Create(), IsOk());
  EXPECT_THAT(Records().at(0).tables, ElementsAre("corder", "customer"));
}

TEST_F(CreateTest, ADryRunSaysWhatItWouldDoAndDoesNothing) {
  args_.dry_run = true;
  const auto answer = Create();
  ASSERT_THAT(answer, IsOk());
  const auto json = nlohmann::json::parse(*answer);
  EXPECT_THAT(json["summary"].get<std::string>(), HasSubstr("customer.c2c"));
  EXPECT_EQ(json["dry_run_results"].size(), 4);
  EXPECT_THAT(json["dry_run_results"][0].get<std::string>(), HasSubstr("[corder,customer]"));
  EXPECT_THAT(bench_.target.Calls(), IsEmpty());
  EXPECT_THAT(Records(), IsEmpty());
}

TEST_F(CreateTest, PlacesThatDoNotFitAreRefusedByName) {
  args_.source_keyspace = "none";
  ExpectRefused(Code::kNotFound, "source: keyspace none does not exist");
  args_.source_keyspace = "customer";
  ExpectRefused(Code::kInvalidArgument, "source and target keyspace are the same: customer");
  args_.source_keyspace.clear();
  ExpectRefused(Code::kInvalidArgument, "source keyspace is missing");
  args_.source_keyspace = "commerce";
  args_.keyspace = "none";
  ExpectRefused(Code::kNotFound, "target: keyspace none does not exist");
  ASSERT_THAT(bench_.topology->CreateKeyspace("sharded", {"-80", "80-"}), IsOk());
  args_.keyspace = "sharded";
  ExpectRefused(Code::kFailedPrecondition, "-80, 80-");
  ASSERT_THAT(bench_.topology->CreateKeyspace("empty", {}), IsOk());
  args_.keyspace = "empty";
  ExpectRefused(Code::kUnavailable, "no serving PRIMARY tablet in empty/0: no agent");
  args_.keyspace = "customer";
  args_.name = "a b";
  ExpectRefused(Code::kInvalidArgument, "workflow name 'a b'");
  args_.name = "c2c";
  args_.source_types = {routing::TabletType::kRdonly};
  ExpectRefused(Code::kUnavailable, "no serving tablet of type RDONLY in commerce/0");
  EXPECT_THAT(Records(), IsEmpty());
}

TEST_F(CreateTest, AnAgentsProblemIsTheReason) {
  topology::TabletReport report = bench_.target.Report();
  report.tablet.problem = "binlog_format is MIXED; set it to ROW";
  ASSERT_THAT(bench_.topology->Report(report), IsOk());
  ExpectRefused(Code::kUnavailable, "binlog_format is MIXED; set it to ROW");
}

TEST_F(CreateTest, TablesThatDoNotFitAreRefusedByName) {
  args_.tables = {"customer", "x"};
  ExpectRefused(Code::kNotFound, "table(s) not found in source keyspace commerce: x");
  args_.tables = {"nokey"};
  bench_.source.AddTable("nokey").key_columns.clear();
  ExpectRefused(Code::kFailedPrecondition, "commerce.nokey can't be moved");
  args_.tables = {"corder"};
  bench_.target.AddTable("corder").has_rows = true;
  ExpectRefused(Code::kAlreadyExists,
                "non-empty tables found in target keyspace(customer): corder");
  args_.all_tables = true;
  ExpectRefused(Code::kInvalidArgument, "exactly one of --tables and --all-tables");
  EXPECT_THAT(Records(), IsEmpty());
}

TEST_F(CreateTest, WhatIsNamedAndExcludedStays) {
  args_.exclude_tables = {"corder"};
  ASSERT_THAT(Create(), IsOk());
  ASSERT_EQ(Records().size(), 1);
  EXPECT_THAT(Records()[0].tables, ElementsAre("customer"));
}

TEST_F(CreateTest, NoTableIsLeftWhenAllThatAreNamedAreExcluded) {
  args_.exclude_tables = args_.tables;
  ExpectRefused(Code::kFailedPrecondition, "no table is left to move out of keyspace commerce");
}

TEST_F(CreateTest, AWorkflowThatExistsAndItsTablesAreTaken) {
  ASSERT_THAT(Create(), IsOk());
  ExpectRefused(Code::kAlreadyExists, "workflow c2c already exists in keyspace customer");
  args_.name = "again";
  ExpectRefused(Code::kFailedPrecondition, "is moved by workflow customer.c2c");
  EXPECT_EQ(Records().size(), 1);
  // Its reverse can neither be completed nor cancelled.
  WorkflowRecord reverse = Records()[0];
  std::swap(reverse.source_keyspace, reverse.target_keyspace);
  reverse.keyspace = "commerce";
  reverse.name = "c2c_reverse";
  reverse.reverse_of = "customer.c2c";
  ASSERT_THAT(bench_.store->Transaction([&](store::StoreTransaction& transaction) {
    return transaction.PutWorkflow(reverse);
  }),
              IsOk());
  ExpectRefused(Code::kFailedPrecondition,
                "is moved by workflow customer.c2c already; complete or cancel that one first");
}

TEST_F(CreateTest, ACommandThatRunsOnTheNameKeepsOthersOut) {
  const auto guard = bench_.locks.TryLock("customer.c2c", "cancel");
  ExpectRefused(Code::kAborted, "another command (cancel) is running on customer.c2c");
}

TEST_F(CreateTest, AFailureInTheMiddleIsUndoneAndReported) {
  bench_.target.Fail(Method::CREATE_STREAM, absl::InternalError("disk full"));
  EXPECT_THAT(Create(), StatusIs(Code::kInternal, "disk full"));
  EXPECT_THAT(bench_.target.Calls(), ElementsAre("prepare customer.c2c corder,customer",
                                                 "drop customer.c2c corder,customer"));
  EXPECT_THAT(bench_.target.TableNames(), IsEmpty());
  EXPECT_THAT(Records(), IsEmpty());
  EXPECT_THAT(bench_.rules->Rules().table_rules, IsEmpty());
  EXPECT_THAT(Create(), IsOk());
}

TEST_F(CreateTest, AnUndoThatFailsGoesOnInTheBackground) {
  bench_.target.Fail(Method::CREATE_STREAM, absl::InternalError("disk full"));
  bench_.target.Fail(Method::DROP_TABLES, absl::AbortedError("locked"), 2);
  EXPECT_THAT(Create(), StatusIs(Code::kInternal, "goes on in the background"));
  ASSERT_EQ(Records().size(), 1);
  EXPECT_TRUE(Records()[0].undoing);
  EXPECT_THAT(Records()[0].message, HasSubstr("disk full"));
  move_tables_.Start();
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (!Records().empty() && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));  // Delay: the store has nothing to wait on.
  }
  EXPECT_THAT(Records(), IsEmpty());
  EXPECT_THAT(bench_.target.TableNames(), IsEmpty());
}

TEST_F(CreateTest, AStartThatFailsIsTriedAgainAndTheWorkflowStays) {
  bench_.target.Fail(Method::CONTROL_STREAM, absl::AbortedError("busy"), 2);
  move_tables_.Start();
  EXPECT_THAT(Create(), IsOk());
  const absl::Time deadline = absl::Now() + absl::Seconds(20);
  while (Records().at(0).start_pending && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));  // Delay: the store has nothing to wait on.
  }
  EXPECT_THAT(bench_.target.Calls(), ::testing::Contains("start stream 1"));
}

}  // namespace
}  // namespace sluice::workflow
