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

// Fills one more tablet beside zone1-100.
template <typename Request>
void FillSecond(Request request, const std::string& shard) {
  auto share = request.initOthers(1)[0];
  share.setUid(101);
  share.setKeyspace("ks");
  share.setShard(shard);
  share.setDatabase("vt_ks");
  share.setConfiguredType(schemas::TabletType::PRIMARY);
  share.setType(schemas::TabletType::PRIMARY);
  auto stream = share.initStreams(1)[0];
  stream.setId(4);
  share.initTables(1).set(0, "corder");
}

TEST_F(HandlersTest, AnAgentRegistersAllItsTabletsInOneMessage) {
  EXPECT_THAT(topology_.CreateKeyspace("commerce", {}), IsOk());
  EXPECT_THAT(topology_.CreateKeyspace("ks", {"-80", "80-"}), IsOk());
  std::vector<std::string> refusals;
  unsigned views = 0;
  const auto register_with = [&](const std::string& shard) {
    return client_->Call<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
        schemas::Method::REGISTER_TABLET,
        [&](auto request) {
          Fill(request);
          FillSecond(request, shard);
        },
        [&](auto reply) {
          refusals = wire::Strs(reply.getRefusals());
          views = 1 + reply.getOthers().size();
          return absl::OkStatus();
        });
  };
  EXPECT_THAT(register_with("40-"), IsOk());
  ASSERT_EQ(refusals.size(), 2U);
  EXPECT_EQ(refusals[0], "");
  EXPECT_THAT(refusals[1], ::testing::HasSubstr("ks has no shard 40-"));
  EXPECT_THAT(register_with("-80"), IsOk());
  EXPECT_TRUE(refusals.empty());
  EXPECT_EQ(views, 2U);
  const TabletInfo tablet = topology_.PrimaryOf("ks", "-80").value();
  EXPECT_EQ(tablet.alias, "zone1-101");
  EXPECT_EQ(tablet.database, "vt_ks");
  EXPECT_EQ(tablet.agent_url, "tcp://127.0.0.1:1");
  EXPECT_EQ(tablet.mysql_port, 3306);
  EXPECT_EQ(tablet.gtid_executed, "u:1-5");
  EXPECT_EQ(topology_.FindStream(3)->tablet, "zone1-100");
  EXPECT_EQ(topology_.FindStream(4)->tablet, "zone1-101");
  EXPECT_TRUE(topology_.TablesByKeyspace()["ks"].contains("corder"));
}

}  // namespace
}  // namespace sluice::topology
