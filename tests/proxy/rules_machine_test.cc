// Tests of the rules' machine, one group for each of its invariants.

#include "proxy/rules/rules_machine.h"

#include <random>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::proxy {
namespace {

using Kind = RulesEffect::Kind;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kOldRoutes = 1;
constexpr uint64_t kNewRoutes = 2;

const Touched kLow{{"a.t"}, {"a/-80"}};
const Touched kHigh{{"a.t"}, {"a/80-"}};
const Touched kOther{{"a.other"}, {"a/-80"}};

Hold HoldOf(const std::string& shard, absl::Duration lease = absl::Seconds(5)) {
  return {absl::StrCat("cutover of ", shard), {"a.t", "b.t"}, {shard}, lease};
}

std::vector<Kind> KindsOf(const RulesEffects& effects) {
  std::vector<Kind> kinds;
  for (const RulesEffect& effect : effects) {
    kinds.push_back(effect.kind);
  }
  return kinds;
}

// A machine, and a world of one's own for it: time goes on only when the test says so.
class RulesMachineTest : public ::testing::Test {
 protected:
  RulesEffects Offer(uint64_t epoch, const std::vector<Hold>& holds, uint64_t routes = kOldRoutes,
                     const std::string& broken = "") {
    const EpochRules rules{.epoch = epoch, .routes = routes, .holds = HoldTable(holds)};
    return machine_.Step(SetOffered{&rules, broken, now_});
  }
  void Keep(uint64_t epoch, uint64_t routes = kOldRoutes, bool synced = true) {
    machine_.Step(SetKept{epoch, routes, synced});
  }
  void OfferAndKeep(uint64_t epoch, const std::vector<Hold>& holds, uint64_t routes = kOldRoutes) {
    Offer(epoch, holds, routes);
    Keep(epoch, routes);
  }
  RulesEffect Ask(uint64_t epoch, const Touched& touched, uint64_t transaction = 0) {
    return machine_
        .Step(StatementAsks{.epoch = epoch,
                            .touched = &touched,
                            .transaction = transaction,
                            .now = now_,
                            .deadline = deadline_})
        .front();
  }
  uint64_t LetIn(uint64_t epoch, const Touched& touched, uint64_t transaction = 0) {
    const RulesEffect effect = Ask(epoch, touched, transaction);
    EXPECT_EQ(effect.kind, Kind::kLetIn);
    return effect.number;
  }
  [[nodiscard]] uint64_t have() const { return machine_.acknowledgement().have_epoch; }
  [[nodiscard]] uint64_t drained() const { return machine_.acknowledgement().drained_epoch; }

  RulesMachine machine_{BufferLimits{.statements_max = 2, .bytes_max = 100}};
  absl::Time now_ = absl::FromUnixSeconds(1000);
  absl::Time deadline_ = absl::FromUnixSeconds(2000);
};

// 1. Never routed by an expired rule.

TEST_F(RulesMachineTest, OnlyTheEpochInForceLetsIn) {
  OfferAndKeep(1, {});
  LetIn(1, kLow);
  OfferAndKeep(2, {}, kNewRoutes);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kPlanAnew);
  EXPECT_EQ(Ask(1, kOther).kind, Kind::kPlanAnew);
  LetIn(2, kLow);
}

TEST_F(RulesMachineTest, OnlyStatementsOfTheHeldShardWait) {
  OfferAndKeep(1, {HoldOf("a/-80")});
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kWait);
  LetIn(1, kHigh);
  LetIn(1, kOther);
  LetIn(1, {});
}

TEST_F(RulesMachineTest, WhoWaitsGoesWhereTheNextEpochSays) {
  OfferAndKeep(1, {HoldOf("a/-80")});
  ASSERT_EQ(Ask(1, kLow).kind, Kind::kWait);
  OfferAndKeep(2, {}, kNewRoutes);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kPlanAnew);
  LetIn(2, kLow);
}

