// Zombies and bypasses: those who did not hear of a switch, or do not go by the proxies, meet an
// error; never do they lose a write or read what is out of date.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "integration/killloop/links.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::AnyOf;
using testing::HasSubstr;

constexpr char kMove[] = "customer.move";
constexpr char kSwitched[] = "All Reads Switched. Writes Switched";
constexpr unsigned kNoSuchTable = 1146;
constexpr unsigned kTryAgain = 1205;
constexpr unsigned kTableExists = 1050;
constexpr unsigned kNotATable = 1347;
constexpr unsigned kViewInvalid = 1356;  // of a guard, or of a readable gate that is written to
// A hold's lease outlives the time-out of its switch by so much.
constexpr absl::Duration kLeaseMargin = absl::Seconds(10);

class ZombieTest : public testing::Test {
 protected:
  void StartMove(const ScenarioOptions& options) {
    scenario_ = Scenario::Start(options);
    ASSERT_NE(scenario_, nullptr);
    scenario_->Done(
        {"movetables", "create", kMove, "--source", "commerce", "--tables", "customer,corder"});
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
  }

  cluster::Cluster& cluster() { return scenario_->cluster(); }

  void Restart(const std::string& name, const std::vector<std::string>& environment = {}) {
    ASSERT_TRUE(cluster().Kill(name).ok()) << name;
    const absl::Status started = cluster().Start(name, environment);
    ASSERT_TRUE(started.ok()) << name << ": " << started;
    const absl::Status serving = cluster().AwaitServing(absl::Seconds(60));
    ASSERT_TRUE(serving.ok()) << name << ": " << serving;
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
  }

  std::jthread SwitchBeside(const std::string& timeout) {
    return std::jthread([this, timeout] {
      last_ = scenario_->Sluice({"movetables", "switchtraffic", kMove, "--timeout", timeout});
    });
  }

  // Another agent in the place of the tablet's own, which stands still.
  void StartRival(uint32_t uid, cluster::ProcessId& rival) {
    const std::string agent = absl::StrCat("agent-", uid);
    const cluster::Layout& layout = cluster().layout();
    const std::string path = layout.Path(agent + ".toml");
    const std::string port = absl::StrCat(cluster().FindTablet(uid)->agent_port);
    ASSERT_TRUE(
        cluster::RewriteFile(path, path + ".rival", {{"127.0.0.1:" + port, "127.0.0.1:0"}}).ok());
    cluster::SpawnOptions spawn;
    spawn.argv = {layout.bin_directory + "/sluice-agent", "--config", path + ".rival"};
    spawn.log = layout.LogOf(agent + "-rival");
    spawn.dies_with_parent = true;
    spawn.ready_timeout = absl::Seconds(30);
    auto spawned = cluster::Spawn(spawn);
    ASSERT_TRUE(spawned.ok()) << spawned.status();
    rival = *spawned;
  }

  // Ends a rival that has been started, at the end of a test.
  static auto EndOf(const cluster::ProcessId& rival) {
    return absl::MakeCleanup([&rival] {
      if (rival.pid != 0) {
        cluster::StopProcess(rival, absl::ZeroDuration()).IgnoreError();
      }
    });
  }

  // Waits until what is told of the newest cutover holds the text.
  bool AwaitCutover(const std::string& text, absl::Duration timeout = absl::Seconds(60)) {
    const absl::Time deadline = absl::Now() + timeout;
    std::string told;
    while (absl::Now() < deadline) {
      told = scenario_->Sluice({"cutover", "show", kMove, "--attempt", "1"}).output;
      if (absl::StrContains(told, text)) {
        return true;
      }
      // Delay: it can only be asked for, as a person would
      absl::SleepFor(absl::Milliseconds(100));
    }
    ADD_FAILURE() << "no '" << text << "' in: " << told;
    return false;
  }

  void AwaitLog(const std::string& process, const std::string& text) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    std::stringstream log;
    while (!absl::StrContains(log.str(), text) && absl::Now() < deadline) {
      log = std::stringstream();
      log << std::ifstream(cluster().layout().LogOf(process)).rdbuf();
    }
    EXPECT_TRUE(absl::StrContains(log.str(), text)) << log.str();
  }

  void AwaitSwitched() {
    const absl::Time deadline = absl::Now() + absl::Seconds(90);
    while (scenario_->TrafficState(kMove) != kSwitched && absl::Now() < deadline) {
      scenario_->Sluice({"movetables", "switchtraffic", kMove, "--timeout", "20s"});
    }
    ASSERT_EQ(scenario_->TrafficState(kMove), kSwitched);
    ASSERT_EQ(scenario_->AwaitOwnerOfOrders(absl::Seconds(60)), 200U);
  }

  std::unique_ptr<Scenario> scenario_;
  cluster::CommandResult last_;
};

