// The whole agent.

#include <gmock/gmock.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/agent/agent_fixture.h"

namespace sluice::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct UnfitServer {
  const char* name;
  std::vector<std::string> options;
  const char* problem;
  const char* remedy;
};

class UnfitServerTest : public AgentTest, public ::testing::WithParamInterface<UnfitServer> {};

TEST_F(AgentTest, RegistersWithAllThatTheCoordinatorMustKnow) {
  StartMysqld();
  StartListener();
  StartAgent();
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  const Heard heard = listener_.Last();
  EXPECT_EQ(heard.alias, "zone1-100");
  EXPECT_EQ(heard.mysql_port, mysqld_->port()) << "the port that mysqld says";
  EXPECT_THAT(heard.tables, ElementsAre("product"));
  EXPECT_THAT(heard.gtid_executed, HasSubstr(":1-"));
  listener_.Forget();
  EXPECT_TRUE(listener_.AwaitRegistrations(2)) << "did not register anew";
}

TEST_F(AgentTest, ServesWithoutACoordinatorAndFindsItLater) {
  StartMysqld();
  StartListener();
  const std::string url = listener_.url();
  StartAgent();
  ASSERT_TRUE(listener_.Await(Serving));
  listener_.Stop();
  EXPECT_TRUE(SetGate(schemas::GateState::CLOSED, 1).ok());
  ASSERT_TRUE(listener_.Start(url).ok());
  EXPECT_TRUE(listener_.Await([](const Heard& heard) { return heard.tables.empty(); }))
      << "the closed table is still reported";
}

