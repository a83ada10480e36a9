// complete and cancel in every state that a workflow's traffic can be in: whatever they answer, the
// side that serves keeps its tables and their rows.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::Contains;
using testing::HasSubstr;

constexpr char kNotAll[] = "cannot complete workflow because you have not yet switched all";
constexpr char kWritesSwitched[] = "writes are already switched; use reversetraffic first";

struct Case {
  std::string name;
  // "switchtraffic" or "reversetraffic", with the tablet types where not all.
  std::vector<std::vector<std::string>> steps;
  uint32_t serves = 100;         // takes writes then
  std::string complete_refused;  // empty: it is the end
  std::string cancel_refused;
};

const std::vector<Case>& Cases() {
  static const std::vector<Case> cases = {
      {"none", {}, 100, kNotAll, ""},
      {"reads", {{"switchtraffic", "replica,rdonly"}}, 100, kNotAll, ""},
      {"some_reads", {{"switchtraffic", "rdonly"}}, 100, kNotAll, ""},
      {"writes", {{"switchtraffic", "primary"}}, 200, kNotAll, kWritesSwitched},
      {"all", {{"switchtraffic"}}, 200, "", kWritesSwitched},
      {"reads_back",
       {{"switchtraffic"}, {"reversetraffic", "replica,rdonly"}},
       200,
       kNotAll,
       kWritesSwitched},
      {"writes_back", {{"switchtraffic"}, {"reversetraffic", "primary"}}, 100, kNotAll, ""},
      {"reversed", {{"switchtraffic"}, {"reversetraffic"}}, 100, kNotAll, ""},
      {"there_again",
       {{"switchtraffic"}, {"reversetraffic"}, {"switchtraffic"}},
       200,
       "",
       kWritesSwitched},
      {"reads_there_again",
       {{"switchtraffic"}, {"reversetraffic"}, {"switchtraffic", "replica,rdonly"}},
       100,
       kNotAll,
       ""},
  };
  return cases;
}

class FinishTableTest : public testing::Test {
 protected:
  void ExpectServes(uint32_t uid, const std::string& table) {
    EXPECT_THAT(scenario_->Ask(uid, "SELECT COUNT(*) FROM " + table), testing::ElementsAre("3"));
    EXPECT_EQ(scenario_->ProxyErrno("", "UPDATE " + table + " SET v = v + 1 WHERE id = 2"), 0U);
  }
  void Try(const Case& one) {
    SCOPED_TRACE(one.name);
    const std::string table = "t_" + one.name;
    const std::string workflow = "customer.w_" + one.name;
    scenario_->Ask(100, "CREATE TABLE " + table + " (id INT PRIMARY KEY, v INT)");
    scenario_->Ask(100, "INSERT INTO " + table + " VALUES (1, 1), (2, 2), (3, 3)");
    scenario_->Done({"movetables", "create", workflow, "--source", "commerce", "--tables", table});
    ASSERT_TRUE(scenario_->AwaitRunning(workflow));
    for (const std::vector<std::string>& step : one.steps) {
      std::vector<std::string> command = {"movetables", step[0], workflow};
      if (step.size() > 1) {
        command.insert(command.end(), {"--tablet-types", step[1]});
      }
      scenario_->Done(command);
    }
    const std::string state = scenario_->TrafficState(workflow);
    ExpectServes(one.serves, table);
    if (!one.steps.empty() && one.steps.front().size() == 1) {
      for (const char* verb : {"complete", "cancel"}) {
        scenario_->Refused({"movetables", verb, "commerce.w_" + one.name + "_reverse"},
                           "is the reverse of " + workflow);
      }
    }
    for (const char* mode : {"", "--keep-data", "--rename-tables", "--dry-run"}) {
      Refusals(one, workflow, mode);
    }
    EXPECT_EQ(scenario_->TrafficState(workflow), state);
    ExpectServes(one.serves, table);
    uint32_t serves = one.serves;
    if (!one.complete_refused.empty() && !one.cancel_refused.empty()) {
      // The way out that the refusal names.
      scenario_->Done({"movetables", "reversetraffic", workflow, "--tablet-types", "primary"});
      serves = 100;
    }
    scenario_->Done({"movetables", one.complete_refused.empty() ? "complete" : "cancel", workflow});
    ExpectServes(serves, table);
    const uint32_t other = serves == 100 ? 200 : 100;
    EXPECT_THAT(scenario_->TableNames(other), testing::Not(Contains(HasSubstr(table))));
  }
  void Refusals(const Case& one, const std::string& workflow, const std::string& mode) {
    for (const auto& [verb, refused] :
         {std::pair{"complete", one.complete_refused}, {"cancel", one.cancel_refused}}) {
      if (refused.empty() || (std::string(verb) == "cancel" && mode == "--rename-tables")) {
        continue;
      }
      std::vector<std::string> command = {"movetables", verb, workflow};
      if (!mode.empty()) {
        command.push_back(mode);
      }
      scenario_->Refused(command, refused);
    }
  }