// One of two proxies loses the coordinator while applications are attached to it.
class CutOffProxyTest : public ZombieTest {
 protected:
  void StartBoth() {
    StartMove({.proxies = 2});
    ASSERT_FALSE(HasFailure());
    auto links = killloop::Links::Weave(cluster());
    ASSERT_TRUE(links.ok()) << links.status();
    links_ = *std::move(links);
    Restart("proxy-2");
    auto attached = cluster().ConnectProxy("commerce", 1);
    ASSERT_TRUE(attached.ok()) << attached.status();
    attached_ = *std::move(attached);
    ASSERT_TRUE(attached_->Execute("UPDATE corder SET price = 7 WHERE order_id = 1").ok());
  }
  ~CutOffProxyTest() override { scenario_.reset(); }

  // Whatever the one that was cut off does now, it does not do it by the old rules.
  void ExpectNothingByOldRules() {
    auto owner = cluster().ConnectMysqld(200);
    ASSERT_TRUE(owner.ok());
    ASSERT_TRUE((*owner)->Execute("UPDATE corder SET price = 8 WHERE order_id = 1").ok());
    for (const char* sql : {"INSERT INTO corder (customer_id, sku, price) VALUES (1, 'old', 1)",
                            "UPDATE corder SET price = 9 WHERE order_id = 1",
                            "SELECT price FROM corder WHERE order_id = 1"}) {
      const auto result = attached_->Query(sql);
      EXPECT_THAT(MysqlErrnoOf(result.status()), AnyOf(kTryAgain, kViewInvalid)) << sql;
    }
    EXPECT_EQ((*owner)
                  ->QueryScalar("SELECT COUNT(*) FROM corder WHERE sku IN ('old', 'held')")
                  .value_or(""),
              "0");
    EXPECT_EQ((*owner)->QueryScalar("SELECT price FROM corder WHERE order_id = 1").value_or(""),
              "8");
    // What does not move goes on.
    EXPECT_TRUE(attached_->Query("SELECT COUNT(*) FROM product").ok());
  }

  void HealAndJudge() {
    links_->Heal();
    auto price = attached_->QueryScalar("SELECT price FROM corder WHERE order_id = 1");
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!price.ok() && absl::Now() < deadline) {
      price = attached_->QueryScalar("SELECT price FROM corder WHERE order_id = 1");
    }
    EXPECT_EQ(price.value_or(price.status().ToString()), "8");
    EXPECT_TRUE(attached_->Execute("UPDATE corder SET price = 10 WHERE order_id = 1").ok());
    ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
    scenario_->JudgeAll();
  }

  std::unique_ptr<killloop::Links> links_;  // ends after the processes
  std::unique_ptr<mysql::Connection> attached_;
};

TEST_F(CutOffProxyTest, WhileItHoldsStatementsFailsThemAfterItsLeaseAndRoutesNoneByTheOldRule) {
  StartBoth();
  ASSERT_FALSE(HasFailure());
  Restart("coordinator", {"SLUICE_STOP_AT=cutover.close_gate.intent"});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  const absl::Duration timeout = absl::Seconds(5);
  absl::StatusOr<uint64_t> held;
  absl::Time cut_at;
  {
    const std::jthread command = SwitchBeside("5s");
    const absl::Status stopped = cluster().AwaitStopped("coordinator", absl::Seconds(30));
    ASSERT_TRUE(stopped.ok()) << stopped;
    links_->Cut("proxy-2");
    cut_at = absl::Now();
    const std::jthread client([&] {
      held = attached_->Execute("INSERT INTO corder (customer_id, sku, price) VALUES (1,'held',1)");
    });
    ASSERT_TRUE(cluster().Resume("coordinator").ok());
  }
  // It was let in nowhere: it waited as long as it may, and failed with the word to try again.
  EXPECT_EQ(MysqlErrnoOf(held.status()), kTryAgain) << held.status();
  AwaitSwitched();
  // Delay: until no lease can hold any more
  absl::SleepFor(cut_at + timeout + kLeaseMargin + absl::Seconds(2) - absl::Now());
  const auto late = attached_->Query("SELECT price FROM corder WHERE order_id = 1");
  EXPECT_EQ(MysqlErrnoOf(late.status()), kTryAgain);
  EXPECT_THAT(std::string(late.status().message()), HasSubstr("lease"));
  ExpectNothingByOldRules();
  HealAndJudge();
}

