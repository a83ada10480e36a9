// The explorer: that small cutovers and proxies keep their promises, and that it would notice if
// they did not. `sluice-explore` goes further.

#include "integration/explore/explore.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_join.h"
#include "integration/explore/plans.h"

namespace sluice::explore {
namespace {

using cutover::Event;
using cutover::Phase;
using cutover::Progress;
using cutover::Slot;
using cutover::State;
using cutover::Transition;

SearchResult Cutover(uint32_t shards, uint32_t faults_max,
                     MachineTable::StepFunction step = cutover::Step, bool obey_any_epoch = false) {
  RuleChanges changes = {};
  return ExploreCutover({.name = "test",
                         .model = {.plan = WritesPlan(shards),
                                   .step = std::move(step),
                                   .obey_any_epoch = obey_any_epoch},
                         .faults_max = faults_max},
                        changes)
      .result;
}

std::string Story(const SearchResult& result) {
  return result.violation + ", after:\n  " + absl::StrJoin(result.trace, "\n  ");
}

TEST(ExploreTest, OneShardKeepsItsPromisesUnderAFault) {
  const SearchResult result = Cutover(1, 1);
  EXPECT_EQ(result.violation, "") << Story(result);
  EXPECT_GT(result.ends, 1U);
  EXPECT_GT(result.states, 1'000U);
}

TEST(ExploreTest, TwoShardsKeepTheirPromisesWithoutFaults) {
  const SearchResult result = Cutover(2, 0);
  EXPECT_EQ(result.violation, "") << Story(result);
  EXPECT_GT(result.ends, 1U);
}

TEST(ExploreTest, EveryFaultMoreReachesMoreStates) {
  const SearchResult result = Cutover(1, 1);
  ASSERT_EQ(result.states_by_faults.size(), 2U);
  EXPECT_GT(result.states_by_faults[1], result.states_by_faults[0]);
  EXPECT_EQ(result.states, result.states_by_faults[0] + result.states_by_faults[1]);
}

TEST(ExploreTest, RulesOfACutoverGoFromOldOverAHoldToOldOrNew) {
  RuleChanges changes = {};
  ExploreCutover({.name = "test", .model = {.plan = WritesPlan(1)}, .faults_max = 0}, changes);
  const auto follows = [&](Rules from, Rules to) {
    return changes.at(static_cast<size_t>(from)).at(static_cast<size_t>(to));
  };
  EXPECT_TRUE(follows(Rules::kOld, Rules::kHold));
  EXPECT_TRUE(follows(Rules::kHold, Rules::kOld));
  EXPECT_TRUE(follows(Rules::kHold, Rules::kNew));
  EXPECT_FALSE(follows(Rules::kOld, Rules::kNew));
  EXPECT_FALSE(follows(Rules::kNew, Rules::kOld));
}

TEST(ExploreTest, ProxiesKeepTheirPromises) {
  RuleChanges changes = {};
  changes[0][1] = changes[1][0] = changes[1][2] = true;
  const Report report =
      ExploreProxies({.name = "test", .proxies = 2, .epochs_max = 2, .faults_max = 1}, changes);
  EXPECT_EQ(report.result.violation, "") << Story(report.result);
  EXPECT_GT(report.result.states, 1'000U);
}

TEST(ExploreTest, BoundsAreShortAndLong) {
  EXPECT_TRUE(BoundOf("short").has_value());
  EXPECT_TRUE(BoundOf("long").has_value());
  EXPECT_FALSE(BoundOf("medium").has_value());
}

// The explorer is worth something only if it finds what is wrong.

TEST(ExploreTest, FindsARepeatedStopThatComesBehindTheFreeze) {
  RuleChanges changes = {};
  const auto always_before = [](const State& state, cutover::EffectKind kind) {
    return kind == cutover::EffectKind::kStopStream ? state.plan.epoch : EpochOf(state, kind);
  };
  const Report report = ExploreCutover({.name = "test",
                                        .model = {.plan = WritesPlan(1), .epoch_of = always_before},
                                        .faults_max = 1},
                                       changes);
  EXPECT_NE(report.result.violation, "");
}

TEST(ExploreTest, FindsThatLateRequestsHurtWhereEpochsAreIgnored) {
  const SearchResult result = Cutover(1, 2, cutover::Step, /*obey_any_epoch=*/true);
  EXPECT_NE(result.violation, "");
  EXPECT_FALSE(result.trace.empty());
}

TEST(ExploreTest, FindsAMachineThatTakesUnknownForDone) {
  const auto careless = [](State state, const Event& event) {
    Event believed = event;
    if (event.type == Event::Type::kOutcome && event.result == cutover::Result::kUnknown) {
      believed.result = cutover::Result::kOk;
    }
    return Step(std::move(state), believed);
  };
  EXPECT_NE(Cutover(1, 1, careless).violation, "");
}

TEST(ExploreTest, FindsAMachineThatForgetsWhatItIssued) {
  const auto forgetful = [](State state, const Event& event) {
    if (event.type == Event::Type::kRecovered && state.phase == Phase::kPreparing) {
      std::erase_if(state.slots,
                    [](const Slot& slot) { return slot.progress == Progress::kIssued; });
    }
    return Step(std::move(state), event);
  };
  EXPECT_NE(Cutover(1, 1, forgetful).violation, "");
}

TEST(ExploreTest, FindsAMachineThatStopsRepeatingAfterTheCommit) {
  const auto tired = [](State state, const Event& event) {
    Transition transition = Step(std::move(state), event);
    std::erase_if(transition.effects, [&](const cutover::Effect& effect) {
      return transition.state.phase == Phase::kCommitted && effect.attempt > 1;
    });
    return transition;
  };
  EXPECT_NE(Cutover(1, 1, tired).violation, "");
}

TEST(ExploreTest, FindsAMachineThatStandsStill) {
  const auto lazy = [](State state, const Event& event) {
    if (state.phase == Phase::kCommitted && event.type == Event::Type::kOutcome &&
        event.result != cutover::Result::kOk) {
      return Transition{.state = std::move(state), .effects = {}};
    }
    if (state.phase == Phase::kUndoing && event.type == Event::Type::kOutcome &&
        event.effect.kind == cutover::EffectKind::kReopenGate) {
      return Transition{.state = std::move(state), .effects = {}};
    }
    return Step(std::move(state), event);
  };
  EXPECT_NE(Cutover(1, 1, lazy).violation, "");
}

}  // namespace
}  // namespace sluice::explore
