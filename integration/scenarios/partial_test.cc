// A keyspace of two shards moves shard by shard: one shard's reads and writes go over and come back
// while the other stays, under clients of both, and complete leaves nothing behind.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

// Tablets: each shard has a mysqld of its own on either side.
constexpr uint32_t kLow = 100;
constexpr uint32_t kHigh = 101;
constexpr uint32_t kLowTarget = 200;
constexpr uint32_t kHighTarget = 201;

constexpr char kNothingSwitched[] = "Reads Not Switched. Writes Not Switched";
constexpr char kHighSwitched[] =
    "Reads partially switched, for shards: 80-. Writes partially switched, for shards: 80-";
constexpr char kAllSwitched[] = "All Reads Switched. All Writes Switched";

cluster::Topology TwoShards() {
  cluster::Topology topology;
  for (const auto& [keyspace, base] :
       {std::pair<std::string, uint32_t>{"ks", kLow}, {"ks2", kLowTarget}}) {
    topology.tablets.push_back({.uid = base, .keyspace = keyspace, .shard = "-80"});
    topology.tablets.push_back({.uid = base + 1, .keyspace = keyspace, .shard = "80-"});
  }
  return topology;
}

// A client of one shard that notes each row whose insert was acknowledged.
class ShardWriter {
 public:
  ShardWriter(cluster::Cluster& cluster, std::string target, int64_t first)
      : cluster_(cluster), target_(std::move(target)), next_(first) {
    thread_ = std::jthread([this](const std::stop_token& stop) { Write(stop); });
  }

  void Stop() {
    thread_.request_stop();
    if (thread_.joinable()) {
      thread_.join();
    }
  }
  std::vector<std::string> errors() const {
    const absl::MutexLock lock(&mutex_);
    return errors_;
  }
  std::set<int64_t> acknowledged() const {
    const absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  // Returns when `more` further rows are acknowledged.
  void AwaitMore(size_t more) {
    const absl::MutexLock lock(&mutex_);
    const size_t wanted = acknowledged_.size() + more;
    const auto enough = [&] {
      mutex_.AssertReaderHeld();
      return acknowledged_.size() >= wanted;
    };
    EXPECT_TRUE(mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20))) << target_;
  }

 private:
  void Write(const std::stop_token& stop) {
    std::unique_ptr<mysql::Connection> connection;
    while (!stop.stop_requested()) {
      if (connection == nullptr) {
        auto connected = cluster_.ConnectProxy(target_);
        if (!connected.ok()) {
          Note(connected.status());
          return;
        }
        connection = *std::move(connected);
      }
      const int64_t id = next_++;
      const auto result =
          connection->Query(absl::StrCat("INSERT INTO customer VALUES (", id, ", 'client')"));
      if (!result.ok()) {
        Note(result.status());
        connection.reset();
        continue;
      }
      const absl::MutexLock lock(&mutex_);
      acknowledged_.insert(id);
    }
  }
  void Note(const absl::Status& status) {
    const absl::MutexLock lock(&mutex_);
    errors_.push_back(status.ToString());
  }

  cluster::Cluster& cluster_;
  const std::string target_;
  int64_t next_;
  mutable absl::Mutex mutex_;
  std::set<int64_t> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> errors_ ABSL_GUARDED_BY(mutex_);
  std::jthread thread_;
};

class PartialScenarioTest : public testing::Test {
 protected:
  void SetUp() override {
    scenario_ = Scenario::StartEmpty(TwoShards());
    ASSERT_NE(scenario_, nullptr);
    for (const uint32_t uid : {kLow, kHigh}) {
      scenario_->Ask(uid, "CREATE TABLE customer (id BIGINT PRIMARY KEY, note VARCHAR(32))");
      scenario_->Ask(uid, "CREATE TABLE corder (id BIGINT PRIMARY KEY, total INT)");
      scenario_->Ask(
          uid, absl::StrCat("INSERT INTO corder VALUES (", uid, ", 1), (", uid + 1000, ", 2)"));
      scenario_->Ask(uid, absl::StrCat("INSERT INTO customer VALUES (", uid, ", 'first')"));
    }
  }