TEST_F(CutOffProxyTest, WhichNeverHeardOfTheSwitchMeetsTheClosedGate) {
  StartBoth();
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  links_->Cut("proxy-2");
  // Before it is missed, and after.
  AwaitSwitched();
  ExpectNothingByOldRules();
  HealAndJudge();
}

// An application that writes straight to the old primary, without a pause.
TEST_F(ZombieTest, AClientThatBypassesTheProxiesGetsErrorsAndLosesNothing) {
  StartMove({});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  std::vector<uint64_t> acknowledged;
  std::vector<std::string> others;
  std::atomic<unsigned> refused = 0;
  {
    const std::jthread bypass([&](const std::stop_token& stop) {
      auto session = cluster().ConnectMysqld(100);
      for (uint64_t id = 500'000'000; session.ok() && !stop.stop_requested(); ++id) {
        const absl::Status status =
            (*session)
                ->Execute(absl::StrCat("INSERT INTO corder (order_id, sku) VALUES (", id, ", 'x')"))
                .status();
        if (status.ok()) {
          acknowledged.push_back(id);
        } else if (MysqlErrnoOf(status) == kNoSuchTable || MysqlErrnoOf(status) == kViewInvalid) {
          ++refused;
        } else {
          others.push_back(status.ToString());
        }
      }
    });
    ASSERT_TRUE(scenario_->clients().AwaitWrites(100, absl::Seconds(60)).ok());
    AwaitSwitched();
    ASSERT_TRUE(scenario_->clients().AwaitWrites(50, absl::Seconds(60)).ok());
  }
  EXPECT_THAT(others, testing::IsEmpty());
  EXPECT_GT(acknowledged.size(), 0U);
  EXPECT_GT(refused.load(), 0U);
  EXPECT_EQ(scenario_->Ask(200,
                           "SELECT COUNT(*) FROM corder WHERE order_id BETWEEN 500000000 AND "
                           "900000000"),
            std::vector<std::string>{absl::StrCat(acknowledged.size())});
  auto old = cluster().ConnectMysqld(100);
  ASSERT_TRUE(old.ok());
  // Its name is taken by a view that nobody can use.
  for (const auto& [sql, error] : std::vector<std::pair<const char*, unsigned>>{
           {"INSERT INTO corder (order_id) VALUES (1)", kViewInvalid},
           {"UPDATE corder SET price = 1", kViewInvalid},
           {"DELETE FROM corder", kViewInvalid},
           {"SELECT COUNT(*) FROM corder", kViewInvalid},
           {"SELECT * FROM corder FOR UPDATE", kViewInvalid},
           {"TRUNCATE TABLE corder", kNoSuchTable},
           {"ALTER TABLE corder ADD COLUMN x INT", kNotATable},
           {"CREATE TABLE corder (order_id BIGINT PRIMARY KEY)", kTableExists}}) {
    EXPECT_EQ(MysqlErrnoOf((*old)->Query(sql).status()), error) << sql;
  }
  scenario_->JudgeAll();
}

// Reads stay behind: the old side serves them, but takes no write of any kind.
TEST_F(ZombieTest, AClientThatBypassesTheProxiesMayReadWhatStayedReadable) {
  StartMove({});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  scenario_->Done({"movetables", "switchtraffic", kMove, "--tablet-types", "primary"});
  auto old = cluster().ConnectMysqld(100);
  ASSERT_TRUE(old.ok());
  EXPECT_TRUE((*old)->Query("SELECT COUNT(*) FROM corder").ok());
  for (const char* sql : {"INSERT INTO corder (order_id) VALUES (1)", "UPDATE corder SET price = 1",
                          "DELETE FROM corder", "REPLACE INTO corder (order_id) VALUES (1)"}) {
    EXPECT_EQ(MysqlErrnoOf((*old)->Query(sql).status()), kViewInvalid) << sql;
  }
  EXPECT_EQ(MysqlErrnoOf((*old)->Query("TRUNCATE TABLE corder").status()), kNoSuchTable);
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  scenario_->JudgeAll();
}

struct OldAgent {
  const char* name;
  uint32_t uid;
  const char* point;
};

// An agent stands still within a change of its gate; another one takes its place and goes on; then
// the old one wakes.
class OldAgentTest : public ZombieTest, public testing::WithParamInterface<OldAgent> {};