TEST_F(RulesMachineTest, AtTheLeasesEndStatementsFailUntilAnotherEpoch) {
  OfferAndKeep(1, {HoldOf("a/-80", absl::Seconds(5))});
  EXPECT_EQ(Ask(1, kLow).until, now_ + absl::Seconds(5));
  now_ += absl::Seconds(5);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kLeaseOver);
  LetIn(1, kHigh);
  now_ += absl::Hours(100);
  deadline_ = now_ + absl::Seconds(1);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kLeaseOver);
  OfferAndKeep(2, {}, kNewRoutes);
  LetIn(2, kLow);
}

TEST_F(RulesMachineTest, TheLeaseOfATransactionThatWasInEndsToo) {
  OfferAndKeep(1, {});
  const uint64_t transaction = LetIn(1, kLow);
  OfferAndKeep(2, {HoldOf("a/-80")});
  LetIn(2, kLow, transaction);
  now_ += absl::Seconds(5);
  EXPECT_EQ(Ask(2, kLow, transaction).kind, Kind::kLeaseOver);
}

TEST_F(RulesMachineTest, ACoordinatorThatIsHeardRenewsTheLease) {
  OfferAndKeep(1, {HoldOf("a/-80", absl::Seconds(5))});
  now_ += absl::Seconds(4);
  machine_.Step(CoordinatorHeard{now_});
  now_ += absl::Seconds(4);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kWait);
  // An answer that is late must not shorten what a later one gave.
  machine_.Step(CoordinatorHeard{now_ - absl::Seconds(3)});
  machine_.Step(CoordinatorHeard{now_ - absl::Seconds(8)});
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kWait);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kLeaseOver);
}

TEST_F(RulesMachineTest, AHoldThatIsRepeatedInALaterEpochHasALeaseOfItsOwn) {
  OfferAndKeep(1, {HoldOf("a/-80", absl::Seconds(5))});
  now_ += absl::Seconds(4);
  OfferAndKeep(2, {HoldOf("a/-80", absl::Seconds(5))});
  now_ += absl::Seconds(4);
  EXPECT_EQ(Ask(2, kLow).kind, Kind::kWait);
}

TEST_F(RulesMachineTest, ATransactionThatWasInMayEndButOnlyInItsHold) {
  OfferAndKeep(1, {});
  const uint64_t low = LetIn(1, kLow);
  OfferAndKeep(2, {HoldOf("a/-80"), HoldOf("a/80-")});
  LetIn(2, kLow, low);
  EXPECT_EQ(Ask(2, kHigh, low).kind, Kind::kWait);
  EXPECT_EQ(Ask(2, kLow).kind, Kind::kWait);
}

TEST_F(RulesMachineTest, AStatementWaitsForAtMostItsWindow) {
  OfferAndKeep(1, {HoldOf("a/-80", absl::Seconds(50))});
  deadline_ = now_ + absl::Seconds(3);
  EXPECT_EQ(Ask(1, kLow).until, deadline_);
  now_ += absl::Seconds(3);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kTooLong);
}

// 2. Epochs only grow, and what is refused changes nothing.

TEST_F(RulesMachineTest, ARefusedSetChangesNothingButWhatIsReported) {
  OfferAndKeep(5, {HoldOf("a/-80")});
  const uint64_t work = LetIn(5, kHigh);
  machine_.Step(PlaceWanted{10});
  for (const uint64_t epoch : {4U, 6U}) {
    EXPECT_THAT(KindsOf(Offer(epoch, {}, kNewRoutes, epoch == 6 ? "two rules for 'a'" : "")),
                Contains(Kind::kRefuse));
    EXPECT_EQ(machine_.epoch(), 5U);
    EXPECT_EQ(have(), 5U);
    EXPECT_EQ(machine_.acknowledgement().refused_epoch, epoch);
    EXPECT_EQ(machine_.acknowledgement().held_statements, 1U);
    EXPECT_EQ(Ask(5, kLow).kind, Kind::kWait);
    LetIn(5, kHigh, work);
  }
  EXPECT_THAT(machine_.acknowledgement().refused_reason, HasSubstr("two rules for 'a'"));
  OfferAndKeep(7, {});
  EXPECT_EQ(machine_.acknowledgement().refused_epoch, 0U);
  EXPECT_EQ(machine_.acknowledgement().refused_reason, "");
}

