// Other options for a workflow while it runs.

#include "coordinator/workflow/create_checks.h"
#include "coordinator/workflow/move_tables.h"
#include "coordinator/workflow/update_workflow.h"
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
using Code = absl::StatusCode;
using schemas::Method;

class UpdateTest : public ::testing::Test {
 protected:
  UpdateTest() {
    Open();
    CreateArgs create;
    create.keyspace = "customer";
    create.name = "c2c";
    create.source_keyspace = "commerce";
    create.tables = {"customer", "corder"};
    EXPECT_THAT(move_tables_->Create(create, Soon()), IsOk());
    args_.keyspace = "customer";
    args_.name = "c2c";
  }

  void Open() {
    move_tables_ = std::make_unique<MoveTables>(
        bench_.services(), MoveTablesOptions{.retry_every = absl::Milliseconds(50),
                                             .first_report_within = absl::ZeroDuration()});
  }
  static absl::Time Soon() { return absl::Now() + absl::Seconds(20); }
  absl::StatusOr<std::string> Update() { return move_tables_->Update(args_, Soon()); }
  WorkflowRecord Record() { return store::GetWorkflow(*bench_.store, "customer", "c2c").value(); }
  void PutOnDdl(stream::OnDdl on_ddl) {
    WorkflowRecord record = Record();
    record.options.stream.on_ddl = on_ddl;
    EXPECT_THAT(bench_.store->Transaction(
                    [&](store::StoreTransaction& t) { return t.PutWorkflow(record); }),
                IsOk());
  }
  std::string LastCall() { return bench_.target.Calls().back(); }

  MoveBench bench_;
  std::unique_ptr<MoveTables> move_tables_;
  UpdateArgs args_;
};

TEST_F(UpdateTest, GoesToTheRecordAndToTheStreams) {
  args_.tuning = {{"copy_workers", "2"}, {"target-lag", "off"}};
  args_.cells = std::vector<std::string>{"zone1"};
  args_.source_types = std::vector<routing::TabletType>{routing::TabletType::kPrimary};
  PutOnDdl(stream::OnDdl::kIgnore);
  args_.on_ddl = stream::OnDdl::kStop;
  const auto answer = Update();
  ASSERT_THAT(answer, IsOk());
  EXPECT_EQ(LastCall(), "update stream 1 copy-workers=2 target-lag=off cells zone1 throttled ''");
  const auto json = nlohmann::json::parse(*answer);
  EXPECT_EQ(json["details"][0]["tablet"], bench_.target.alias());
  EXPECT_EQ(json["details"][0]["changed"], true);
  const WorkflowOptions options = Record().options;
  EXPECT_THAT(options.source_types, ElementsAre(routing::TabletType::kPrimary));
  EXPECT_EQ(options.stream.on_ddl, stream::OnDdl::kStop);
  EXPECT_FALSE(Record().update_pending);

  // What is not said stays.
  args_ = UpdateArgs();
  args_.keyspace = "customer";
  args_.name = "c2c";
  args_.tuning = {{"target-lag", "default"}};
  ASSERT_THAT(Update(), IsOk());
  EXPECT_EQ(LastCall(), "update stream 1 copy-workers=2 cells zone1 throttled ''");
}

TEST_F(UpdateTest, RefusesNothingUnknownAndWrongValues) {
  const WorkflowRecord before = Record();
  EXPECT_THAT(Update(), StatusIs(Code::kInvalidArgument, "no configuration options specified"));
  args_.tuning = {{"copy-workers", "1000"}};
  EXPECT_THAT(Update(), StatusIs(Code::kInvalidArgument, "from 0 to 16"));
  args_.tuning = {{"copy-wrokers", "1"}};
  EXPECT_THAT(Update(), StatusIs(Code::kInvalidArgument, "copy-wrokers"));
  args_.tuning = {{"copy-workers", "1"}};
  args_.name = "other";
  EXPECT_THAT(Update(), StatusIs(Code::kNotFound, "customer.other does not exist"));
  args_.keyspace = "nowhere";
  EXPECT_THAT(Update(), StatusIs(Code::kNotFound, "nowhere"));
  EXPECT_EQ(Record(), before);
}

TEST_F(UpdateTest, WhatCreateRefusesIsRefused) {
  stream::StreamOptions options;
  options.on_ddl = stream::OnDdl::kExec;
  args_.on_ddl = options.on_ddl;
  EXPECT_EQ(Update().status().code(), CheckStreamOptions(options).code());
}

TEST_F(UpdateTest, AFrozenWorkflowIsRefused) {
  WorkflowRecord record = Record();
  record.phase = WorkflowPhase::kFrozen;
  ASSERT_THAT(
      bench_.store->Transaction([&](store::StoreTransaction& t) { return t.PutWorkflow(record); }),
      IsOk());
  args_.throttled = "backup";
  EXPECT_THAT(Update(), StatusIs(Code::kFailedPrecondition, "frozen"));
}

TEST_F(UpdateTest, TheSwitchIsRecordedAndSentAndShown) {
  args_.throttled = "backup";
  ASSERT_THAT(Update(), IsOk());
  EXPECT_EQ(LastCall(), "update stream 1 cells  throttled 'backup'");
  EXPECT_EQ(Record().throttled, "backup");
  const auto document =
      nlohmann::json::parse(ThrottleDocument(*bench_.store, *bench_.topology).value());
  EXPECT_EQ(document["throttled"], false);
  EXPECT_EQ(document["workflows"][0]["workflow"], "customer.c2c");
  EXPECT_EQ(document["workflows"][0]["reason"], "backup");
  const auto shown = nlohmann::json::parse(
      ShowWorkflow({*bench_.store, *bench_.topology, *bench_.rules}, {"customer", "c2c", {}})
          .value());
  EXPECT_EQ(shown["Throttled"], "backup");
  args_.throttled = "";
  ASSERT_THAT(Update(), IsOk());
  EXPECT_EQ(Record().throttled, "");
}

// An agent that does not answer gets it later, also from the next coordinator.
TEST_F(UpdateTest, WhatIsRecordedIsSentByTheNextCoordinator) {
  bench_.target.Fail(Method::UPDATE_STREAM, absl::UnavailableError("no agent"), 1);
  args_.throttled = "backup";
  EXPECT_THAT(Update(), StatusIs(Code::kUnavailable, "the options are recorded"));
  EXPECT_TRUE(Record().update_pending);
  EXPECT_EQ(Record().throttled, "backup");
  move_tables_.reset();
  bench_.Restart();
  Open();
  move_tables_->Start();
  const absl::Time deadline = Soon();
  while (Record().update_pending && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(10));  // Delay: the store has nothing to wait on.
  }
  EXPECT_FALSE(Record().update_pending);
  EXPECT_EQ(LastCall(), "update stream 1 cells  throttled 'backup'");
}

}  // namespace
}  // namespace sluice::workflow
