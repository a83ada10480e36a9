// Moves of sharded keyspaces: several shards in a mysqld, one agent for all of them.

#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "integration/scenarios/scenario.h"
#include "integration/scenarios/shard_clients.h"
#include "integration/workload/compare.h"

namespace sluice::scenario {
namespace {

constexpr char kWorkflow[] = "customer.move";
constexpr char kSwitched[] = "All Reads Switched. Writes Switched";
constexpr char kNotSwitched[] = "Reads Not Switched. Writes Not Switched";
const std::vector<std::string> kTables = {"corder", "customer"};

enum Side : uint32_t { kSource = 100, kTarget = 200 };

class ShardsTest : public testing::Test {
 protected:
  void StartShards(const ScenarioOptions& options, int rows) {
    shards_ = static_cast<uint32_t>(options.shards);
    scenario_ = Scenario::Start(options);
    ASSERT_NE(scenario_, nullptr);
    std::vector<ShardSides> sides;
    for (uint32_t i = 0; i < shards_; ++i) {
      Fill(i, rows);
      sides.push_back({OptionsOf(kSource + i), OptionsOf(kTarget + i)});
    }
    clients_ = std::make_unique<ShardClients>(std::move(sides));
    ASSERT_TRUE(clients_->AwaitWrites(5, absl::Seconds(30)).ok());
  }

  mysql::ConnectionOptions OptionsOf(uint32_t uid) {
    const cluster::TabletLayout* tablet = scenario_->cluster().FindTablet(uid);
    mysql::ConnectionOptions options = cluster::RootOptions(tablet->mysql_port);
    options.database = tablet->spec.database();
    return options;
  }

  // Rows that tell of which shard they are.
  void Fill(uint32_t shard, int rows) {
    const uint32_t uid = kSource + shard;
    scenario_->Ask(uid,
                   "CREATE TABLE corder (order_id BIGINT NOT NULL PRIMARY KEY, shard INT NOT NULL, "
                   "payload VARCHAR(64) NOT NULL)");
    scenario_->Ask(uid,
                   "CREATE TABLE customer (customer_id BIGINT NOT NULL PRIMARY KEY, shard INT NOT "
                   "NULL, name VARBINARY(32) NOT NULL, UNIQUE KEY (name))");
    const std::string numbers = absl::StrCat(
        " WITH RECURSIVE seq (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM seq WHERE n < ", rows,
        ") SELECT n + ", shard * 1'000'000, ", ", shard, ", ");
    scenario_->Ask(uid, absl::StrCat("INSERT /*+ SET_VAR(cte_max_recursion_depth = 1000000) */ "
                                     "INTO corder",
                                     numbers, "SHA2(CONCAT(n, '/', ", shard, "), 256) FROM seq"));
    scenario_->Ask(uid,
                   absl::StrCat("INSERT /*+ SET_VAR(cte_max_recursion_depth = 1000000) */ "
                                "INTO customer",
                                numbers, "UNHEX(SHA2(CONCAT(n, '-', ", shard, "), 256)) FROM seq"));
  }

  bool IsOpen(uint32_t uid) {
    return scenario_->Ask(uid,
                          "SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = "
                          "DATABASE() AND table_name = 'corder' AND table_type = 'BASE TABLE'") ==
           std::vector<std::string>{"1"};
  }

  // Shards that are open on the side.
  std::set<uint32_t> OpenShards(Side side) {
    std::set<uint32_t> open;
    for (uint32_t i = 0; i < shards_; ++i) {
      if (IsOpen(side + i)) {
        open.insert(i);
      }
    }
    return open;
  }

  void ExpectServing(Side side) {
    EXPECT_EQ(OpenShards(side).size(), shards_);
    EXPECT_TRUE(OpenShards(side == kSource ? kTarget : kSource).empty());
    EXPECT_EQ(scenario_->TrafficState(kWorkflow), side == kTarget ? kSwitched : kNotSwitched);
    const absl::Status written = clients_->AwaitWrites(10, absl::Seconds(60));
    EXPECT_TRUE(written.ok()) << written;
  }