TEST_P(OldAgentTest, ThatWakesAfterItsReplacementChangesNothing) {
  const OldAgent& old = GetParam();
  const std::string agent = absl::StrCat("agent-", old.uid);
  StartMove({});
  ASSERT_FALSE(HasFailure());
  Restart(agent, {absl::StrCat("SLUICE_STOP_AT=", old.point)});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  const cluster::ProcessId old_id = cluster().layout().processes.at(agent).id;
  cluster::ProcessId rival;
  const auto end_rival = EndOf(rival);
  {
    const std::jthread command = SwitchBeside("60s");
    const absl::Status stopped = cluster().AwaitStopped(agent, absl::Seconds(30));
    ASSERT_TRUE(stopped.ok()) << stopped;
    StartRival(old.uid, rival);
    ASSERT_FALSE(HasFailure());
  }
  AwaitSwitched();
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  ASSERT_TRUE(cluster::Signal(old_id, SIGCONT).ok());
  // Both live on the same mysqld for a while.
  ASSERT_TRUE(scenario_->clients().AwaitWrites(300, absl::Seconds(60)).ok());
  EXPECT_EQ(scenario_->OwnerOfOrders(), 200U);
  ASSERT_TRUE(cluster::StopProcess(old_id, absl::ZeroDuration()).ok());
  ASSERT_TRUE(cluster::StopProcess(rival, absl::ZeroDuration()).ok());
  ASSERT_TRUE(cluster().Start(agent).ok());
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
  EXPECT_EQ(scenario_->OwnerOfOrders(), 200U);
  ASSERT_TRUE(scenario_->AwaitRunning("commerce.move_reverse"));
  scenario_->JudgeAll();
}

INSTANTIATE_TEST_SUITE_P(Within, OldAgentTest,
                         testing::Values(OldAgent{"TheClosing", 100, "gate.after_intent"},
                                         OldAgent{"TheClosingBehindTheRename", 100,
                                                  "gate.after_rename"},
                                         OldAgent{"TheOpening", 200, "gate.after_journal"}),
                         [](const auto& one) { return std::string(one.param.name); });

// It stands still with a stream in its hand, whose attempt is taken back beside its replacement.
TEST_F(ZombieTest, AnOldAgentThatWakesBringsNoStreamBackThatWasTakenBack) {
  StartMove({});
  ASSERT_FALSE(HasFailure());
  Restart("agent-100", {"SLUICE_STOP_AT=stream.before_create"});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  const cluster::ProcessId old_id = cluster().layout().processes.at("agent-100").id;
  cluster::ProcessId rival;
  const auto end_rival = EndOf(rival);
  {
    const std::jthread command = SwitchBeside("2s");
    const absl::Status stopped = cluster().AwaitStopped("agent-100", absl::Seconds(30));
    ASSERT_TRUE(stopped.ok()) << stopped;
    ASSERT_TRUE(AwaitCutover("undoing"));
    StartRival(100, rival);
    ASSERT_FALSE(HasFailure());
  }
  ASSERT_TRUE(AwaitCutover("rolled back"));
  ASSERT_TRUE(cluster::Signal(old_id, SIGCONT).ok());
  ASSERT_TRUE(scenario_->clients().AwaitWrites(300, absl::Seconds(60)).ok());
  // It lets what it is about end.
  ASSERT_TRUE(cluster::StopProcess(old_id, absl::Seconds(20)).ok());
  EXPECT_EQ(scenario_->Ask(100, "SELECT COUNT(*) FROM _sluice.stream"),
            std::vector<std::string>{"0"});
  ASSERT_TRUE(cluster::StopProcess(rival, absl::ZeroDuration()).ok());
  ASSERT_TRUE(cluster().Start("agent-100").ok());
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
  AwaitSwitched();
  ASSERT_TRUE(scenario_->AwaitRunning("commerce.move_reverse"));
  scenario_->JudgeAll();
}

// What was decided by one coordinator is carried out by the next, which asks nobody again.
TEST_F(ZombieTest, AHeldSwitchThatIsTakenBackIsTakenBackByTheNextCoordinatorToo) {
  StartMove({});
  ASSERT_FALSE(HasFailure());
  Restart("coordinator", {"SLUICE_STOP_AT=cutover.delete_reverse.intent"});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  scenario_->Done({"movetables", "switchtraffic", kMove, "--hold"});
  {
    const std::jthread abort([&] {
      scenario_->Sluice({"cutover", "abort", kMove}, absl::Seconds(20));
    });
    const absl::Status stopped = cluster().AwaitStopped("coordinator", absl::Seconds(30));
    ASSERT_TRUE(stopped.ok()) << stopped;
    EXPECT_EQ(scenario_->Ask(100, "SELECT COUNT(*) FROM _sluice.stream"),
              std::vector<std::string>{"1"});
    ASSERT_TRUE(cluster().Kill("coordinator").ok());
  }
  ASSERT_TRUE(cluster().Start("coordinator").ok());
  ASSERT_TRUE(AwaitCutover("rolled back: aborted by the operator"));
  EXPECT_EQ(scenario_->Ask(100, "SELECT COUNT(*) FROM _sluice.stream"),
            std::vector<std::string>{"0"});
  EXPECT_EQ(scenario_->OwnerOfOrders(), 100U);
  AwaitSwitched();
  scenario_->JudgeAll();
}

