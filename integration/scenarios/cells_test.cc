// Reads switched and reversed cell by cell: the proxies of each cell read where its reads are, of
// every type, while writes move or fail, whichever process dies.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <map>
#include <set>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::HasSubstr;
using Cells = std::vector<std::string>;

constexpr char kMove[] = "customer.move";
constexpr char kNotSwitched[] = "Reads Not Switched. Writes Not Switched";
constexpr char kSwitched[] = "All Reads Switched. Writes Switched";
constexpr unsigned kViewInvalid = 1356;

// PRIMARYs and REPLICAs are in zone1, RDONLYs in zone2; in zone3 there is a proxy and no tablet, as
// in a cell that is new.
class CellsTest : public testing::Test {
 protected:
  void SetUp() override {
    scenario_ = Scenario::Start({.replicas = true,
                                 .proxies = 3,
                                 .orders = 200,
                                 .rdonly_cell = "zone2",
                                 .proxy_cells = {"zone1", "zone2", "zone3"}});
    ASSERT_NE(scenario_, nullptr);
    scenario_->Done(
        {"movetables", "create", kMove, "--source", "commerce", "--tables", "customer,corder"});
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
    scenario_->StartClients();
  }

  cluster::Cluster& cluster() { return scenario_->cluster(); }
  std::string Port(uint32_t uid) { return absl::StrCat(cluster().FindTablet(uid)->mysql_port); }

  // The port of the mysqld that answers a read of that type through the proxy of a cell.
  std::string Answers(size_t proxy, const std::string& type) {
    auto session = cluster().ConnectProxy("commerce@" + type, proxy);
    if (!session.ok()) {
      return session.status().ToString();
    }
    return (*session)->QueryScalar("SELECT @@port FROM corder LIMIT 1").value_or("no answer");
  }

  // A new coordinator does not wait for proxies that it has not heard yet, and until they have its
  // rules their reads may be answered by either side.
  void AwaitProxies() {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    std::string last;
    while (absl::Now() < deadline) {
      last = scenario_->Done({"--format", "json", "proxies"});
      const auto document = nlohmann::json::parse(last, nullptr, false);
      size_t obeying = 0;
      for (const auto& proxy : document["proxies"]) {
        obeying += proxy["connected"] == true && proxy["epoch"] == document["epoch"] ? 1U : 0U;
      }
      if (obeying == 3) {
        return;
      }
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // Delay: between two looks
    }
    FAIL() << "not all proxies have the rules: " << last;
  }

  void ExpectRouted() {
    for (size_t proxy = 0; proxy < 3; ++proxy) {
      const std::string cell = absl::StrCat("zone", proxy + 1);
      for (const auto& [type, offset] : {std::pair("replica", 1U), std::pair("rdonly", 2U)}) {
        const uint32_t base = there_[type].contains(cell) ? 200 : 100;
        EXPECT_EQ(Answers(proxy, type), Port(base + offset)) << type << " in " << cell;
      }
      EXPECT_EQ(Answers(proxy, "primary"), Port(writes_there_ ? 200 : 100)) << cell;
    }
  }

  // A write is read soon by every type in every cell, wherever that reads.
  void ExpectReadEverywhere() {
    const std::string sku = absl::StrCat("mark", ++marks_);
    EXPECT_EQ(scenario_->ProxyErrno("commerce", absl::StrCat("UPDATE corder SET sku = '", sku,
                                                             "' WHERE order_id = 1")),
              0U);
    for (size_t proxy = 0; proxy < 3; ++proxy) {
      for (const char* type : {"replica", "rdonly"}) {
        auto session = cluster().ConnectProxy(absl::StrCat("commerce@", type), proxy);
        ASSERT_TRUE(session.ok()) << session.status();
        absl::StatusOr<std::string> read;
        for (const absl::Time until = absl::Now() + absl::Seconds(60); absl::Now() < until;) {
          read = (*session)->QueryScalar("SELECT sku FROM corder WHERE order_id = 1");
          ASSERT_TRUE(read.ok()) << type << " of proxy " << proxy << ": " << read.status();
          if (*read == sku) {
            break;
          }
          std::this_thread::sleep_for(std::chrono::milliseconds(5));  // Delay: between two looks
        }
        EXPECT_EQ(*read, sku) << type << " of proxy " << proxy;
      }
    }
  }

