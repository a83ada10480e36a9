// Cutovers that wait for a person's word.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cstring>

#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using routing::TabletType;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using workflow::GateState;

using HoldTest = TrafficTest;

TEST_F(HoldTest, AHeldCutoverIsPreparedAndWaitsForARelease) {
  ExpectRefused(service().CutoverRelease(SwitchOf().workflow, Soon()),
                absl::StatusCode::kFailedPrecondition,
                "no cutover of workflow customer.move is under way");
  admin::SwitchArgs args = SwitchOf();
  args.hold = true;
  args.raise_counters = true;
  cluster_.source().counter = 5'000;
  const nlohmann::json held = Done(service().Switch(args, Soon()));
  EXPECT_THAT(held["summary"].get<std::string>(),
              HasSubstr("sluice cutover release customer.move"));
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 1);
  EXPECT_GT(cluster_.target().counter, 5'000U);
  EXPECT_THAT(coordinator_->rules->Rules().holds, IsEmpty());
  ExpectRefused(service().Switch(SwitchOf(), Soon()), absl::StatusCode::kAborted,
                "\"sluice workflow diagnose customer.move\" says what it waits for");
  const auto shown = service().CutoverShow(SwitchOf().workflow, 0);
  ASSERT_TRUE(shown.ok());
  EXPECT_THAT(nlohmann::json::parse(*shown)["attempts"][0]["result"].get<std::string>(),
              HasSubstr("waiting for a person's word: \"sluice cutover release customer.move\""));
  const nlohmann::json done = Done(service().CutoverRelease(SwitchOf().workflow, Soon()));
  EXPECT_EQ(done["current_state"], kAllSwitched);
  EXPECT_EQ(cluster_.target().gate, Gate(GateState::kOpen));
}

// Hours after the check the account of an agent may be another one.
TEST_F(HoldTest, AReleaseIsRefusedWhileTheOtherSideCouldNotBeOpened) {
  admin::SwitchArgs args = SwitchOf({TabletType::kPrimary});
  args.hold = true;
  EXPECT_EQ(service().UnderWay(args.workflow), "");
  Done(service().Switch(args, Soon()));
  EXPECT_THAT(service().UnderWay(args.workflow),
              AllOf(HasSubstr("a cutover is preparing"), HasSubstr("a person's word")));
  strcpy(cluster_.target().lacks,
         "lacks DROP on `vt_customer`.*");  // NOLINT(clang-analyzer-security*)
  ExpectRefused(service().CutoverRelease(args.workflow, Soon()),
                absl::StatusCode::kFailedPrecondition,
                "could not be opened: lacks DROP on `vt_customer`.*; the cutover of customer.move "
                "still waits");
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  cluster_.target().lacks[0] = '\0';
  EXPECT_THAT(Done(service().CutoverRelease(args.workflow, Soon()))["current_state"],
              HasSubstr("Writes Switched"));
  EXPECT_EQ(service().UnderWay(args.workflow), "");
}

TEST_F(HoldTest, AHeldCutoverIsTakenBackByAWord) {
  admin::SwitchArgs args = SwitchOf({TabletType::kPrimary});
  args.hold = true;
  Done(service().Switch(args, Soon()));
  const nlohmann::json undone = Done(service().CutoverAbort(SwitchOf().workflow, Soon()));
  EXPECT_THAT(undone["summary"].get<std::string>(), HasSubstr("was rolled back"));
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
}

TEST_F(HoldTest, AHoldIsRefusedWhereOnlyReadsWouldMove) {
  admin::SwitchArgs args = SwitchOf({TabletType::kReplica, TabletType::kRdonly});
  args.hold = true;
  ExpectRefused(service().Switch(args, Soon()), absl::StatusCode::kInvalidArgument,
                "--hold prepares a cutover of writes");
  ExpectUnchanged();
}

}  // namespace
}  // namespace sluice::traffic::testing
