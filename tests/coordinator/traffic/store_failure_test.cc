// A store that fails at any transaction of a command: the command ends, and every promise holds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <variant>

#include "absl/strings/str_cat.h"
#include "coordinator/cutover/codec.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using workflow::GateState;
using Failure = FlakyStore::Failure;

struct Case {
  Failure failure;
  int count;
  const char* name;
};

class StoreFailureTest : public TrafficTest, public ::testing::WithParamInterface<Case> {
 protected:
  // Everything anew, without what the last round left behind.
  void Renew() {
    coordinator_.reset();
    RemoveStore(path_);
    cluster_.Reset();
    coordinator_ = std::make_unique<Coordinator>(path_, cluster_);
    coordinator_->PutWorkflow();
  }
};

TEST_P(StoreFailureTest, ASwitchIsDoneOrUndoneAndCanBeRepeated) {
  int rolled_back = 0;
  for (int nth = 1; nth <= 20; ++nth) {
    SCOPED_TRACE(absl::StrCat("from transaction ", nth));
    Renew();
    coordinator_->store->FailAt(nth, GetParam().count, GetParam().failure);
    const auto answer = service().Switch(SwitchOf(), Soon());
    ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(10)));
    const auto record = coordinator_->Workflow("customer", "move");
    rolled_back += record.writes_switched ? 0 : 1;
    EXPECT_EQ(cluster_.target().gate == Gate(GateState::kOpen), record.writes_switched);
    EXPECT_EQ(cluster_.source().gate == Gate(GateState::kOpen), !record.writes_switched);
    EXPECT_TRUE(coordinator_->rules->Rules().holds.empty());
    coordinator_->store->FailAt(1, 0, Failure::kNothingDone);
    EXPECT_EQ(Switch()["current_state"], kAllSwitched);
    EXPECT_EQ(Reverse()["current_state"], kNothingSwitched);
    EXPECT_STREQ(cluster_.world().violation, "");
  }
  EXPECT_GT(rolled_back, 0);
  EXPECT_LT(rolled_back, 20);
}

TEST_P(StoreFailureTest, ACompleteIsRefusedOrFinished) {
  for (int nth = 1; nth <= 8; ++nth) {
    SCOPED_TRACE(absl::StrCat("from transaction ", nth));
    Renew();
    Switch();
    coordinator_->store->FailAt(nth, GetParam().count, GetParam().failure);
    const auto answer = service().Complete(FinishOf(), Soon());
    if (!coordinator_->AwaitIdle(absl::Seconds(5))) {
      // Decided without its being known: the next coordinator finishes it.
      coordinator_.reset();
      coordinator_ = std::make_unique<Coordinator>(path_, cluster_);
      ASSERT_TRUE(service().Recover().ok());
      ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(5)));
    }
    const bool gone = coordinator_->Workflows().empty();
    EXPECT_EQ(cluster_.source().dropped, gone);
    EXPECT_EQ(coordinator_->rules->Rules().table_rules.empty(), gone);
    EXPECT_TRUE(gone || !answer.ok());
  }
}

// Otherwise the next coordinator would go on with it, while requests that take it back are under
// way.
TEST_F(TrafficTest, WhatWaitsForAPersonIsUndoneOnlyWhenTheStoreKnows) {
  admin::SwitchArgs args = SwitchOf({routing::TabletType::kPrimary});
  args.hold = true;
  Done(service().Switch(args, Soon()));
  absl::Mutex mutex;
  std::vector<std::string> stored;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    if (request != "control_stream delete") {
      return absl::OkStatus();
    }
    const absl::MutexLock lock(&mutex);
    return coordinator_->store->Read([&](store::StoreReader& reader) -> absl::Status {
      const auto bytes = reader.FindCutoverState("customer.move");
      const auto state = cutover::DecodeOperation(bytes->value_or(""));
      stored.emplace_back(cutover::PhaseName(std::get<cutover::StoredCutover>(*state).state.phase));
      return absl::OkStatus();
    });
  });
  coordinator_->store->FailAt(1, 2, Failure::kNothingDone);
  Done(service().CutoverAbort(SwitchOf().workflow, Soon()));
  EXPECT_THAT(stored, ::testing::ElementsAre("undoing"));
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, StoreFailureTest,
                         ::testing::Values(Case{Failure::kNothingDone, 1, "OnceWithoutEffect"},
                                           Case{Failure::kDoneAnyway, 1, "OnceWithEffect"},
                                           Case{Failure::kNothingDone, 4, "ForAWhile"}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace sluice::traffic::testing
