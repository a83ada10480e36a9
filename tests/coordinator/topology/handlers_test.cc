// The agents' requests to the topology, over real rpc.

#include "coordinator/topology/handlers.h"

#include "common/rpc/client.h"
#include "common/wire/wire.h"
#include "coordinator/store/sqlite_store.h"
#include "tests/coordinator/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice::topology {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using Code = absl::StatusCode;

class HandlersTest : public ::testing::Test {
 protected:
  HandlersTest()
      : store_(store::SqliteStore::Open(dir_.File("store")).value()),
        topology_(*store_),
        server_({.url = "tcp://127.0.0.1:0", .contexts = 4}) {
    RegisterHandlers(server_, topology_);
    EXPECT_THAT(server_.Start(), IsOk());
    client_ = rpc::Client::Dial(server_.url(), "agent zone1-100").value();
  }

  template <typename Request>
  static void Fill(Request request) {
    auto identity = request.initIdentity();
    identity.setCell("zone1");
    identity.setUid(100);
    identity.setKeyspace("commerce");
    identity.setShard("0");
    identity.setDatabase("vt_commerce");
    identity.setAgentUrl("tcp://127.0.0.1:1");
    identity.setMysqlHost("127.0.0.1");
    identity.setMysqlPort(3306);
    identity.setConfiguredType(schemas::TabletType::REPLICA);
    auto health = request.initHealth();
    health.setReachable(true);
    health.setType(schemas::TabletType::PRIMARY);
    health.setReplicaLagMs(-1);
    health.setGtidExecuted("u:1-5");
    request.setIncarnation(77);
    auto stream = request.initStreams(1)[0];
    stream.setId(3);
    stream.setState(schemas::StreamState::COPYING);
    stream.setLagMs(1500);
    auto copy = stream.initCopy(1)[0];
    copy.setTable("customer");
    copy.setRowsCopied(10);
    request.initTables(1).set(0, "customer");
  }

  absl::Status Register() {
    return client_->Call<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
        schemas::Method::REGISTER_TABLET, [](auto request) { Fill(request); },
        [this](auto reply) {
          interval_ms_ = reply.getReportIntervalMs();
          return absl::OkStatus();
        });
  }
  absl::Status Report() {
    return client_->Call<schemas::ReportTabletRequest, schemas::ReportTabletReply>(
        schemas::Method::REPORT_TABLET, [](auto request) { Fill(request); },
        [this](auto reply) {
          throttled_ = wire::Str(reply.getCluster().getThrottled());
          return absl::OkStatus();
        });
  }

  ::sluice::testing::TempDir dir_;
  std::unique_ptr<store::Store> store_;
  Topology topology_;
  rpc::Server server_;
  std::unique_ptr<rpc::Client> client_;
  uint32_t interval_ms_ = 0;
  std::string throttled_;
};

TEST_F(HandlersTest, AnAgentRegistersOnceItsKeyspaceExistsAndReports) {
  EXPECT_THAT(Report(), StatusIs(Code::kNotFound, "zone1-100"));
  EXPECT_THAT(Register(), StatusIs(Code::kFailedPrecondition, "sluice keyspace create commerce"));
  EXPECT_THAT(topology_.CreateKeyspace("commerce", {}), IsOk());
  EXPECT_THAT(Register(), IsOk());
  EXPECT_EQ(interval_ms_, 1000);
  EXPECT_THAT(Report(), IsOk());
  const TabletInfo tablet = topology_.PrimaryOf("commerce", "0").value();
  EXPECT_EQ(tablet.alias, "zone1-100");
  EXPECT_EQ(tablet.configured_type, routing::TabletType::kReplica);
  EXPECT_EQ(tablet.gtid_executed, "u:1-5");
  EXPECT_EQ(tablet.incarnation, 77);
  EXPECT_EQ(topology_.FindStream(3)->lag_ms, 1500);
  EXPECT_EQ(topology_.FindStream(3)->copy.at(0).rows_copied, 10);
  EXPECT_TRUE(topology_.TablesByKeyspace()["commerce"].contains("customer"));
}

TEST_F(HandlersTest, AnAgentIsToldOfTheSwitchForAllWithItsNextReport) {
  EXPECT_THAT(topology_.CreateKeyspace("commerce", {}), IsOk());
  EXPECT_THAT(Register(), IsOk());
  EXPECT_THAT(Report(), IsOk());
  EXPECT_EQ(throttled_, "");
  EXPECT_THAT(topology_.ThrottleAll("peak hours"), IsOk());
  EXPECT_THAT(Report(), IsOk());
  EXPECT_EQ(throttled_, "peak hours");
}

TEST_F(HandlersTest, AnAgentIsToldWhereToReadFrom) {
  EXPECT_THAT(topology_.CreateKeyspace("commerce", {}), IsOk());
  EXPECT_THAT(Register(), IsOk());
  std::string url;
  EXPECT_THAT((client_->Call<schemas::PickSourceRequest, schemas::PickSourceReply>(
                  schemas::Method::PICK_SOURCE,
                  [](auto request) {
                    request.setKeyspace("commerce");
                    request.setShard("0");
                    auto types = request.initTypes(2);
                    types.set(0, schemas::TabletType::REPLICA);
                    types.set(1, schemas::TabletType::PRIMARY);
                  },
                  [&](auto reply) {
                    url = wire::Str(reply.getAgentUrl());
                    return absl::OkStatus();
                  })),
              IsOk());
  EXPECT_EQ(url, "tcp://127.0.0.1:1");
}

}  // namespace
}  // namespace sluice::topology