TEST_F(AgentTest, SaysThatMysqldIsAwayAndGoesOnWhenItIsBack) {
  StartMysqld();
  StartListener();
  mysqld_->Kill();
  StartAgent();
  ASSERT_TRUE(listener_.AwaitRegistrations(1));
  EXPECT_FALSE(listener_.Last().reachable);
  EXPECT_THAT(listener_.Last().problem, HasSubstr("mysqld does not answer"));
  EXPECT_EQ(SetGate(schemas::GateState::CLOSED, 1).code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(mysqld_->Restart().ok());
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  EXPECT_TRUE(SetGate(schemas::GateState::CLOSED, 1).ok());
  mysqld_->Kill();
  ASSERT_TRUE(listener_.Await([](const Heard& heard) { return !heard.reachable; }));
  ASSERT_TRUE(mysqld_->Restart().ok());
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  EXPECT_TRUE(SetGate(schemas::GateState::OPEN, 2).ok());
}

TEST_F(AgentTest, ALostSessionIsNoLostMysqld) {
  StartMysqld();
  StartListener();
  StartAgent();
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  const int away = listener_.Last().times_away;
  auto root = mysql::Connection::Connect(mysqld_->Root());
  ASSERT_TRUE(root.ok()) << root.status();
  const auto sessions = (*root)->Query(
      "SELECT ID FROM performance_schema.processlist WHERE USER = 'root' AND ID <> "
      "CONNECTION_ID()");
  ASSERT_TRUE(sessions.ok()) << sessions.status();
  ASSERT_FALSE(sessions->rows.empty());
  for (const auto& session : sessions->rows) {
    ASSERT_TRUE((*root)->Execute(absl::StrCat("KILL ", *session[0])).ok());
  }
  // At least one look of each has begun after the sessions were gone.
  ASSERT_TRUE(listener_.AwaitReports(listener_.reports() + 3));
  EXPECT_EQ(listener_.Last().times_away, away);
}

TEST_F(AgentTest, FollowsTheRoleOfItsMysqld) {
  StartMysqld({"--super-read-only=OFF"});
  StartListener();
  Root("SET GLOBAL super_read_only = ON");
  StartAgent();
  ASSERT_TRUE(listener_.Await([](const Heard& heard) {
    return heard.reachable && heard.type == schemas::TabletType::REPLICA;
  }));
  EXPECT_THAT(listener_.Last().problem, HasSubstr("read_only is on"));
  EXPECT_EQ(SetGate(schemas::GateState::CLOSED, 1).code(), absl::StatusCode::kFailedPrecondition);
  // A failover makes it writable: the sidecar is installed then.
  Root("SET GLOBAL super_read_only = OFF");
  Root("SET GLOBAL read_only = OFF");
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  EXPECT_TRUE(SetGate(schemas::GateState::CLOSED, 1).ok());
}

TEST_F(AgentTest, NamesWhatIsWrongAndRecoversWhenItIsRepaired) {
  StartMysqld();
  StartListener();
  Root("SET GLOBAL binlog_row_image = MINIMAL");
  StartAgent();
  ASSERT_TRUE(listener_.Await([](const Heard& heard) { return !heard.problem.empty(); }));
  EXPECT_THAT(listener_.Last().problem, HasSubstr("binlog_row_image is MINIMAL"));
  EXPECT_NE(SetGate(schemas::GateState::CLOSED, 1).code(), absl::StatusCode::kOk);
  Root("SET GLOBAL binlog_row_image = FULL");
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  EXPECT_TRUE(SetGate(schemas::GateState::CLOSED, 1).ok());
}

TEST_P(UnfitServerTest, IsRefusedByNameWithTheRemedyAndDoesNothing) {
  StartMysqld(GetParam().options);
  StartListener();
  StartAgent();
  ASSERT_TRUE(listener_.Await([](const Heard& heard) { return !heard.problem.empty(); }));
  EXPECT_THAT(listener_.Last().problem, HasSubstr(GetParam().problem));
  EXPECT_THAT(listener_.Last().problem, HasSubstr(GetParam().remedy));
  const absl::Status refused = SetGate(schemas::GateState::CLOSED, 1);
  EXPECT_THAT(std::string(refused.message()), HasSubstr(GetParam().problem)) << refused;
}

INSTANTIATE_TEST_SUITE_P(Each, UnfitServerTest,
                         ::testing::Values(UnfitServer{"NoGtids",
                                                       {"--gtid-mode=OFF",
                                                        "--enforce-gtid-consistency=OFF"},
                                                       "gtid_mode is OFF",
                                                       "gtid_mode = ON"},
                                           UnfitServer{"NoBinlog",
                                                       {"--disable-log-bin"},
                                                       "the binlog is off",
                                                       "start mysqld without skip-log-bin"},
                                           UnfitServer{"Statements",
                                                       {"--binlog-format=STATEMENT"},
                                                       "binlog_format is STATEMENT",
                                                       "SET PERSIST binlog_format = ROW"},
                                           UnfitServer{"MinimalImages",
                                                       {"--binlog-row-image=MINIMAL"},
                                                       "binlog_row_image is MINIMAL",
                                                       "SET PERSIST binlog_row_image = FULL"},
                                           UnfitServer{"ImagesWithoutBlobs",
                                                       {"--binlog-row-image=NOBLOB"},
                                                       "binlog_row_image is NOBLOB",
                                                       "SET PERSIST binlog_row_image = FULL"}),
                         [](const auto& each) { return each.param.name; });

TEST_F(AgentTest, NamesThePrivilegesThatItsAccountLacks) {
  StartMysqld();
  Root("CREATE USER weak@localhost");
  Root("GRANT SELECT ON *.* TO weak@localhost");
  account_ = "weak";
  StartListener();
  StartAgent();
  ASSERT_TRUE(listener_.Await([](const Heard& heard) { return !heard.problem.empty(); }));
  EXPECT_THAT(listener_.Last().problem, HasSubstr("account 'weak'@'localhost' lacks"));
  EXPECT_THAT(listener_.Last().problem, HasSubstr("REPLICATION SLAVE"));
  EXPECT_THAT(listener_.Last().problem, HasSubstr("GRANT REPLICATION SLAVE"));
  EXPECT_FALSE(SetGate(schemas::GateState::CLOSED, 1).ok());
}

TEST_F(AgentTest, DescribesTablesWhereverTheyStand) {
  StartMysqld();
  Root("CREATE TABLE vt_commerce.parent (id INT PRIMARY KEY)");
  Root(
      "CREATE TABLE vt_commerce.child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES"
      " vt_commerce.parent (id))");
  Root("INSERT INTO vt_commerce.product VALUES ('a')");
  StartListener();
  StartAgent();
  ASSERT_TRUE(listener_.Await(Serving));
  ASSERT_TRUE(SetGate(schemas::GateState::READABLE, 1).ok());
  const absl::Status status =
      Dial()->Call<schemas::DescribeTablesRequest, schemas::DescribeTablesReply>(
          schemas::Method::DESCRIBE_TABLES,
          [](schemas::DescribeTablesRequest::Builder request) {
            auto tables = request.initTables(4);
            tables.set(0, "product");
            tables.set(1, "child");
            tables.set(2, "nothing");
            tables.set(3, "parent");
          },
          [](schemas::DescribeTablesReply::Reader reply) {
            const auto tables = reply.getTables();
            EXPECT_EQ(tables.size(), 4U);
            EXPECT_TRUE(tables[0].getExists());
            EXPECT_EQ(tables[0].getGateState(), schemas::GateState::READABLE);
            EXPECT_TRUE(tables[0].getHasRows());
            EXPECT_THAT(std::string(tables[0].getCreateStatement()),
                        HasSubstr("CREATE TABLE `product`"));
            EXPECT_EQ(tables[0].getKeyColumns().size(), 1U);
            EXPECT_EQ(tables[1].getGateState(), schemas::GateState::OPEN);
            EXPECT_FALSE(tables[1].getHasRows());
            EXPECT_EQ(std::string(tables[1].getForeignKeyParents()[0]), "parent");
            EXPECT_EQ(std::string(tables[3].getForeignKeyChildren()[0]), "child");
            EXPECT_FALSE(tables[2].getExists());
            EXPECT_EQ(tables[2].getGateState(), schemas::GateState::ABSENT);
            return absl::OkStatus();
          });
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(AgentTest, AwaitsPositions) {
  StartMysqld();
  StartListener();
  StartAgent();
  ASSERT_TRUE(listener_.Await(Serving));
  EXPECT_TRUE(AwaitPosition(listener_.Last().gtid_executed, 1000).ok());
  const std::string ahead = "00000000-0000-0000-0000-000000000001:1";
  const absl::Time begun = absl::Now();
  EXPECT_EQ(AwaitPosition(ahead, 300).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_LT(absl::Now() - begun, absl::Seconds(20)) << "not the time-out that was asked for";
  EXPECT_EQ(AwaitPosition("no set", 300).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace sluice::agent
