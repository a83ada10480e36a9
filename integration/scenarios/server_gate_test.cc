// A move whose old side is closed as a whole server, under traffic: switched, reversed, switched
// again and completed.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "integration/scenarios/scenario.h"
#include "integration/workload/compare.h"

namespace sluice::scenario {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kMove[] = "customer.move";
constexpr char kSwitched[] = "All Reads Switched. Writes Switched";
constexpr char kNotSwitched[] = "Reads Not Switched. Writes Not Switched";
constexpr unsigned kReadOnly = 1290;

class ServerGateScenarioTest : public testing::Test {
 protected:
  void SetUp() override {
    scenario_ = Scenario::Start({});
    ASSERT_NE(scenario_, nullptr);
    const absl::Status allowed = scenario_->cluster().AllowServerGates();
    ASSERT_TRUE(allowed.ok()) << allowed;
    // An application that goes past the proxies, without the privileges of an administrator.
    scenario_->Ask(100, "CREATE USER shop@'127.0.0.1' IDENTIFIED BY 'shop'");
    scenario_->Ask(100, "GRANT ALL ON vt_commerce.* TO shop@'127.0.0.1'");
    scenario_->Done({"movetables", "create", kMove, "--source", "commerce", "--all-tables"});
    ASSERT_TRUE(scenario_->AwaitRunning(kMove));
    scenario_->StartClients();
    AwaitWrites();
  }

  void AwaitWrites() {
    const absl::Status written = scenario_->clients().AwaitWrites(50, absl::Seconds(60));
    ASSERT_TRUE(written.ok()) << written;
  }

  unsigned Bypass(const std::string& sql) {
    mysql::ConnectionOptions options;
    options.host = "127.0.0.1";
    options.port = scenario_->cluster().FindTablet(100)->mysql_port;
    options.user = "shop";
    options.password = "shop";
    options.database = "vt_commerce";
    const auto session = mysql::Connection::Connect(options);
    EXPECT_TRUE(session.ok()) << session.status();
    return session.ok() ? MysqlErrnoOf((*session)->Query(sql).status()) : 0;
  }

  void ExpectClosed(uint32_t uid, const std::string& read_only) {
    EXPECT_EQ(scenario_->Ask(uid,
                             "SELECT @@GLOBAL.read_only, (SELECT COUNT(*) FROM "
                             "performance_schema.persisted_variables WHERE VARIABLE_NAME = "
                             "'read_only')"),
              std::vector<std::string>{absl::StrCat(read_only, "|", read_only)})
        << uid;
  }

  // What the writers were acknowledged stands at the owner, and the other side has every row of it
  // under the tables' own names.
  void JudgeBehindServer(uint32_t owner_uid, uint32_t other_uid) {
    scenario_->JudgeSides(owner_uid, 0);
    scenario_->clients().Pause();
    auto owner = scenario_->cluster().ConnectMysqld(owner_uid);
    auto other = scenario_->cluster().ConnectMysqld(other_uid);
    ASSERT_TRUE(owner.ok() && other.ok());
    for (const auto& [table, key] :
         {std::pair<std::string, std::string>{"customer", "customer_id"}, {"corder", "order_id"}}) {
      const auto compared =
          workload::AwaitEqualTables(**owner, mysql::QuoteName(table), **other,
                                     mysql::QuoteName(table), key, absl::Seconds(60));
      ASSERT_TRUE(compared.ok()) << table << ": " << compared.status();
      EXPECT_GT(compared->rows_compared, 0U);
      EXPECT_THAT(compared->findings, IsEmpty()) << table;
    }
    scenario_->clients().Resume();
  }

  std::unique_ptr<Scenario> scenario_;
};

TEST_F(ServerGateScenarioTest, SwitchesReversesAndCompletesUnderTraffic) {
  const std::vector<std::string> by_server = {"movetables", "switchtraffic", kMove, "--gate",
                                              "server"};
  std::vector<std::string> dry = by_server;
  dry.emplace_back("--dry-run");
  EXPECT_THAT(scenario_->Done(dry), testing::Not(HasSubstr("PROBLEM")));
  ExpectClosed(100, "0");

  scenario_->Done(by_server);
  EXPECT_EQ(scenario_->TrafficState(kMove), kSwitched);
  ExpectClosed(100, "1");
  ExpectClosed(200, "0");
  EXPECT_EQ(Bypass("SELECT COUNT(*) FROM corder"), 0U);
  for (const char* sql :
       {"INSERT INTO corder (order_id) VALUES (1)", "UPDATE corder SET price = 1",
        "DELETE FROM customer", "TRUNCATE TABLE corder", "CREATE TABLE more (id INT)"}) {
    EXPECT_EQ(Bypass(sql), kReadOnly) << sql;
  }
  AwaitWrites();
  JudgeBehindServer(200, 100);
  EXPECT_THAT(scenario_->Done({"workflow", "diagnose", kMove}),
              HasSubstr("closed as a whole mysqld (read_only)"));

  // Nobody has to be there for it to stay closed, and the stream back goes on.
  ASSERT_TRUE(scenario_->cluster().Kill("mysqld-100").ok());
  ASSERT_TRUE(scenario_->cluster().Start("mysqld-100").ok());
  ASSERT_TRUE(scenario_->cluster().AwaitServing(absl::Seconds(60)).ok());
  ExpectClosed(100, "1");
  EXPECT_EQ(Bypass("DELETE FROM customer"), kReadOnly);
  AwaitWrites();
  JudgeBehindServer(200, 100);

  // It opens as it was closed, whatever closes the other side.
  scenario_->Done({"movetables", "reversetraffic", kMove, "--gate", "tables"});
  EXPECT_EQ(scenario_->TrafficState(kMove), kNotSwitched);
  ExpectClosed(100, "0");
  EXPECT_EQ(Bypass("UPDATE corder SET price = price WHERE order_id = 1"), 0U);
  AwaitWrites();
  scenario_->JudgeAll();

  scenario_->Done(by_server);
  ExpectClosed(100, "1");
  AwaitWrites();
  JudgeBehindServer(200, 100);
  scenario_->Done({"movetables", "complete", kMove});
  EXPECT_THAT(scenario_->TableNames(100), IsEmpty());
  ExpectClosed(100, "0");
  AwaitWrites();
  scenario_->JudgeSides(200, 0);
  EXPECT_EQ(scenario_->OwnerOfOrders(), 200U);
}

TEST_F(ServerGateScenarioTest, IsRefusedBeforeAnybodyIsHeldWhereItWouldNotHold) {
  scenario_->Ask(100, "CREATE USER remote@'10.0.0.1'");
  scenario_->Ask(100, "GRANT CONNECTION_ADMIN ON *.* TO remote@'10.0.0.1'");
  scenario_->Refused({"movetables", "switchtraffic", kMove, "--gate", "server"},
                     "does not stop account(s) remote@10.0.0.1");
  scenario_->Ask(100, "DROP USER remote@'10.0.0.1'");
  scenario_->Ask(100, "REVOKE SHOW DATABASES ON *.* FROM sluice_agent@'127.0.0.1'");
  scenario_->Refused({"movetables", "switchtraffic", kMove, "--gate", "server"},
                     "GRANT SHOW DATABASES ON *.* TO 'sluice_agent'@'127.0.0.1'");
  ExpectClosed(100, "0");
  AwaitWrites();
  EXPECT_EQ(scenario_->OwnerOfOrders(), 100U);
  scenario_->JudgeAll();
}

}  // namespace
}  // namespace sluice::scenario