TEST_F(RulesMachineTest, ASetThatIsHeardTwiceIsNotObeyedTwice) {
  OfferAndKeep(1, {HoldOf("a/-80", absl::Seconds(5))});
  now_ += absl::Seconds(4);
  EXPECT_THAT(KindsOf(Offer(1, {}, kNewRoutes)), ElementsAre());
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kWait);
  now_ += absl::Seconds(1);
  EXPECT_EQ(Ask(1, kLow).kind, Kind::kLeaseOver);  // hearing it is not an answer of its own
}

// 3. What is acknowledged is obeyed, also by the process that follows.

TEST_F(RulesMachineTest, AnEpochIsAcknowledgedOnlyWhenItIsObeyedAndKept) {
  EXPECT_THAT(KindsOf(Offer(1, {})), ElementsAre(Kind::kObey, Kind::kKeep));
  EXPECT_EQ(have(), 0U);
  LetIn(1, kLow);  // obeyed at once
  Keep(1, kOldRoutes, /*synced=*/false);
  EXPECT_EQ(have(), 0U);
  Keep(1, kOldRoutes, /*synced=*/true);
  EXPECT_EQ(have(), 1U);
}

TEST_F(RulesMachineTest, AHoldNeedsNoSyncWhereItsRoutesHaveOne) {
  OfferAndKeep(1, {});
  EXPECT_THAT(KindsOf(Offer(2, {HoldOf("a/-80")})), Not(Contains(Kind::kTell)));
  EXPECT_EQ(have(), 1U);
  EXPECT_THAT(KindsOf(machine_.Step(SetKept{2, kOldRoutes, false})), ElementsAre(Kind::kTell));
  EXPECT_EQ(have(), 2U);
}

TEST_F(RulesMachineTest, NewRoutesAreAcknowledgedOnlyWhenSynced) {
  OfferAndKeep(1, {});
  Offer(2, {}, kNewRoutes);
  Keep(2, kNewRoutes, /*synced=*/false);
  EXPECT_EQ(have(), 1U);
  Offer(3, {HoldOf("a/-80")}, kNewRoutes);
  Keep(3, kNewRoutes, /*synced=*/false);
  EXPECT_EQ(have(), 1U);
  Keep(2, kNewRoutes, /*synced=*/true);  // late; epoch 3 has the same routes
  EXPECT_EQ(have(), 3U);
}

TEST_F(RulesMachineTest, ALateSyncAcknowledgesWhatItIsOf) {
  OfferAndKeep(1, {});
  Offer(2, {}, kNewRoutes);
  Offer(3, {}, 3);
  Keep(2, kNewRoutes, /*synced=*/true);
  EXPECT_EQ(have(), 2U);
  EXPECT_EQ(drained(), 1U);
  Keep(3, 3, /*synced=*/true);
  EXPECT_EQ(have(), 3U);
}

TEST_F(RulesMachineTest, WhatIsNotKeptComesAgain) {
  Offer(1, {});
  EXPECT_THAT(KindsOf(Offer(1, {})), ElementsAre(Kind::kKeep));
  Keep(1);
  EXPECT_THAT(KindsOf(Offer(1, {})), ElementsAre());
}

// 4. Never drained while something is open that a hold names.

TEST_F(RulesMachineTest, DrainedWaitsForTheWorkOfHeldShardsOnly) {
  OfferAndKeep(1, {});
  const uint64_t low = LetIn(1, kLow);
  const uint64_t high = LetIn(1, kHigh);
  OfferAndKeep(2, {HoldOf("a/-80")});
  EXPECT_EQ(have(), 2U);
  EXPECT_EQ(drained(), 1U);
  EXPECT_EQ(machine_.acknowledgement().open_on_held, 1U);
  EXPECT_THAT(KindsOf(machine_.Step(WorkEnds{low})), ElementsAre(Kind::kTell));
  EXPECT_EQ(drained(), 2U);
  machine_.Step(WorkEnds{high});
}

