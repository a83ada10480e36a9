// The JSON documents.

#include "coordinator/workflow/views.h"

#include "coordinator/workflow/move_tables.h"
#include "coordinator/workflow/stream_view.h"
#include "nlohmann/json.hpp"
#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::MoveBench;
using ::sluice::testing::StatusIs;
using Code = absl::StatusCode;
using Json = nlohmann::json;

class ViewsTest : public ::testing::Test {
 protected:
  ViewsTest() {
    MoveTables move_tables(bench_.services(), {.first_report_within = absl::ZeroDuration()});
    CreateArgs args;
    args.keyspace = "customer";
    args.name = "c2c";
    args.source_keyspace = "commerce";
    args.tables = {"customer", "corder"};
    EXPECT_THAT(move_tables.Create(args, absl::Now() + absl::Seconds(20)), IsOk());
  }

  void Stream(topology::StreamState state, std::vector<topology::CopyProgress> copy) {
    topology::StreamInfo stream;
    stream.id = 1;
    stream.tablet = bench_.target.alias();
    stream.state = state;
    stream.position = "7e765c5c-8c59-11ed-9d2e-7c501ea4de6a:1-83";
    stream.lag_ms = 1200;
    stream.time_updated = 1672857697;
    stream.copy = std::move(copy);
    bench_.target.SetStream(stream);
    bench_.Report();
  }
  ViewSources Sources() {
    return {.store = *bench_.store, .topology = *bench_.topology, .rules = *bench_.rules};
  }
  Json Show(const std::string& keyspace = "customer", const std::string& name = "c2c") {
    return Json::parse(ShowWorkflow(Sources(), {keyspace, name, {}}).value());
  }
  Json Status() { return Json::parse(WorkflowStatus(Sources(), {"customer", "c2c", {}}).value()); }
  void Put(const WorkflowRecord& record) {
    EXPECT_THAT(bench_.store->Transaction(
                    [&](store::StoreTransaction& t) { return t.PutWorkflow(record); }),
                IsOk());
  }
  WorkflowRecord Record() { return store::GetWorkflow(*bench_.store, "customer", "c2c").value(); }

  MoveBench bench_;
};

TEST_F(ViewsTest, ShowHasTheFieldsThatOurUsersKnow) {
  Stream(topology::StreamState::kRunning, {});
  const Json json = Show();
  EXPECT_EQ(json["Workflow"], "c2c");
  EXPECT_EQ(json["SourceLocation"], Json({{"Keyspace", "commerce"}, {"Shards", {"0"}}}));
  EXPECT_EQ(json["TargetLocation"], Json({{"Keyspace", "customer"}, {"Shards", {"0"}}}));
  EXPECT_EQ(json["MaxVReplicationLag"], 2);
  EXPECT_EQ(json["Frozen"], false);
  const Json& shard = json["ShardStatuses"]["0/zone1-200"];
  EXPECT_EQ(shard["PrimaryIsServing"], true);
  EXPECT_TRUE(shard["TabletControls"].is_null());
  const Json& stream = shard["PrimaryReplicationStatuses"][0];
  EXPECT_EQ(stream["Shard"], "0");
  EXPECT_EQ(stream["Tablet"], "zone1-200");
  EXPECT_EQ(stream["ID"], 1);
  EXPECT_EQ(stream["Bls"]["filter"]["rules"][0],
            Json({{"match", "corder"}, {"filter", "select * from corder"}}));
  EXPECT_EQ(stream["Pos"], "7e765c5c-8c59-11ed-9d2e-7c501ea4de6a:1-83");
  EXPECT_EQ(stream["State"], "Running");
  EXPECT_EQ(stream["DBName"], "vt_customer");
  EXPECT_EQ(stream["TimeUpdated"], 1672857697);
  EXPECT_EQ(stream["WorkflowType"], "MoveTables");
  EXPECT_EQ(stream["WorkflowSubType"], "None");
  EXPECT_TRUE(stream["CopyState"].is_null());
}

TEST_F(ViewsTest, ACopyInProgressIsShownByTable) {
  Stream(topology::StreamState::kCopying, {{"customer", true, true, 5, 500, 9, 900, {"by_name"}},
                                           {"corder", false, true, 25, 10, 100, 40, {}}});
  const Json stream = Show()["ShardStatuses"]["0/zone1-200"]["PrimaryReplicationStatuses"][0];
  EXPECT_EQ(stream["CopyState"].size(), 1);
  EXPECT_EQ(stream["KeysOwed"], Json({{"customer", {"by_name"}}}));
  const Json tables = Status()["table_copy_state"];
  EXPECT_EQ(tables["customer"]["phase"], "COMPLETE");
  EXPECT_EQ(tables["customer"]["rows_total"], 5);
  EXPECT_EQ(tables["customer"]["rows_percentage"], 100);
  EXPECT_EQ(tables["corder"]["phase"], "IN_PROGRESS");
  EXPECT_EQ(tables["corder"]["rows_copied"], 25);
  EXPECT_EQ(tables["corder"]["rows_percentage"], 25);
  EXPECT_EQ(tables["corder"]["bytes_percentage"], 25);
}