  // Every shard's rows are those of the same-named shard on the other side, byte for byte, and all
  // that clients were told of is there.
  void JudgeAll(Side serving) {
    clients_->Pause();
    for (uint32_t i = 0; i < shards_; ++i) {
      SCOPED_TRACE(absl::StrCat("shard ", i));
      auto open = scenario_->cluster().ConnectMysqld(serving + i);
      auto closed =
          scenario_->cluster().ConnectMysqld((serving == kSource ? kTarget : kSource) + i);
      ASSERT_TRUE(open.ok() && closed.ok()) << open.status() << closed.status();
      for (const std::string& table : kTables) {
        const auto compared = workload::AwaitEqualTables(
            **open, mysql::QuoteName(table), **closed, mysql::QuoteName("_sluice_closed_" + table),
            table == "corder" ? "order_id" : "customer_id", absl::Seconds(30));
        ASSERT_TRUE(compared.ok()) << table << ": " << compared.status();
        EXPECT_GT(compared->rows_compared, 0U);
        EXPECT_EQ(compared->rows_different, 0U) << absl::StrJoin(compared->findings, "\n");
        EXPECT_EQ(scenario_->Ask(serving + i, absl::StrCat("SELECT DISTINCT shard FROM ", table)),
                  std::vector<std::string>{absl::StrCat(i)});
      }
      JudgeWrites(i, **open);
    }
    clients_->Resume();
  }

  void JudgeWrites(uint32_t shard, mysql::Connection& owner) {
    const auto verdict = clients_->Judge(shard, owner);
    ASSERT_TRUE(verdict.ok()) << verdict.status();
    EXPECT_EQ(*verdict, "");
  }

  void Create() {
    scenario_->Done({"movetables", "create", kWorkflow, "--source", "commerce", "--tables",
                     absl::StrJoin(kTables, ",")});
  }

  // Under faults: until it has succeeded.
  void Switch(const std::string& command, Side to) {
    const absl::Time deadline = absl::Now() + absl::Seconds(90);
    cluster::CommandResult last;
    do {
      last = scenario_->Sluice({"movetables", command, kWorkflow, "--timeout", "20s"});
    } while (last.exit_code != 0 && absl::Now() < deadline);
    ASSERT_EQ(last.exit_code, 0) << last.output << last.errors;
    ExpectServing(to);
  }

  void KillAndRestart(const std::string& victim) {
    ASSERT_TRUE(scenario_->cluster().Kill(victim).ok()) << victim;
    const absl::Status started = scenario_->cluster().Start(victim);
    ASSERT_TRUE(started.ok()) << victim << ": " << started;
    const absl::Status serving = scenario_->cluster().AwaitServing(absl::Seconds(60));
    ASSERT_TRUE(serving.ok()) << victim << ": " << serving;
  }

  // The steps of the newest cutover.
  nlohmann::json Timeline() {
    const nlohmann::json shown = scenario_->Json({"cutover", "show", kWorkflow});
    return shown["attempts"].empty() ? nlohmann::json::array() : shown["attempts"][0]["steps"];
  }

  void PrintCutover(const std::string& command) {
    std::map<std::string, std::pair<int64_t, int64_t>> spans;  // first start, last end
    for (const auto& step : Timeline()) {
      const int64_t begin = step["started_us"].get<int64_t>();
      const int64_t end = begin + step["took_us"].get<int64_t>();
      const auto [span, is_new] = spans.try_emplace(step["name"].get<std::string>(), begin, end);
      span->second.first = std::min(span->second.first, begin);
      span->second.second = std::max(span->second.second, end);
    }
    std::cout << command << " of " << shards_ << " shards:";
    for (const auto& [name, span] : spans) {
      std::cout << " " << name << " " << (span.second - span.first) / 1000 << " ms";
    }
    std::cout << std::endl;
    EXPECT_TRUE(spans.contains("fence"));
  }

  // Waits until it is so, or the time is over.
  static bool Await(const std::function<bool()>& so) {
    const absl::Time deadline = absl::Now() + absl::Seconds(20);
    bool seen = so();
    while (!seen && absl::Now() < deadline) {
      std::this_thread::sleep_for(std::chrono::milliseconds(10));  // Delay: between two looks
      seen = so();
    }
    return seen;
  }