  std::vector<std::string> ShardRules() {
    std::vector<std::string> rules;
    const nlohmann::json document = scenario_->Json({"GetShardRoutingRules"});
    for (const auto& rule : document["rules"]) {
      rules.push_back(absl::StrCat(rule["from_keyspace"].get<std::string>(), " > ",
                                   rule["to_keyspace"].get<std::string>(), " ",
                                   rule["shard"].get<std::string>()));
    }
    return rules;
  }
  // Writes a row through the proxy and finds it on exactly that server.
  void ExpectGoesTo(const std::string& target, uint32_t uid) {
    SCOPED_TRACE(target);
    const std::string id = absl::StrCat(++probe_);
    ASSERT_EQ(scenario_->ProxyErrno(target, "INSERT INTO corder VALUES (" + id + ", 7)"), 0U);
    EXPECT_THAT(scenario_->Ask(uid, "SELECT total FROM corder WHERE id = " + id), ElementsAre("7"));
  }
  void Create(const std::string& workflow, const std::string& shards) {
    scenario_->Done({"movetables", "create", workflow, "--source-keyspace", "ks", "--source-shards",
                     shards, "--all-tables"});
    ASSERT_TRUE(scenario_->AwaitRunning(workflow));
  }
  std::vector<std::string> Workflows(const std::string& keyspace) {
    return scenario_->Json({"workflow", keyspace, "list"})["workflows"];
  }
  // Each acknowledged row is there once, and no other row of the client.
  void ExpectAllWrites(const ShardWriter& writer, uint32_t uid) {
    std::set<int64_t> found;
    for (const std::string& id :
         scenario_->Ask(uid, "SELECT id FROM customer WHERE note = 'client'")) {
      found.insert(std::stoll(id));
    }
    EXPECT_EQ(found, writer.acknowledged());
    EXPECT_THAT(writer.errors(), IsEmpty());
    EXPECT_GT(writer.acknowledged().size(), 20U);
  }

  std::unique_ptr<Scenario> scenario_;
  int64_t probe_ = 5'000;
};

TEST_F(PartialScenarioTest, OneShardGoesOverAndBackWhileTheOtherStays) {
  scenario_->Refused({"movetables", "create", "ks2.high", "--source", "ks", "--source-shards",
                      "80-", "--tables", "customer"},
                     "table(s) corder of shard ks/80- would be left behind");
  scenario_->Refused({"movetables", "create", "ks2.high", "--source", "ks", "--source-shards",
                      "40-", "--all-tables"},
                     "keyspace ks has no shard 40-");
  Create("ks2.high", "80-");
  EXPECT_THAT(ShardRules(), UnorderedElementsAre("ks2 > ks -80", "ks2 > ks 80-"));
  for (const char* keyspace : {"ks", "ks2"}) {
    ExpectGoesTo(absl::StrCat(keyspace, ":-80"), kLow);
    ExpectGoesTo(absl::StrCat(keyspace, ":80-"), kHigh);
  }
  EXPECT_EQ(scenario_->TrafficState("ks2.high"), kNothingSwitched);
  scenario_->Refused({"movetables", "switchtraffic", "ks2.high", "--tablet-types", "replica"},
                     "name the tablet types RDONLY,REPLICA,PRIMARY together");

  ShardWriter low(scenario_->cluster(), "ks:-80", 1'000'000);
  ShardWriter high(scenario_->cluster(), "ks:80-", 2'000'000);
  low.AwaitMore(20);
  high.AwaitMore(20);
  scenario_->Done({"movetables", "switchtraffic", "ks2.high"});
  high.AwaitMore(20);
  EXPECT_EQ(scenario_->TrafficState("ks2.high"), kHighSwitched);
  EXPECT_THAT(ShardRules(), UnorderedElementsAre("ks2 > ks -80", "ks > ks2 80-"));
  for (const char* keyspace : {"ks", "ks2"}) {
    ExpectGoesTo(absl::StrCat(keyspace, ":-80"), kLow);
    ExpectGoesTo(absl::StrCat(keyspace, ":80-"), kHighTarget);
  }
  scenario_->Done(
      {"movetables", "reversetraffic", "ks2.high", "--tablet-types", "rdonly,replica,primary"});
  high.AwaitMore(20);
  ExpectGoesTo("ks2:80-", kHigh);
  EXPECT_EQ(scenario_->TrafficState("ks2.high"), kNothingSwitched);
  scenario_->Done({"movetables", "switchtraffic", "ks2.high"});
  high.AwaitMore(20);
  low.AwaitMore(20);
  low.Stop();
  high.Stop();
  ExpectAllWrites(low, kLow);
  ExpectAllWrites(high, kHighTarget);
  EXPECT_THAT(scenario_->TableNames(kHigh),
              ElementsAre("_sluice_closed_corder", "_sluice_closed_customer", "corder", "customer"))
      << "the tables, and the guards of their names";
  scenario_->Refused({"movetables", "complete", "ks2.high"},
                     "shard(s) -80 of keyspace ks are still served by it");
}