  // Past the proxies, the side without writes takes none, and is read while any cell may read it.
  void ExpectClosed() {
    const uint32_t uid = writes_there_ ? 100 : 200;
    bool read = false;
    for (const auto& [type, cells] : there_) {
      // zone3 stands for all cells that nobody has named.
      read = read || (writes_there_ ? cells.size() < 3 : !cells.empty());
    }
    auto session = cluster().ConnectMysqld(uid);
    ASSERT_TRUE(session.ok()) << session.status();
    for (const char* sql : {"INSERT INTO corder (order_id) VALUES (7)",
                            "UPDATE corder SET price = 1", "DELETE FROM corder"}) {
      EXPECT_EQ(MysqlErrnoOf((*session)->Query(sql).status()), kViewInvalid) << uid << ": " << sql;
    }
    EXPECT_EQ((*session)->Query("SELECT COUNT(*) FROM corder").ok(), read) << uid;
  }

  void ExpectRight() {
    ExpectRouted();
    ExpectClosed();
    ExpectReadEverywhere();
    EXPECT_EQ(scenario_->OwnerOfOrders(), writes_there_ ? 200U : 100U);
    const absl::Status written = scenario_->clients().AwaitWrites(10, absl::Seconds(60));
    ASSERT_TRUE(written.ok()) << written;
    scenario_->Done({"workflow", "diagnose", kMove});
  }

  // Types and cells as the operator names them; none: all.
  void Go(bool there, const std::vector<std::string>& types, const Cells& cells) {
    std::vector<std::string> command = {"movetables", there ? "switchtraffic" : "reversetraffic",
                                        kMove};
    if (!types.empty()) {
      command.insert(command.end(), {"--tablet-types", absl::StrJoin(types, ",")});
    }
    if (!cells.empty()) {
      command.insert(command.end(), {"--cells", absl::StrJoin(cells, ",")});
    }
    SCOPED_TRACE(absl::StrJoin(command, " "));
    scenario_->Done(command);
    const std::set<std::string> moved(types.begin(), types.end());
    for (auto& [type, at_target] : there_) {
      if (!types.empty() && !moved.contains(type)) {
        continue;
      }
      for (const std::string& cell : cells.empty() ? kAllCells : cells) {
        if (there) {
          at_target.insert(cell);
        } else {
          at_target.erase(cell);
        }
      }
    }
    if (types.empty() || moved.contains("primary")) {
      writes_there_ = there;
    }
    ExpectRight();
  }

  const Cells kAllCells = {"zone1", "zone2", "zone3"};
  std::unique_ptr<Scenario> scenario_;
  // The cells whose reads of a type are at the target.
  std::map<std::string, std::set<std::string>> there_ = {{"rdonly", {}}, {"replica", {}}};
  bool writes_there_ = false;
  int marks_ = 0;
};