// Between the journal and the guards: the names of the closed tables must not stay free.
class GuardTest : public ZombieTest, public testing::WithParamInterface<const char*> {};

TEST_P(GuardTest, AreUpAfterACrashInFrontOfThem) {
  const std::string victim = GetParam();
  StartMove({});
  ASSERT_FALSE(HasFailure());
  Restart("agent-100", {"SLUICE_STOP_AT=journal.before_guard"});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  {
    const std::jthread command = SwitchBeside("20s");
    const absl::Status stopped = cluster().AwaitStopped("agent-100", absl::Seconds(60));
    ASSERT_TRUE(stopped.ok()) << stopped;
    ASSERT_TRUE(cluster().Kill(victim).ok());
    if (victim != "agent-100") {
      ASSERT_TRUE(cluster().Resume("agent-100").ok());
      AwaitLog("agent-100", "the names of closed tables are not all guarded");
    }
    ASSERT_TRUE(cluster().Start(victim).ok());
  }
  AwaitSwitched();
  ASSERT_TRUE(AwaitCutover("committed"));
  auto old = cluster().ConnectMysqld(100);
  ASSERT_TRUE(old.ok()) << old.status();
  for (const char* sql : {"SELECT COUNT(*) FROM corder", "SELECT COUNT(*) FROM customer"}) {
    EXPECT_EQ(MysqlErrnoOf((*old)->Query(sql).status()), kViewInvalid) << sql;
  }
  EXPECT_EQ(MysqlErrnoOf((*old)->Execute("CREATE TABLE corder (id INT PRIMARY KEY)").status()),
            kTableExists);
  scenario_->JudgeAll();
}

INSTANTIATE_TEST_SUITE_P(Of, GuardTest, testing::Values("agent-100", "mysqld-100"),
                         [](const auto& one) {
                           return std::string(one.param).starts_with("agent") ? "TheAgent"
                                                                              : "Mysqld";
                         });

// The gates are in mysqld: its end within the fence, and behind it, opens nothing.
TEST_F(ZombieTest, AMysqldThatComesBackIsAsClosedAsItWas) {
  StartMove({});
  ASSERT_FALSE(HasFailure());
  Restart("coordinator", {"SLUICE_STOP_AT=cutover.close_gate.done"});
  ASSERT_FALSE(HasFailure());
  scenario_->StartClients();
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  {
    const std::jthread command = SwitchBeside("20s");
    const absl::Status stopped = cluster().AwaitStopped("coordinator", absl::Seconds(30));
    ASSERT_TRUE(stopped.ok()) << stopped;
    ASSERT_TRUE(cluster().Kill("mysqld-100").ok());
    ASSERT_TRUE(cluster().Start("mysqld-100").ok());
    auto old = cluster().ConnectMysqld(100);
    ASSERT_TRUE(old.ok()) << old.status();
    EXPECT_EQ(MysqlErrnoOf((*old)->Execute("INSERT INTO corder (sku) VALUES ('x')").status()),
              kNoSuchTable);
    auto other = cluster().ConnectMysqld(200);
    ASSERT_TRUE(other.ok());
    EXPECT_NE(MysqlErrnoOf((*other)->Execute("INSERT INTO corder (sku) VALUES ('x')").status()),
              0U);
    ASSERT_TRUE(cluster().Resume("coordinator").ok());
  }
  AwaitSwitched();
  for (const char* name : {"mysqld-100", "mysqld-200"}) {
    ASSERT_TRUE(cluster().Kill(name).ok());
    ASSERT_TRUE(cluster().Start(name).ok());
    EXPECT_EQ(scenario_->OwnerOfOrders(), 200U) << name;
  }
  auto old = cluster().ConnectMysqld(100);
  ASSERT_TRUE(old.ok()) << old.status();
  EXPECT_EQ(MysqlErrnoOf((*old)->Execute("INSERT INTO corder (sku) VALUES ('x')").status()),
            kViewInvalid);
  ASSERT_TRUE(cluster().AwaitServing(absl::Seconds(60)).ok());
  ASSERT_TRUE(scenario_->clients().AwaitWrites(20, absl::Seconds(60)).ok());
  scenario_->JudgeAll();
}

}  // namespace
}  // namespace sluice::scenario
