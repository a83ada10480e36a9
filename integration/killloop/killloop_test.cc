// The kill loop in short: around the commit, in both directions, each way once, and with gates of
// both kinds.

#include <gtest/gtest.h>

#include <array>
#include <cstdlib>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "integration/killloop/loop.h"

namespace sluice::killloop {
namespace {

LoopResult Strike(const std::vector<Case>& cases) {
  WorldOptions options;
  options.directory =
      absl::StrCat(testing::TempDir(), "/sluice-", getpid(), "-", absl::GetCurrentTimeNanos());
  options.bin_directory = std::getenv("SLUICE_BIN_DIR");
  auto result = RunLoop(options, cases);
  EXPECT_TRUE(result.ok()) << result.status();
  return result.ok() ? *std::move(result) : LoopResult{};
}

// The only cases of a choice that is to have one in each direction.
std::vector<Case> Both(Gate gate, const std::string& name, const std::string& process,
                       const std::string& way) {
  Choice choice;
  choice.gates = {GateName(gate)};
  choice.names = {name};
  choice.processes = {process};
  choice.ways = {way};
  std::vector<Case> cases = ChooseCases(choice);
  EXPECT_EQ(cases.size(), 2U) << name;
  return cases;
}

using Strokes = std::vector<std::array<const char*, 3>>;

void Add(std::vector<Case>& cases, Gate gate, const Strokes& strokes) {
  for (const auto& [name, process, way] : strokes) {
    const std::vector<Case> both = Both(gate, name, process, way);
    cases.insert(cases.end(), both.begin(), both.end());
  }
}

TEST(KillLoopTest, AroundTheFenceAndTheCommitNothingIsLost) {
  std::vector<Case> cases;
  Add(cases, Gate::kTables,
      {{"cutover.seal.done", "coordinator", "exit"},
       {"cutover.commit.intent:2", "to-mysqld", "kill"},
       {"cutover.commit.done:2", "from-mysqld", "kill"},
       {"cutover.open_gate.done", "to-agent", "kill"},
       {"cutover.close_gate.done", "proxy-1", "kill"},
       {"cutover.reopen_gate.intent", "from-agent", "kill"},
       {"gate.after_rename@from-agent", "coordinator", "cut"},
       {"cutover.open_gate.intent", "proxy-2", "cut"}});
  // Longer than a lease, once.
  cases.push_back(Both(Gate::kTables, "cutover.seal.intent", "coordinator", "stop").front());
  Add(cases, Gate::kServer,
      {{"server.locked@from-agent", "from-mysqld", "kill"},
       {"gate.after_rename@from-agent", "from-agent", "exit"},
       {"server.forgotten@to-agent", "to-mysqld", "kill"},
       {"cutover.commit.done:2", "to-agent", "cut"}});
  cases.push_back(Both(Gate::kServer, "server.ending@from-agent", "from-agent", "exit").front());
  const LoopResult result = Strike(cases);
  EXPECT_EQ(result.violation, "");
  EXPECT_EQ(result.not_reached(), 0U) << result.ToText();
  EXPECT_EQ(result.cases, cases.size());
  EXPECT_GT(result.totals.acknowledged_writes, 0U);
  EXPECT_GT(result.totals.rows_compared, 0U);
  EXPECT_GT(result.totals.connections_cut, 0U);
  EXPECT_GT(result.totals.direct_writes, 0U);
  EXPECT_GT(result.totals.direct_refusals, 0U);
  EXPECT_GT(result.totals.looks, 0U);
}

}  // namespace
}  // namespace sluice::killloop