TEST_F(RulesMachineTest, AStatementBecomesPartOfItsTransaction) {
  OfferAndKeep(1, {});
  const uint64_t transaction = LetIn(1, kOther);
  const uint64_t statement = LetIn(1, kLow, transaction);
  machine_.Step(WorkJoins{.into = transaction, .work = statement});
  OfferAndKeep(2, {HoldOf("a/-80")});
  EXPECT_EQ(drained(), 1U);
  LetIn(2, kLow, transaction);
  machine_.Step(WorkEnds{transaction});
  EXPECT_EQ(drained(), 1U);  // the last statement is open yet
  EXPECT_EQ(machine_.acknowledgement().open_on_held, 1U);
}

TEST_F(RulesMachineTest, WhatJoinsATransactionDuringAHoldKeepsItFromDraining) {
  OfferAndKeep(1, {});
  const uint64_t first = LetIn(1, kLow);
  const uint64_t second = LetIn(1, kOther);
  const uint64_t running = LetIn(1, kLow, second);
  OfferAndKeep(2, {HoldOf("a/-80")});
  machine_.Step(WorkJoins{.into = first, .work = LetIn(2, kLow, first)});
  machine_.Step(WorkJoins{.into = second, .work = running});
  EXPECT_EQ(machine_.acknowledgement().open_on_held, 2U);
  machine_.Step(WorkEnds{first});
  EXPECT_EQ(drained(), 1U);
  machine_.Step(WorkEnds{second});
  EXPECT_EQ(drained(), 2U);
}

TEST_F(RulesMachineTest, DrainedIsToldOnlyOfWhatIsAcknowledged) {
  OfferAndKeep(1, {});
  Offer(2, {}, kNewRoutes);
  EXPECT_EQ(drained(), 1U);
  Keep(2, kNewRoutes);
  EXPECT_EQ(drained(), 2U);
}

TEST_F(RulesMachineTest, WorkLetInDuringAHoldKeepsItFromDraining) {
  OfferAndKeep(1, {});
  const uint64_t transaction = LetIn(1, kLow);
  OfferAndKeep(2, {HoldOf("a/-80")});
  const uint64_t statement = LetIn(2, kLow, transaction);
  machine_.Step(WorkEnds{transaction});
  EXPECT_EQ(drained(), 1U);
  machine_.Step(WorkEnds{statement});
  EXPECT_EQ(drained(), 2U);
}

// 5. The buffer is bounded.

TEST_F(RulesMachineTest, PlacesAndBytesAreBounded) {
  const auto want = [&](size_t bytes) {
    return KindsOf(machine_.Step(PlaceWanted{bytes})).front();
  };
  EXPECT_EQ(want(101), Kind::kBufferFull);
  EXPECT_EQ(want(60), Kind::kTakePlace);
  EXPECT_EQ(want(60), Kind::kBufferFull);
  EXPECT_EQ(want(40), Kind::kTakePlace);
  EXPECT_EQ(want(0), Kind::kBufferFull);
  machine_.Step(PlaceLeft{60});
  EXPECT_EQ(want(60), Kind::kTakePlace);
  EXPECT_EQ(machine_.waiting(), 2U);
}

TEST_F(RulesMachineTest, IsAValue) {
  OfferAndKeep(1, {HoldOf("a/-80")});
  RulesMachine copy = machine_;
  EXPECT_TRUE(copy == machine_);
  const EpochRules rules{.epoch = 2, .routes = kNewRoutes, .holds = {}};
  copy.Step(SetOffered{&rules, "", now_});
  EXPECT_FALSE(copy == machine_);
  EXPECT_EQ(machine_.epoch(), 1U);
  machine_.Step(SetOffered{&rules, "", now_});
  EXPECT_TRUE(copy == machine_);
}

