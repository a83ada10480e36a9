// How the gates of the old side are to close, and what a switch makes of it.

#include "coordinator/traffic/gate_choice.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>

#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using workflow::GateState;

std::vector<cutover::Side> Sides() {
  return {{.keyspace = "commerce", .shard = "-40", .database = "d0"},
          {.keyspace = "commerce", .shard = "40-80", .database = "d1"},
          {.keyspace = "commerce", .shard = "80-c0", .database = "d2"},
          {.keyspace = "commerce", .shard = "c0-", .database = "d3"}};
}

TEST(DecideGatesTest, AMysqldClosesAsAWholeWithAllItsShards) {
  const auto gates = DecideGates(Sides(), {{"a", {}}, {"b", {}}, {"a", {}}, {"b", {}}});
  ASSERT_EQ(gates.size(), 4U);
  EXPECT_TRUE(gates[0].server && gates[1].server && gates[2].server && gates[3].server);
  EXPECT_THAT(gates[0].beside, ElementsAre("d2"));
  EXPECT_THAT(gates[2].beside, ElementsAre("d0"));
  EXPECT_THAT(gates[3].beside, ElementsAre("d1"));
}

TEST(DecideGatesTest, WhatOneShardNamesStandsForItsWholeMysqldAndForNoOther) {
  const auto gates =
      DecideGates(Sides(), {{"a", {}}, {"b", {}}, {"a", {"it holds others", "more"}}, {"b", {}}});
  EXPECT_FALSE(gates[0].server || gates[2].server);
  EXPECT_EQ(gates[0].reason, "it holds others");
  EXPECT_EQ(gates[2].reason, "it holds others");
  EXPECT_THAT(gates[0].beside, IsEmpty());
  EXPECT_TRUE(gates[1].server && gates[3].server);
}

using GateChoiceTest = TrafficTest;

TEST_F(GateChoiceTest, ByItselfASwitchClosesAsAWholeWhatCanBeAndSaysSo) {
  admin::SwitchArgs args = SwitchOf();
  args.dry_run = true;
  const nlohmann::json dry = Done(service().Switch(args, Soon()));
  EXPECT_THAT(dry["dry_run_results"].dump(), HasSubstr("Close as whole mysqlds (read_only): "));
  EXPECT_THAT(dry["measures"].dump(), HasSubstr("as a whole mysqld (read_only)"));
  const nlohmann::json done = Switch();
  EXPECT_TRUE(cluster_.source().closed_as_server);
  EXPECT_THAT(done["cutover"]["steps"].dump(), HasSubstr("as a whole mysqld (read_only)"));
  // So is the way back: each side is asked anew.
  Reverse();
  EXPECT_TRUE(cluster_.target().closed_as_server);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
}

TEST_F(GateChoiceTest, ElseTableByTableWithTheReason) {
  strcpy(cluster_.source().obstacle,  // NOLINT(clang-analyzer-security*)
         "it holds other databases (payroll)");
  admin::SwitchArgs args = SwitchOf();
  args.dry_run = true;
  const nlohmann::json dry = Done(service().Switch(args, Soon()));
  const std::string reason =
      "table by table; the mysqld can't be closed as a whole: it holds other databases (payroll)";
  EXPECT_THAT(dry["dry_run_results"].dump(), HasSubstr(reason));
  EXPECT_THAT(dry["measures"].dump(), HasSubstr(reason));
  const nlohmann::json done = Switch();
  EXPECT_FALSE(cluster_.source().closed_as_server);
  EXPECT_THAT(done["cutover"]["steps"].dump(), HasSubstr(reason));
}

TEST_F(GateChoiceTest, AMysqldThatAnotherMoveKeepsClosedTakesNothingOver) {
  strcpy(cluster_.target().kept_by, "vt_lager");  // NOLINT(clang-analyzer-security*)
  ExpectRefused(service().Switch(SwitchOf(), Soon()), absl::StatusCode::kFailedPrecondition,
                "the mysqld of customer/0 is kept read-only by the gate of vt_lager, which is not "
                "of this workflow");
  ExpectUnchanged();
}

TEST_F(GateChoiceTest, WhatIsAskedForIsDoneOrRefused) {
  admin::SwitchArgs args = SwitchOf();
  args.gate = admin::GateWish::kServer;
  strcpy(cluster_.source().obstacle, "it holds others");  // NOLINT(clang-analyzer-security*)
  ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kFailedPrecondition,
                "cannot switch traffic for workflow customer.move at this time: the mysqld of "
                "commerce/0 can't be closed as a whole (--gate server): it holds others");
  ExpectUnchanged();
  // Nor by force: the gate would not hold.
  args.force = true;
  ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kFailedPrecondition,
                "it holds others");
  cluster_.source().obstacle[0] = '\0';
  args.force = false;
  args.gate = admin::GateWish::kTables;
  const nlohmann::json done = Done(service().Switch(args, Soon()));
  EXPECT_FALSE(cluster_.source().closed_as_server);
  EXPECT_THAT(done["cutover"]["steps"].dump(), Not(HasSubstr("as a whole")));
}

}  // namespace
}  // namespace sluice::traffic::testing