TEST_F(PartialScenarioTest, TheLastShardsCompleteTakesTheRulesAlong) {
  Create("ks2.high", "80-");
  scenario_->Done({"movetables", "switchtraffic", "ks2.high"});
  Create("ks2.low", "-80");
  EXPECT_THAT(ShardRules(), UnorderedElementsAre("ks2 > ks -80", "ks > ks2 80-"));
  ShardWriter low(scenario_->cluster(), "ks2:-80", 1'000'000);
  ShardWriter high(scenario_->cluster(), "ks2:80-", 2'000'000);
  low.AwaitMore(20);
  scenario_->Done({"movetables", "switchtraffic", "ks2.low"});
  low.AwaitMore(20);
  for (const char* workflow : {"ks2.low", "ks2.high"}) {
    EXPECT_EQ(scenario_->TrafficState(workflow), kAllSwitched);
  }
  EXPECT_THAT(scenario_->Done({"movetables", "complete", "ks2.high", "--dry-run"}),
              HasSubstr("Routing rules stay: other shards of the keyspaces need them"));
  scenario_->Done({"movetables", "complete", "ks2.high"});
  EXPECT_THAT(ShardRules(), UnorderedElementsAre("ks > ks2 -80", "ks > ks2 80-"));
  ExpectGoesTo("ks:80-", kHighTarget);
  EXPECT_THAT(scenario_->TableNames(kHigh), IsEmpty());
  scenario_->Refused({"movetables", "create", "ks2.again", "--source", "ks", "--source-shards",
                      "80-", "--all-tables"},
                     "shard 80- is served by keyspace ks2 already");
  // The other one can still go back.
  scenario_->Done({"movetables", "reversetraffic", "ks2.low"});
  ExpectGoesTo("ks:-80", kLow);
  ExpectGoesTo("ks:80-", kHighTarget);
  scenario_->Done({"movetables", "switchtraffic", "ks2.low"});
  low.AwaitMore(20);
  high.AwaitMore(20);
  scenario_->Done({"movetables", "complete", "ks2.low"});
  low.AwaitMore(20);
  high.AwaitMore(20);
  low.Stop();
  high.Stop();
  ExpectAllWrites(low, kLowTarget);
  ExpectAllWrites(high, kHighTarget);
  EXPECT_THAT(ShardRules(), IsEmpty());
  EXPECT_THAT(scenario_->Json({"getroutingrules"})["rules"], IsEmpty());
  for (const char* keyspace : {"ks", "ks2"}) {
    EXPECT_THAT(Workflows(keyspace), IsEmpty());
  }
  EXPECT_THAT(scenario_->TableNames(kLow), IsEmpty());
  ExpectGoesTo("ks2:-80", kLowTarget);
}

TEST_F(PartialScenarioTest, CancelLeavesTheSourceAsItWas) {
  Create("ks2.both", "-80,80-");
  EXPECT_EQ(scenario_->Json({"movetables", "show", "ks2.both", "--shards", "80-"})["ShardStatuses"]
                .size(),
            1U);
  scenario_->Done({"movetables", "stop", "ks2.both", "--shards", "80-"});
  const auto streams = scenario_->Json({"movetables", "status", "ks2.both"})["shard_streams"];
  EXPECT_EQ(streams["ks2/80-"]["streams"][0]["status"], "Stopped");
  EXPECT_EQ(streams["ks2/-80"]["streams"][0]["status"], "Running");
  scenario_->Refused(
      {"applyshardroutingrules", "--rules", R"({"rules":[]})", "--dry-run"},
      "these rules change the routing of shards that workflow ks2.both moves (-80, 80-)");
  scenario_->Done({"movetables", "cancel", "ks2.both"});
  EXPECT_THAT(ShardRules(), IsEmpty());
  EXPECT_THAT(scenario_->TableNames(kLowTarget), IsEmpty());
  EXPECT_THAT(scenario_->TableNames(kHigh), ElementsAre("corder", "customer"));
  ExpectGoesTo("ks:80-", kHigh);
  EXPECT_EQ(scenario_->ProxyErrno("ks2:80-", "SELECT * FROM corder"), 1146U);
  scenario_->Done({"ApplyShardRoutingRules", "--rules",
                   R"({"rules":[{"fromKeyspace":"ks2","toKeyspace":"ks","shard":"80-"}]})"});
  ExpectGoesTo("ks2:80-", kHigh);
}

}  // namespace
}  // namespace sluice::scenario