// All of it at once: a random walk, judged by a second bookkeeping that knows only the promises.
class RulesMachineWalk : public RulesMachineTest {
 protected:
  size_t Draw(size_t bound) { return random_() % bound; }

  void OfferSomething() {
    const uint64_t offered = epoch_ + Draw(3);
    std::vector<Hold> fresh;
    for (const char* shard : {"a/-80", "a/80-"}) {
      if (Draw(2) == 0) {
        fresh.push_back(HoldOf(shard));
      }
    }
    const uint64_t fresh_routes = 1 + Draw(3);
    const bool broken = Draw(4) == 0;
    Offer(offered, fresh, fresh_routes, broken ? "broken" : "");
    if (offered > epoch_ && !broken) {
      holds_ = HoldTable(fresh);
      epoch_ = offered;
      routes_ = fresh_routes;
      heard_ = now_;
    }
  }

  void KeepSomething() {
    if (epoch_ == 0) {
      return;
    }
    const bool synced = Draw(2) == 0;
    Keep(epoch_, routes_, synced);
    kept_ = epoch_;
    synced_routes_ = synced ? routes_ : synced_routes_;
  }

  void EndSomething() {
    if (open_.empty()) {
      return;
    }
    const auto ending = open_.begin() + static_cast<std::ptrdiff_t>(Draw(open_.size()));
    machine_.Step(WorkEnds{ending->first});
    open_.erase(ending);
  }

  void AskSomething() {
    const std::vector<Touched> all = {kLow, kHigh, kOther};
    const Touched touched = all[Draw(all.size())];
    const uint64_t planned = epoch_ - (epoch_ > 0 && Draw(8) == 0 ? 1 : 0);
    const bool held = !holds_.Of(touched).empty();
    const bool leased = now_ < heard_ + absl::Seconds(5);
    const RulesEffect effect = Ask(planned, touched);
    switch (effect.kind) {
      case Kind::kLetIn:
        EXPECT_EQ(planned, epoch_);
        EXPECT_FALSE(held);
        open_.emplace_back(effect.number, touched);
        return;
      case Kind::kWait:
        EXPECT_TRUE(held && leased && planned == epoch_);
        return;
      case Kind::kLeaseOver:
        EXPECT_TRUE(held && !leased && planned == epoch_);
        return;
      default:
        EXPECT_EQ(effect.kind, Kind::kPlanAnew);
        EXPECT_NE(planned, epoch_);
    }
  }

  void CheckPromises() {
    size_t open_on_held = 0;
    for (const auto& [number, touched] : open_) {
      open_on_held += holds_.Of(touched).empty() ? 0U : 1U;
    }
    EXPECT_EQ(machine_.epoch(), epoch_);
    EXPECT_EQ(machine_.acknowledgement().open_on_held, open_on_held);
    EXPECT_LE(drained(), have());
    EXPECT_TRUE(drained() < epoch_ || open_on_held == 0);
    EXPECT_TRUE(have() < epoch_ || epoch_ == 0 || (kept_ == epoch_ && synced_routes_ == routes_));
  }

  std::mt19937 random_;
  uint64_t epoch_ = 0;
  uint64_t routes_ = 0;
  uint64_t kept_ = 0;
  uint64_t synced_routes_ = 0;
  HoldTable holds_;
  absl::Time heard_;
  std::vector<std::pair<uint64_t, Touched>> open_;
};

TEST_F(RulesMachineWalk, BreaksNoPromise) {
  random_.seed(20261121);
  for (int step = 0; step < 20000 && !HasFailure(); ++step) {
    now_ += absl::Milliseconds(static_cast<int>(Draw(1500)));
    deadline_ = now_ + absl::Seconds(2);
    switch (Draw(6)) {
      case 0:
        OfferSomething();
        break;
      case 1:
        KeepSomething();
        break;
      case 2:
        machine_.Step(CoordinatorHeard{now_});
        heard_ = now_;
        break;
      case 3:
        EndSomething();
        break;
      default:
        AskSomething();
    }
    CheckPromises();
  }
}

}  // namespace
}  // namespace sluice::proxy
