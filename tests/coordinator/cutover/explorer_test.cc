// The promises of the cutover, under every order of faults that the bounds allow.

#include "tests/coordinator/cutover/explorer.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/str_join.h"

namespace sluice::cutover::testing {
namespace {

// Sanitizers make each state ten times as dear.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kFaults = 2;
#else
constexpr int kFaults = 3;
#endif

ExplorerResult Explore(ExplorerOptions options) {
  return Explorer(std::move(options)).Run();
}

std::string Story(const ExplorerResult& result) {
  return result.violation + " after:\n  " + absl::StrJoin(result.trace, "\n  ");
}

TEST(CutoverExplorerTest, OneShardKeepsAllPromisesUnderSeveralFaults) {
  const ExplorerResult result = Explore({.shards = 1, .faults_max = kFaults});
  EXPECT_EQ(result.violation, "") << Story(result);
  EXPECT_GT(result.done, 0U);
  EXPECT_GT(result.rolled_back, 0U);
  EXPECT_GT(result.states, 10'000U);
  RecordProperty("states", static_cast<int>(result.states));
}

TEST(CutoverExplorerTest, TwoShardsKeepAllPromisesUnderOneFault) {
  const ExplorerResult result = Explore({.shards = 2, .faults_max = 1});
  EXPECT_EQ(result.violation, "") << Story(result);
  EXPECT_GT(result.done, 0U);
  EXPECT_GT(result.rolled_back, 0U);
  RecordProperty("states", static_cast<int>(result.states));
}

TEST(CutoverExplorerTest, WithoutFaultsTheOnlyEndIsDone) {
  const ExplorerResult result = Explore({.shards = 1, .faults_max = 0});
  EXPECT_EQ(result.violation, "") << Story(result);
  EXPECT_GT(result.done, 0U);
  EXPECT_EQ(result.rolled_back, 0U);
}

// The explorer is worth something only if it finds what is wrong.

TEST(CutoverExplorerTest, FindsThatLateRequestsHurtWhereEpochsAreIgnored) {
  const ExplorerResult result =
      Explore({.shards = 1, .faults_max = 2, .weak = {.ignore_epochs = true}});
  EXPECT_NE(result.violation, "");
}

TEST(CutoverExplorerTest, FindsARepeatedStopThatComesBehindTheFreeze) {
  const auto always_before = [](const State& state, EffectKind kind) {
    return kind == EffectKind::kStopStream ? state.plan.epoch : EpochOf(state, kind);
  };
  const ExplorerResult result = Explore({.shards = 1, .faults_max = 1, .epoch_of = always_before});
  EXPECT_NE(result.violation, "");
}

TEST(CutoverExplorerTest, FindsAMachineThatTakesUnknownForDone) {
  const auto careless = [](State state, const Event& event) {
    Event believed = event;
    if (event.type == Event::Type::kOutcome && event.result == Result::kUnknown) {
      believed.result = Result::kOk;
    }
    return Step(std::move(state), believed);
  };
  const ExplorerResult result = Explore({.shards = 1, .faults_max = 1, .step = careless});
  EXPECT_NE(result.violation, "");
}

TEST(CutoverExplorerTest, FindsAMachineThatForgetsWhatItIssued) {
  const auto forgetful = [](State state, const Event& event) {
    if (event.type == Event::Type::kRecovered && state.phase == Phase::kPreparing) {
      std::erase_if(state.slots,
                    [](const Slot& slot) { return slot.progress == Progress::kIssued; });
    }
    return Step(std::move(state), event);
  };
  const ExplorerResult result = Explore({.shards = 1, .faults_max = 1, .step = forgetful});
  EXPECT_NE(result.violation, "");
}

TEST(CutoverExplorerTest, FindsAMachineThatStopsRepeatingAfterTheCommit) {
  const auto tired = [](State state, const Event& event) {
    Transition transition = Step(std::move(state), event);
    std::erase_if(transition.effects, [&](const Effect& effect) {
      return transition.state.phase == Phase::kCommitted && effect.attempt > 1;
    });
    return transition;
  };
  const ExplorerResult result = Explore({.shards = 1, .faults_max = 1, .step = tired});
  EXPECT_NE(result.violation, "");
}

}  // namespace
}  // namespace sluice::cutover::testing