  std::unique_ptr<Scenario> scenario_;
  std::unique_ptr<ShardClients> clients_;  // after it: ends first
  uint32_t shards_ = 0;
};

TEST_F(ShardsTest, FourShardsGoThereAndBackAndThereByOneCutoverEach) {
  StartShards({.proxies = 0, .shards = 4, .mysqlds = 2}, 2000);
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(
      scenario_->cluster().ProcessNames(),
      (std::vector<std::string>{"agent-100", "agent-101", "agent-200", "agent-201", "coordinator",
                                "mysqld-100", "mysqld-101", "mysqld-200", "mysqld-201"}));
  Create();
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  const auto status = scenario_->Json({"movetables", "status", kWorkflow});
  EXPECT_EQ(status["shard_streams"].size(), 4U) << status.dump(2);
  JudgeAll(kSource);
  for (const auto& [command, to] : {std::pair<std::string, Side>{"switchtraffic", kTarget},
                                    {"reversetraffic", kSource},
                                    {"switchtraffic", kTarget}}) {
    Switch(command, to);
    JudgeAll(to);
    PrintCutover(command);
    ASSERT_FALSE(HasFailure()) << command;
  }
  scenario_->Done({"movetables", "complete", kWorkflow});
  ASSERT_TRUE(clients_->AwaitWrites(10, absl::Seconds(30)).ok());
  clients_->Stop();
  for (uint32_t i = 0; i < shards_; ++i) {
    EXPECT_TRUE(scenario_->TableNames(kSource + i).empty());
    EXPECT_EQ(scenario_->TableNames(kTarget + i), kTables);
    JudgeWrites(i, **scenario_->cluster().ConnectMysqld(kTarget + i));
  }
}

// A reader holds the first shard's gate up; those of the others do not wait for it.
TEST_F(ShardsTest, GatesOfAllShardsCloseAndOpenSideBySide) {
  StartShards({.proxies = 0, .shards = 4, .mysqlds = 2}, 100);
  ASSERT_FALSE(HasFailure());
  cluster::Cluster& cluster = scenario_->cluster();
  ASSERT_TRUE(cluster.Terminate("agent-100").ok());
  ASSERT_TRUE(cluster.Start("agent-100", {"SLUICE_STOP_AT=gate.after_intent"}).ok());
  ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(30)).ok());
  Create();
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  auto late_reader = scenario_->cluster().ConnectMysqld(kTarget);
  ASSERT_TRUE(late_reader.ok());
  ASSERT_TRUE((*late_reader)->Execute("BEGIN").ok());
  ASSERT_TRUE((*late_reader)->Query("SELECT COUNT(*) FROM _sluice_closed_corder").ok());
  const std::set<uint32_t> others = {1, 2, 3};
  {
    const std::jthread command([&] {
      scenario_->Done({"movetables", "switchtraffic", kWorkflow, "--tablet-types", "primary",
                       "--timeout", "30s"});
    });
    const absl::Status stopped = cluster.AwaitStopped("agent-100", absl::Seconds(30));
    EXPECT_TRUE(stopped.ok()) << stopped;
    // Its shards are 0 and 2, and at least the one that it was about to close is open.
    EXPECT_TRUE(Await([&] {
      const std::set<uint32_t> open = OpenShards(kSource);
      return !open.contains(1) && !open.contains(3);
    })) << "the gates of another agent wait for this one's";
    EXPECT_FALSE(OpenShards(kSource).empty());
    EXPECT_TRUE(OpenShards(kTarget).empty()) << "opened before all are closed";
    EXPECT_TRUE(cluster.Resume("agent-100").ok());
    EXPECT_TRUE(Await([&] { return OpenShards(kTarget) == others; }))
        << "the gates of the other shards wait for the first one's";
    EXPECT_TRUE(OpenShards(kSource).empty());
    EXPECT_TRUE((*late_reader)->Execute("COMMIT").ok());
  }
  EXPECT_EQ(OpenShards(kTarget).size(), 4U);
  ASSERT_TRUE(clients_->AwaitWrites(10, absl::Seconds(60)).ok());
}

