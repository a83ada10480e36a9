// The whole agent: a real mysqld beside it, and a coordinator that only listens.

#include "agent/agent.h"

#include <gmock/gmock.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/rpc/client.h"
#include "common/rpc/server.h"
#include "schemas/control.capnp.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

struct Heard {
  std::string agent_url;
  std::string alias;
  int mysql_port = 0;
  bool reachable = false;
  schemas::TabletType type = schemas::TabletType::UNKNOWN;
  std::string problem;
  std::string gtid_executed;
  std::vector<std::string> tables;
};

// Keeps what the agent last said. Thread-safe.
class Listener {
 public:
  absl::Status Start(const std::string& url) {
    server_ = std::make_unique<rpc::Server>(rpc::ServerOptions{.url = url});
    server_->Register<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
        schemas::Method::REGISTER_TABLET,
        [this](const rpc::RequestContext&, schemas::RegisterTabletRequest::Reader request,
               schemas::RegisterTabletReply::Builder reply) {
          reply.setReportIntervalMs(200);
          Keep(request);
          const absl::MutexLock lock(&mutex_);
          ++registrations_;
          return absl::OkStatus();
        });
    server_->Register<schemas::ReportTabletRequest, schemas::Empty>(
        schemas::Method::REPORT_TABLET,
        [this](const rpc::RequestContext&, schemas::ReportTabletRequest::Reader request,
               schemas::Empty::Builder) {
          Keep(request);
          const absl::MutexLock lock(&mutex_);
          return std::exchange(forget_, false) ? absl::NotFoundError("unknown tablet")
                                               : absl::OkStatus();
        });
    return server_->Start();
  }
  void Stop() { server_.reset(); }
  [[nodiscard]] std::string url() const { return server_->url(); }

  bool Await(const std::function<bool(const Heard&)>& wanted) {
    const absl::MutexLock lock(&mutex_);
    const auto heard = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return registrations_ > 0 && wanted(heard_);
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&heard), absl::Seconds(20));
  }
  bool AwaitRegistrations(int count) {
    const absl::MutexLock lock(&mutex_);
    const auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return registrations_ >= count;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&enough), absl::Seconds(20));
  }
  void Forget() {
    const absl::MutexLock lock(&mutex_);
    forget_ = true;
  }
  Heard Last() {
    const absl::MutexLock lock(&mutex_);
    return heard_;
  }

 private:
  template <typename Request>
  void Keep(Request request) {
    Heard heard;
    const auto identity = request.getIdentity();
    const auto health = request.getHealth();
    heard.agent_url = identity.getAgentUrl();
    heard.alias = absl::StrCat(identity.getCell().cStr(), "-", identity.getUid());
    heard.mysql_port = identity.getMysqlPort();
    heard.reachable = health.getReachable();
    heard.type = health.getType();
    heard.problem = health.getProblem();
    heard.gtid_executed = health.getGtidExecuted();
    for (const auto table : request.getTables()) {
      heard.tables.emplace_back(table);
    }
    const absl::MutexLock lock(&mutex_);
    heard_ = heard;
  }

  absl::Mutex mutex_;
  Heard heard_ ABSL_GUARDED_BY(mutex_);
  int registrations_ ABSL_GUARDED_BY(mutex_) = 0;
  bool forget_ ABSL_GUARDED_BY(mutex_) = false;
  std::unique_ptr<rpc::Server> server_;
};

class AgentTest : public ::testing::Test {
 protected:
  void StartMysqld(const std::vector<std::string>& extra = {}) {
    auto started = testing::Mysqld::Start(extra);
    ASSERT_TRUE(started.ok()) << started.status();
    mysqld_ = *std::move(started);
    Root("CREATE DATABASE vt_commerce");
    Root("CREATE TABLE vt_commerce.product (sku VARCHAR(20) PRIMARY KEY)");
  }
  void StartListener() { ASSERT_TRUE(listener_.Start("tcp://127.0.0.1:0").ok()); }

  void StartAgent() {
    AgentConfig config;
    config.cell = "zone1";
    config.uid = 100;
    config.keyspace = "commerce";
    config.shard = "0";
    config.type = routing::TabletType::kPrimary;
    config.database = "vt_commerce";
    config.listen = "tcp://127.0.0.1:0";
    config.coordinator = listener_.url();
    config.mysql = mysqld_->Root();
    config.mysql.user = account_;
    config.mysql_advertise_host = "127.0.0.1";
    auto agent = Agent::Create(config);
    ASSERT_TRUE(agent.ok()) << agent.status();
    agent_ = *std::move(agent);
  }

  void Root(const std::string& sql) {
    auto root = mysql::Connection::Connect(mysqld_->Root());
    ASSERT_TRUE(root.ok()) << root.status();
    const auto done = (*root)->Execute(sql);
    ASSERT_TRUE(done.ok()) << done.status() << "\n" << sql;
  }

  std::unique_ptr<rpc::Client> Dial() {
    auto client = rpc::Client::Dial(listener_.Last().agent_url, "coordinator");
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  absl::Status SetGate(schemas::GateState state, uint64_t epoch) {
    return Dial()->Call<schemas::SetGateRequest, schemas::SetGateReply>(
        schemas::Method::SET_GATE,
        [&](schemas::SetGateRequest::Builder request) {
          request.setWorkflow("customer.move");
          request.initTables(1).set(0, "product");
          request.setState(state);
          request.setEpoch(epoch);
        },
        [&](schemas::SetGateReply::Reader reply) {
          EXPECT_EQ(reply.getState(), state);
          EXPECT_NE(reply.getPosition().size(), 0U);
          return absl::OkStatus();
        });
  }

  absl::Status AwaitPosition(const std::string& set, uint32_t wait_ms) {
    return Dial()->Call<schemas::AwaitPositionRequest, schemas::Empty>(
        schemas::Method::AWAIT_POSITION,
        [&](schemas::AwaitPositionRequest::Builder request) {
          request.setGtidSet(set);
          request.setWaitMs(wait_ms);
        },
        [](schemas::Empty::Reader) { return absl::OkStatus(); });
  }

  static bool Serving(const Heard& heard) {
    return heard.reachable && heard.type == schemas::TabletType::PRIMARY && heard.problem.empty();
  }

  std::unique_ptr<testing::Mysqld> mysqld_;
  std::string account_ = "root";
  Listener listener_;
  std::unique_ptr<Agent> agent_;
};

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
