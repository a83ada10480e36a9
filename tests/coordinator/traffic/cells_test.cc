// switchtraffic and reversetraffic of the reads of some cells, over a scripted cluster.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "tests/coordinator/testing/status_matchers.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;
using workflow::GateState;

class CellsTest : public TrafficTest {
 protected:
  // The fixture's tablets are in zone1; others of nobody's concern are in zone2 and zone3.
  CellsTest() {
    SLUICE_CHECK_OK(coordinator_->topology->CreateKeyspace("other", {"-80", "80-"}));
    Register(2, "-80");
    Register(3, "80-");
  }

  static admin::SwitchArgs Of(std::vector<TabletType> types, std::vector<std::string> cells) {
    admin::SwitchArgs args = SwitchOf(std::move(types));
    args.cells = std::move(cells);
    return args;
  }
  std::string SwitchCells(std::vector<TabletType> types, std::vector<std::string> cells) {
    return Done(service().Switch(Of(std::move(types), std::move(cells)), Soon()))["current_state"];
  }
  std::string ReverseCells(std::vector<TabletType> types, std::vector<std::string> cells) {
    return Done(service().Reverse(Of(std::move(types), std::move(cells)), Soon()))["current_state"];
  }

 private:
  void Register(uint32_t zone, const char* shard) {
    topology::TabletReport report;
    topology::TabletInfo& tablet = report.tablet;
    tablet.cell = absl::StrCat("zone", zone);
    tablet.uid = 900 + zone;
    tablet.alias = absl::StrCat(tablet.cell, "-", tablet.uid);
    tablet.keyspace = "other";
    tablet.shard = shard;
    tablet.database = "vt_other";
    tablet.agent_url = absl::StrCat("tcp://127.0.0.1:", 1000 + tablet.uid);
    tablet.mysql_host = "127.0.0.1";
    tablet.mysql_port = static_cast<uint16_t>(2000 + tablet.uid);
    tablet.configured_type = tablet.type = TabletType::kPrimary;
    tablet.incarnation = 1;
    tablet.reachable = true;
    SLUICE_CHECK_OK(coordinator_->topology->Register(report));
  }
};

TEST_F(CellsTest, OnlyTheReadsOfTheCellsMove) {
  EXPECT_EQ(SwitchCells({TabletType::kReplica}, {"zone2"}),
            "Reads partially switched. Replica switched in cells: zone2. Rdonly not switched. "
            "Writes Not Switched");
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_THAT(cluster_.requests(), Contains("await_position zone1-201 customer"));
  EXPECT_EQ(coordinator_->Route("customer@replica"), "commerce.customer");
  EXPECT_EQ(coordinator_->Route("customer@replica:zone2"), "customer.customer");
  EXPECT_THAT(coordinator_->rules->GetRoutingRulesJson(),
              HasSubstr("\"from_table\": \"commerce.corder@replica:zone2\""));

  EXPECT_EQ(SwitchCells({TabletType::kRdonly}, {"zone1", "zone3"}),
            "Reads partially switched. Replica switched in cells: zone2. Rdonly switched in cells: "
            "zone1,zone3. Writes Not Switched");
  EXPECT_EQ(ReverseCells({TabletType::kReplica}, {"zone2"}),
            "Reads partially switched. Replica not switched. Rdonly switched in cells: "
            "zone1,zone3. Writes Not Switched");
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_THAT(coordinator_->rules->GetRoutingRulesJson(), Not(HasSubstr(":zone2")));
  EXPECT_EQ(ReverseCells({TabletType::kRdonly}, {"zone1", "zone3"}), kNothingSwitched);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
  ExpectUnchanged();
}

TEST_F(CellsTest, TheOldSideIsReadableUntilNobodyIsLeft) {
  EXPECT_EQ(SwitchCells({}, {"zone2"}),
            "Reads partially switched. Replica switched in cells: zone2. Rdonly switched in cells: "
            "zone2. Writes Switched");
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kReadable));
  SwitchCells({TabletType::kRdonly}, {"zone1", "zone3"});
  SwitchCells({TabletType::kReplica}, {"zone1", "zone3"});
  // A cell that is yet to come would read there.
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kReadable));
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kClosed));

  EXPECT_EQ(ReverseCells({TabletType::kReplica}, {"zone1"}),
            "Reads partially switched. Replica switched in all cells but: zone1. All Rdonly Reads "
            "Switched. Writes Switched");
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kReadable));
  Reverse({TabletType::kPrimary});
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_EQ(coordinator_->Route("customer@replica"), "customer.customer");
  EXPECT_EQ(coordinator_->Route("customer@replica:zone1"), "commerce.customer");
  EXPECT_EQ(Reverse()["current_state"], kNothingSwitched);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kClosed));
}

TEST_F(CellsTest, AFailureTakesNothingFromTheCellsThatAreThere) {
  SwitchCells({TabletType::kReplica}, {"zone2"});
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    return request == "await_position zone1-201" ? absl::FailedPreconditionError("replica stopped")
                                                 : absl::OkStatus();
  });
  ExpectRefused(service().Switch(Of({TabletType::kReplica}, {"zone1"}), Soon()),
                absl::StatusCode::kAborted, "replica stopped");
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kReadable));
  EXPECT_EQ(coordinator_->Route("customer@replica:zone2"), "customer.customer");
}

TEST_F(CellsTest, WhatHasNoCellsIsRefused) {
  ExpectRefused(service().Switch(Of({TabletType::kPrimary}, {"zone1"}), Soon()),
                absl::StatusCode::kInvalidArgument, "writes move in all cells at once");
  ExpectRefused(service().Switch(Of({}, {"zone1", "zone9"}), Soon()), absl::StatusCode::kNotFound,
                "no tablet or proxy is in cell 'zone9'; the cells are zone1, zone2, zone3");
  ExpectRefused(service().Reverse(Of({TabletType::kReplica}, {"zone1"}), Soon()),
                absl::StatusCode::kFailedPrecondition,
                "REPLICA reads have not been switched in cells: zone1");
  ExpectUnchanged();
}

TEST_F(CellsTest, ADryRunNamesTheCells) {
  admin::SwitchArgs args = Of({}, {"zone1", "zone2"});
  args.dry_run = true;
  const std::string lines = Done(service().Switch(args, Soon()))["dry_run_results"].dump();
  EXPECT_THAT(lines, HasSubstr("for tablet types [REPLICA,RDONLY] in cells [zone1,zone2]"));
  EXPECT_THAT(lines, HasSubstr("Switch routing from keyspace commerce"));
  ExpectUnchanged();
}

TEST_F(CellsTest, AWorkflowEndsOnlyWhenAllCellsAreOnOneSide) {
  SwitchCells({}, {"zone1"});
  ExpectRefused(service().Complete(FinishOf(), Soon()), absl::StatusCode::kFailedPrecondition,
                "Replica switched in cells: zone1");
  Reverse({TabletType::kPrimary});
  // Cancel takes the reads of the cells back.
  Done(service().Cancel(FinishOf(), Soon()));
  EXPECT_THAT(coordinator_->rules->Rules().table_rules, ::testing::IsEmpty());
}

}  // namespace
}  // namespace sluice::traffic::testing