TEST_F(ShardsTest, AnAgentOfSeveralShardsIsKilledDuringTheCopyAndWhileRunning) {
  StartShards({.proxies = 0, .shards = 4, .mysqlds = 2}, 20'000);
  ASSERT_FALSE(HasFailure());
  cluster::Cluster& cluster = scenario_->cluster();
  ASSERT_TRUE(cluster.Terminate("agent-200").ok());
  ASSERT_TRUE(cluster.Start("agent-200", {"SLUICE_STOP_AT=copy.after_commit:2"}).ok());
  ASSERT_TRUE(cluster.AwaitServing(absl::Seconds(30)).ok());
  Create();
  const absl::Status stopped = cluster.AwaitStopped("agent-200", absl::Seconds(60));
  ASSERT_TRUE(stopped.ok()) << stopped;
  // Both shards of the target's agent, and both of a source's.
  for (const char* victim : {"agent-200", "agent-100"}) {
    KillAndRestart(victim);
    ASSERT_FALSE(HasFailure());
  }
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow, absl::Seconds(90)));
  JudgeAll(kSource);
  for (const char* victim : {"agent-200", "agent-100"}) {
    KillAndRestart(victim);
    ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow, absl::Seconds(60)));
    ASSERT_TRUE(clients_->AwaitWrites(10, absl::Seconds(30)).ok());
    JudgeAll(kSource);
    ASSERT_FALSE(HasFailure()) << victim;
  }
  Switch("switchtraffic", kTarget);
  JudgeAll(kTarget);
}

TEST_F(ShardsTest, AMysqldOfSeveralShardsIsKilledAndComesBack) {
  StartShards({.proxies = 0, .shards = 4, .mysqlds = 2}, 500);
  ASSERT_FALSE(HasFailure());
  Create();
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  for (const char* victim : {"mysqld-200", "mysqld-100"}) {
    KillAndRestart(victim);
    ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow, absl::Seconds(90)));
    ASSERT_TRUE(clients_->AwaitWrites(10, absl::Seconds(60)).ok());
    JudgeAll(kSource);
    ASSERT_FALSE(HasFailure()) << victim;
  }
  Switch("switchtraffic", kTarget);
  // The gates are durable: a closed side that restarts stays closed.
  for (const char* victim : {"mysqld-100", "mysqld-201"}) {
    KillAndRestart(victim);
    ExpectServing(kTarget);
    ASSERT_FALSE(HasFailure()) << victim;
  }
  ASSERT_TRUE(scenario_->AwaitRunning("commerce.move_reverse", absl::Seconds(90)));
  JudgeAll(kTarget);
}

TEST_F(ShardsTest, SixteenShardsOnTwoServersASideSwitchTogether) {
  StartShards({.proxies = 0, .shards = 16, .mysqlds = 2}, 100);
  ASSERT_FALSE(HasFailure());
  Create();
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow, absl::Seconds(120)));
  Switch("switchtraffic", kTarget);
  PrintCutover("switchtraffic");
  Switch("reversetraffic", kSource);
  PrintCutover("reversetraffic");
  JudgeAll(kSource);
}

// Source and target are databases of one mysqld, and one agent plays both roles.
TEST_F(ShardsTest, AKeyspaceMovesWithinItsMysqld) {
  StartShards({.proxies = 0, .shards = 2, .mysqlds = 1, .together = true}, 1000);
  ASSERT_FALSE(HasFailure());
  EXPECT_EQ(scenario_->cluster().ProcessNames(),
            (std::vector<std::string>{"agent-100", "coordinator", "mysqld-100"}));
  Create();
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  JudgeAll(kSource);
  KillAndRestart("agent-100");
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow, absl::Seconds(60)));
  Switch("switchtraffic", kTarget);
  JudgeAll(kTarget);
  Switch("reversetraffic", kSource);
  JudgeAll(kSource);
  // The streams' own commits come back by the binlog; they must not make further ones without end.
  clients_->Pause();
  const auto commits = [&] {
    const auto executed = scenario_->Ask(kSource, "SELECT @@GLOBAL.gtid_executed");
    uint64_t last = 0;
    EXPECT_TRUE(absl::SimpleAtoi(executed.at(0).substr(executed.at(0).rfind('-') + 1), &last));
    return last;
  };
  const uint64_t before = commits();
  std::this_thread::sleep_for(std::chrono::seconds(4));  // Delay: what happens meanwhile counts
  EXPECT_LE(commits() - before, 4U * 2U * 3U) << "of two streams in four seconds";
  clients_->Resume();
  Switch("switchtraffic", kTarget);
  scenario_->Done({"movetables", "complete", kWorkflow});
  clients_->Stop();
  for (uint32_t i = 0; i < shards_; ++i) {
    EXPECT_TRUE(scenario_->TableNames(kSource + i).empty());
    JudgeWrites(i, **scenario_->cluster().ConnectMysqld(kTarget + i));
  }
}

}  // namespace
}  // namespace sluice::scenario
