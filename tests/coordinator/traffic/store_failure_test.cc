// A store that fails at any transaction of a command: the command ends, and every promise holds.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
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

class HeldStoreFailureTest : public TrafficTest {
 protected:
  // A switch of writes that is prepared and waits for a person.
  void Hold() {
    admin::SwitchArgs args = SwitchOf({routing::TabletType::kPrimary});
    args.hold = true;
    Done(service().Switch(args, Soon()));
    cluster_.ForgetRequests();
  }
  void FillTheDisk(int transactions) {
    coordinator_->store->FailAt(1, transactions, Failure::kNothingDone);
  }
  // The coordinator ends as it stands; the next one finds the disk as it should be.
  void StartTheNextOne() {
    coordinator_.reset();
    coordinator_ = std::make_unique<Coordinator>(path_, cluster_);
    ASSERT_TRUE(service().Recover().ok());
  }
  void ExpectPreparedAndNoMore() {
    EXPECT_THAT(cluster_.requests(),
                ::testing::Not(::testing::Contains(::testing::AnyOf(
                    ::testing::StartsWith("set_gate"), ::testing::StartsWith("control_stream"),
                    ::testing::StartsWith("place_stream")))));
    EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 1);
    EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
    EXPECT_TRUE(coordinator_->rules->Rules().holds.empty());
  }
};

constexpr int kForGood = 1'000'000;
constexpr char kCantBeWritten[] =
    "waiting for the coordinator's store, which can't be written: the disk is full";

TEST_F(HeldStoreFailureTest, AReleaseThatCantBeStoredLeavesAllAsItIsAndSaysSo) {
  Hold();
  FillTheDisk(kForGood);
  const absl::Time patience = absl::Now() + absl::Milliseconds(500);
  ExpectRefused(service().CutoverRelease(SwitchOf().workflow, patience),
                absl::StatusCode::kDeadlineExceeded, kCantBeWritten);
  ExpectPreparedAndNoMore();
  EXPECT_THAT(*service().CutoverShow(SwitchOf().workflow, 1), ::testing::HasSubstr(kCantBeWritten));
  // The store knows of no release, so whoever reads it waits for one.
  StartTheNextOne();
  ExpectPreparedAndNoMore();
  Done(service().CutoverRelease(SwitchOf().workflow, Soon()));
  EXPECT_TRUE(coordinator_->Workflow("customer", "move").writes_switched);
  EXPECT_STREQ(cluster_.world().violation, "");
}

TEST_F(HeldStoreFailureTest, AReleaseIsTakenBackWhenTheStoreIsWellAgain) {
  Hold();
  FillTheDisk(3);
  ExpectRefused(service().CutoverRelease(SwitchOf().workflow, Soon()), absl::StatusCode::kAborted,
                "its intent could not be stored: the disk is full");
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
  EXPECT_EQ(cluster_.source().gate, Gate(GateState::kOpen));
  EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
  EXPECT_EQ(Switch()["current_state"], kAllSwitched);
}

TEST_F(HeldStoreFailureTest, AnAbortThatCantBeStoredLeavesAllAsItIsAndSaysSo) {
  Hold();
  FillTheDisk(kForGood);
  const absl::Time patience = absl::Now() + absl::Milliseconds(500);
  ExpectRefused(service().CutoverAbort(SwitchOf().workflow, patience),
                absl::StatusCode::kDeadlineExceeded, kCantBeWritten);
  ExpectPreparedAndNoMore();
  StartTheNextOne();
  Done(service().CutoverAbort(SwitchOf().workflow, Soon()));
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
  EXPECT_EQ(coordinator_->UnfinishedStates(), 0U);
}

// The first step of undoing waits here for an answer, and the coordinator dies before it comes.
TEST_F(HeldStoreFailureTest, WhatIsTakenBackWhileItIsPreparedIsTakenBackByTheNextOneToo) {
  absl::Mutex mutex;
  bool asked = false;
  bool answered = false;
  cluster_.SetBefore([&](const std::string& request, const std::string&) {
    if (request != "create_stream") {
      return absl::OkStatus();
    }
    const absl::MutexLock lock(&mutex);
    asked = true;
    mutex.Await(absl::Condition(&answered));
    return absl::UnavailableError("the agent is away");
  });
  admin::SwitchArgs args = SwitchOf({routing::TabletType::kPrimary});
  args.hold = true;
  std::jthread command([&] { (void)service().Switch(args, absl::Now() + absl::Seconds(2)); });
  {
    const absl::MutexLock lock(&mutex);
    ASSERT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&asked), absl::Seconds(5)));
  }
  const absl::Time patience = absl::Now() + absl::Milliseconds(300);
  ExpectRefused(service().CutoverAbort(args.workflow, patience),
                absl::StatusCode::kDeadlineExceeded, "is undoing and goes on by itself");
  command.join();
  FillTheDisk(kForGood);
  {
    const absl::MutexLock lock(&mutex);
    answered = true;
  }
  StartTheNextOne();
  ASSERT_TRUE(coordinator_->AwaitIdle(absl::Seconds(5)));
  EXPECT_FALSE(coordinator_->Workflow("customer", "move").writes_switched);
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.source()), 0);
}

INSTANTIATE_TEST_SUITE_P(Kinds, StoreFailureTest,
                         ::testing::Values(Case{Failure::kNothingDone, 1, "OnceWithoutEffect"},
                                           Case{Failure::kDoneAnyway, 1, "OnceWithEffect"},
                                           Case{Failure::kNothingDone, 4, "ForAWhile"}),
                         [](const auto& each) { return std::string(each.param.name); });

}  // namespace
}  // namespace sluice::traffic::testing