TEST_F(CellsTest, ReadsOfEachCellGoAndComeBackByThemselves) {
  ExpectRight();
  struct Step {
    bool there;
    std::vector<std::string> types;
    Cells cells;
  };
  for (const Step& step : std::vector<Step>{{true, {"rdonly"}, {"zone1"}},
                                            {true, {"replica"}, {"zone2"}},
                                            {true, {"primary"}, {}},
                                            {true, {"replica"}, {"zone1"}},
                                            {false, {"rdonly"}, {"zone1"}},
                                            {true, {"rdonly"}, {}},
                                            {false, {"primary"}, {}},
                                            {false, {"rdonly"}, {"zone3"}},
                                            {true, {"rdonly"}, {"zone3"}},
                                            {false, {"replica"}, {"zone1", "zone2"}},
                                            {false, {"rdonly"}, {"zone2"}}}) {
    ASSERT_NO_FATAL_FAILURE(Go(step.there, step.types, step.cells));
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_EQ(scenario_->TrafficState(kMove),
            "Reads partially switched. Replica not switched. Rdonly switched in all cells but: "
            "zone2. Writes Not Switched");
  Go(false, {}, {});
  EXPECT_EQ(scenario_->TrafficState(kMove), kNotSwitched);
  scenario_->JudgeAll();
}

TEST_F(CellsTest, WritesGoWithTheReadsOfOneCellAndTheOthersFollow) {
  const std::string dry =
      scenario_->Done({"movetables", "switchtraffic", kMove, "--cells", "zone2", "--dry-run"});
  EXPECT_THAT(dry, HasSubstr("for tablet types [REPLICA,RDONLY] in cells [zone2]"));
  Go(true, {}, {"zone2"});
  EXPECT_EQ(scenario_->TrafficState(kMove),
            "Reads partially switched. Replica switched in cells: zone2. Rdonly switched in cells: "
            "zone2. Writes Switched");
  scenario_->Refused({"movetables", "complete", kMove}, "Replica switched in cells: zone2");
  scenario_->Refused({"movetables", "switchtraffic", kMove, "--cells", "zone4"},
                     "no tablet or proxy is in cell 'zone4'; the cells are zone1, zone2, zone3");
  scenario_->Refused(
      {"movetables", "switchtraffic", kMove, "--cells", "zone1", "--tablet-types", "primary"},
      "writes move in all cells at once");
  EXPECT_THAT(scenario_->Done({"--format", "json", "getroutingrules"}),
              HasSubstr("\"from_table\": \"corder@replica:zone2\""));
  Go(true, {}, {});
  EXPECT_EQ(scenario_->TrafficState(kMove), kSwitched);
  Go(false, {"replica"}, {"zone1"});
  Go(true, {"replica"}, {"zone1"});
  EXPECT_EQ(scenario_->TrafficState(kMove), kSwitched);
  scenario_->JudgeAll();
  scenario_->Done({"movetables", "complete", kMove});
  EXPECT_THAT(scenario_->TableNames(100), testing::Not(testing::Contains("corder")));
}

// Nothing of a cell is known to the coordinator but what its record names, so nothing is forgotten.
TEST_F(CellsTest, ACoordinatorKilledInASwitchOfOneCellLeavesTheOthersAlone) {
  Go(true, {"rdonly"}, {"zone2"});
  int moved = 0;
  for (const char* point :
       {"make_readable.intent", "make_readable.done", "await_replicas.intent",
        "await_replicas.done", "commit.intent", "commit.done", "route_rules.intent",
        "route_rules.done", "await_proxies.intent", "await_proxies.done"}) {
    SCOPED_TRACE(point);
    ASSERT_TRUE(cluster().Terminate("coordinator").ok());
    ASSERT_TRUE(
        cluster().Start("coordinator", {absl::StrCat("SLUICE_CRASH_AT=cutover.", point)}).ok());
    ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
    scenario_->Sluice({"--action_timeout", "20s", "movetables", "switchtraffic", kMove,
                       "--tablet-types", "replica", "--cells", "zone1"},
                      absl::Seconds(40));
    ASSERT_TRUE(cluster().AwaitEnd("coordinator", absl::Seconds(30)).ok());
    ASSERT_TRUE(cluster().Start("coordinator").ok());
    ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
    // Waits for what the new coordinator takes back or goes on with.
    scenario_->Done(
        {"movetables", "reversetraffic", kMove, "--tablet-types", "rdonly", "--cells", "zone2"});
    scenario_->Done(
        {"movetables", "switchtraffic", kMove, "--tablet-types", "rdonly", "--cells", "zone2"});
    there_["replica"].clear();
    if (scenario_->TrafficState(kMove).find("Replica switched in cells: zone1") !=
        std::string::npos) {
      there_["replica"] = {"zone1"};
      ++moved;
    }
    ASSERT_NO_FATAL_FAILURE(AwaitProxies());
    ASSERT_NO_FATAL_FAILURE(ExpectRight());
    if (there_["replica"].contains("zone1")) {
      Go(false, {"replica"}, {"zone1"});
    }
    ASSERT_FALSE(HasFailure());
  }
  EXPECT_GE(moved, 4);
  scenario_->JudgeAll();
}

TEST_F(CellsTest, AProxyThatRestartsWithoutACoordinatorGoesByItsCell) {
  Go(true, {"replica"}, {"zone2"});
  ASSERT_FALSE(HasFailure());
  ASSERT_TRUE(cluster().Kill("coordinator").ok());
  for (const char* proxy : {"proxy-1", "proxy-2", "proxy-3"}) {
    ASSERT_TRUE(cluster().Kill(proxy).ok());
    ASSERT_TRUE(cluster().Start(proxy).ok());
  }
  ExpectRouted();
  ASSERT_TRUE(cluster().Start("coordinator").ok());
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
  ExpectRight();
  scenario_->JudgeAll();
}

}  // namespace
}  // namespace sluice::scenario
