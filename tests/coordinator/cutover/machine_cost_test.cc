// What the machine costs by the number of shards, measured against itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <ctime>
#include <deque>
#include <utility>
#include <vector>

#include "coordinator/cutover/machine.h"
#include "integration/explore/plans.h"

namespace sluice::cutover {
namespace {

double ProcessorSeconds() {
  return static_cast<double>(std::clock()) / CLOCKS_PER_SEC;
}

// A cutover in which all goes well, from its beginning to its end.
double SecondsOfCutover(uint32_t shards) {
  const double begin = ProcessorSeconds();
  State state;
  state.plan = explore::WritesPlan(shards);
  Transition transition = Step(std::move(state), Event::Begin());
  std::deque<Effect> open(transition.effects.begin(), transition.effects.end());
  while (!open.empty()) {
    transition =
        Step(std::move(transition.state), Event::Outcome(open.front(), Result::kOk, "", "uuid:1"));
    open.pop_front();
    open.insert(open.end(), transition.effects.begin(), transition.effects.end());
  }
  EXPECT_EQ(transition.state.phase, Phase::kDone);
  return ProcessorSeconds() - begin;
}

double MedianOfThree(uint32_t shards) {
  std::vector<double> seconds;
  for (int i = 0; i < 3; ++i) {
    seconds.push_back(SecondsOfCutover(shards));
  }
  std::sort(seconds.begin(), seconds.end());
  return seconds[1];
}

// Eight times the shards are eight times the events. That each of these looks at eight times the
// slots is 64 in all; a third factor of eight would let hundreds of shards wait for the
// coordinator.
TEST(CutoverMachineCostTest, GrowsByTheSquareOfTheShardsAtMost) {
  SecondsOfCutover(64);  // the first time caches are filled
  const double few = MedianOfThree(64);
  const double many = MedianOfThree(512);
  EXPECT_LT(many / few, 150) << few << " s and " << many << " s";
  RecordProperty("us_of_a_shard", static_cast<int>(1e6 * many / 512));
}

}  // namespace
}  // namespace sluice::cutover