  std::unique_ptr<Scenario> scenario_;
};

TEST_F(FinishTableTest, NeverTouchesTheSideThatServes) {
  scenario_ = Scenario::Start({.orders = 1});
  ASSERT_NE(scenario_, nullptr);
  for (const Case& one : Cases()) {
    Try(one);
  }
}

// Each shard is on a mysqld of its own; what one workflow's end does is not felt by the other's.
TEST_F(FinishTableTest, NorThoseOfOtherShards) {
  cluster::Topology topology;
  for (const auto& [keyspace, base] : {std::pair<std::string, uint32_t>{"ks", 100}, {"ks2", 200}}) {
    topology.tablets.push_back({.uid = base, .keyspace = keyspace, .shard = "-80"});
    topology.tablets.push_back({.uid = base + 1, .keyspace = keyspace, .shard = "80-"});
  }
  scenario_ = Scenario::StartEmpty(topology);
  ASSERT_NE(scenario_, nullptr);
  for (const uint32_t uid : {100U, 101U}) {
    scenario_->Ask(uid, "CREATE TABLE t (id INT PRIMARY KEY, v INT)");
    scenario_->Ask(uid, "INSERT INTO t VALUES (1, 1), (2, 2), (3, 3)");
  }
  const auto create = [&](const std::string& workflow, const std::string& shard) {
    scenario_->Done({"movetables", "create", workflow, "--source-keyspace", "ks", "--source-shards",
                     shard, "--all-tables"});
    ASSERT_TRUE(scenario_->AwaitRunning(workflow));
  };
  const auto rows = [&](uint32_t uid) { return scenario_->Ask(uid, "SELECT COUNT(*) FROM t")[0]; };
  create("ks2.low", "-80");
  create("ks2.high", "80-");
  scenario_->Refused({"movetables", "complete", "ks2.high"}, kNotAll);
  scenario_->Done({"movetables", "switchtraffic", "ks2.high"});
  scenario_->Refused({"movetables", "complete", "ks2.high"}, "shard(s) -80 of keyspace ks");
  scenario_->Refused({"movetables", "cancel", "ks2.high"}, kWritesSwitched);
  scenario_->Refused({"movetables", "complete", "ks2.low"}, kNotAll);
  scenario_->Done({"movetables", "cancel", "ks2.low"});
  EXPECT_EQ(rows(100) + rows(201), "33");
  EXPECT_TRUE(scenario_->TableNames(200).empty());
  create("ks2.low", "-80");
  scenario_->Done({"movetables", "switchtraffic", "ks2.low"});
  scenario_->Done({"movetables", "reversetraffic", "ks2.high"});
  scenario_->Refused({"movetables", "complete", "ks2.low"}, "shard(s) 80- of keyspace ks");
  scenario_->Refused({"movetables", "cancel", "ks2.low"}, kWritesSwitched);
  EXPECT_EQ(rows(101) + rows(200), "33");
  scenario_->Done({"movetables", "switchtraffic", "ks2.high"});
  scenario_->Done({"movetables", "complete", "ks2.low"});
  EXPECT_EQ(rows(200) + rows(201), "33");
  EXPECT_TRUE(scenario_->TableNames(100).empty());
  EXPECT_FALSE(scenario_->TableNames(101).empty()) << "the other workflow's";
  scenario_->Refused({"movetables", "cancel", "ks2.high"}, kWritesSwitched);
  scenario_->Done({"movetables", "complete", "ks2.high"});
  EXPECT_EQ(rows(200) + rows(201), "33");
  EXPECT_TRUE(scenario_->TableNames(101).empty());
}

}  // namespace
}  // namespace sluice::scenario