// It follows the side that traffic has come back to, from where that was switched.
TEST_F(ViewsTest, AStreamThatCopiesNothingHasAllTablesComplete) {
  for (const auto state : {topology::StreamState::kRunning, topology::StreamState::kStopped}) {
    Stream(state, {});
    const Json tables = Status()["table_copy_state"];
    EXPECT_EQ(tables["customer"]["phase"], "COMPLETE");
    EXPECT_EQ(tables["customer"]["rows_percentage"], 100);
  }
  Stream(topology::StreamState::kCopying, {});
  EXPECT_EQ(Status()["table_copy_state"]["customer"]["phase"], "UNKNOWN");
}

TEST_F(ViewsTest, StatusNamesStreamsByShardWithTheirRealLag) {
  Stream(topology::StreamState::kRunning, {});
  const Json json = Status();
  EXPECT_EQ(json["traffic_state"], "Reads Not Switched. Writes Not Switched");
  const Json& stream = json["shard_streams"]["customer/0"]["streams"][0];
  EXPECT_EQ(stream["tablet"], Json({{"cell", "zone1"}, {"uid", 200}}));
  EXPECT_EQ(stream["source_shard"], "commerce/0");
  EXPECT_EQ(stream["position"], "MySQL56/7e765c5c-8c59-11ed-9d2e-7c501ea4de6a:1-83");
  EXPECT_EQ(stream["status"], "Running");
  EXPECT_EQ(stream["info"], "VStream Lag: 1s.");
  EXPECT_EQ(stream["lag_ms"], 1200);
}

TEST_F(ViewsTest, TheLivingSideOfASwitchedWorkflowShowsDeniedTables) {
  WorkflowRecord forward = Record();
  forward.phase = WorkflowPhase::kFrozen;
  forward.replica_switched = forward.rdonly_switched = forward.writes_switched = true;
  WorkflowRecord reverse = forward;
  std::swap(reverse.source_keyspace, reverse.target_keyspace);
  reverse.keyspace = "commerce";
  reverse.name = "c2c_reverse";
  reverse.reverse_of = "customer.c2c";
  reverse.phase = WorkflowPhase::kActive;
  reverse.streams[0].id = 2;
  Put(forward);
  Put(reverse);
  const Json back = Show("commerce", "c2c_reverse");
  EXPECT_EQ(back["ShardStatuses"]["0/zone1-100"]["TabletControls"],
            Json::parse(R"([{"tablet_type":1,"denied_tables":["corder","customer"]}])"));
  const Json frozen = Show();
  EXPECT_EQ(frozen["Frozen"], true);
  const Json& shard = frozen["ShardStatuses"]["0/zone1-200"];
  EXPECT_TRUE(shard["TabletControls"].is_null());
  EXPECT_EQ(shard["PrimaryReplicationStatuses"][0]["Message"], "FROZEN");
}

TEST_F(ViewsTest, AStreamThatNobodyReportsIsUnknown) {
  WorkflowRecord record = Record();
  record.streams[0].id = 77;
  Put(record);
  const Json json = Status();
  EXPECT_EQ(json["shard_streams"]["customer/0"]["streams"][0]["status"], "Unknown");
  EXPECT_EQ(json["table_copy_state"]["corder"]["phase"], "UNKNOWN");
}

TEST_F(ViewsTest, ListsNameWhatIsThere) {
  const Json workflows = Json::parse(ListWorkflowsJson(Sources(), "customer").value());
  EXPECT_EQ(workflows["workflows"], Json({"c2c"}));
  EXPECT_EQ(workflows["details"][0]["source_keyspace"], "commerce");
  EXPECT_EQ(Json::parse(ListWorkflowsJson(Sources(), "commerce").value())["workflows"],
            Json::array());
  EXPECT_THAT(ListWorkflowsJson(Sources(), "none"), StatusIs(Code::kNotFound, "keyspace none"));
  const Json tablets = Json::parse(ListTabletsJson(*bench_.topology))["tablets"];
  ASSERT_EQ(tablets.size(), 2);
  EXPECT_EQ(tablets[0]["alias"], "zone1-100");
  EXPECT_EQ(tablets[0]["type"], "PRIMARY");
  EXPECT_EQ(tablets[0]["state"], "SERVING");
  const Json keyspace = Json::parse(ShowKeyspaceJson(*bench_.topology, "commerce").value());
  EXPECT_EQ(keyspace["shards"][0]["primary"], "zone1-100");
  EXPECT_EQ(Json::parse(ListKeyspacesJson(*bench_.topology))["keyspaces"],
            Json({"commerce", "customer"}));
}

TEST_F(ViewsTest, UnknownWorkflowsAndKeyspacesAreNamed) {
  EXPECT_THAT(ShowWorkflow(Sources(), {"none", "c2c", {}}),
              StatusIs(Code::kNotFound, "keyspace none does not exist"));
  EXPECT_THAT(WorkflowStatus(Sources(), {"customer", "x", {}}),
              StatusIs(Code::kNotFound, "workflow customer.x does not exist"));
}

}  // namespace
}  // namespace sluice::workflow
