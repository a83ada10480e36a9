// Topology: who is registered, who serves, and who waits for it.

#include "coordinator/topology/topology.h"

#include <map>
#include <thread>

#include "coordinator/store/sqlite_store.h"
#include "tests/coordinator/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace sluice::topology {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::UnorderedElementsAre;
using Code = absl::StatusCode;
using routing::TabletType;

class TopologyTest : public ::testing::Test {
 protected:
  TopologyTest() : store_(store::SqliteStore::Open(dir_.File("store")).value()) {
    Open();
    EXPECT_THAT(topology_->CreateKeyspace("commerce", {}), IsOk());
  }

  void Open() {
    TopologyOptions options;
    options.now = [this] { return now_; };
    topology_ = std::make_unique<Topology>(*store_, options);
    EXPECT_THAT(topology_->Load(), IsOk());
  }

  static TabletReport Tablet(uint32_t uid, TabletType type) {
    TabletReport report;
    TabletInfo& tablet = report.tablet;
    tablet.cell = "zone1";
    tablet.uid = uid;
    tablet.alias = "zone1-" + std::to_string(uid);
    tablet.keyspace = "commerce";
    tablet.shard = "0";
    tablet.database = "vt_commerce";
    tablet.agent_url = "tcp://127.0.0.1:" + std::to_string(uid);
    tablet.mysql_host = "127.0.0.1";
    tablet.mysql_port = static_cast<uint16_t>(uid);
    tablet.configured_type = type;
    tablet.type = type;
    tablet.incarnation = 10;
    tablet.reachable = true;
    return report;
  }

  [[nodiscard]] ClusterView ViewOfPrimary() const {
    return topology_->ViewsOf({Tablet(100, TabletType::kPrimary)}).front();
  }

  // Tablets of one agent process, a shard of keyspace ks each.
  static std::vector<TabletReport> Agent(const std::map<uint32_t, std::string>& shards,
                                         uint64_t incarnation = 10) {
    std::vector<TabletReport> reports;
    for (const auto& [uid, shard] : shards) {
      TabletReport report = Tablet(uid, TabletType::kPrimary);
      report.tablet.keyspace = "ks";
      report.tablet.shard = shard;
      report.tablet.database = "vt_ks_" + shard;
      report.tablet.agent_url = "tcp://127.0.0.1:200";
      report.tablet.mysql_port = 200;
      report.tablet.incarnation = incarnation;
      report.tables = {"corder"};
      reports.push_back(report);
    }
    return reports;
  }

  std::vector<std::string> Aliases() const {
    std::vector<std::string> aliases;
    for (const TabletInfo& tablet : topology_->Tablets()) {
      aliases.push_back(tablet.alias);
    }
    return aliases;
  }

  // Time passes as in life: the topology is looked at all the while.
  void Pass(absl::Duration duration) {
    const absl::Time end = now_ + duration;
    while (now_ < end) {
      now_ = std::min(end, now_ + absl::Milliseconds(500));
      topology_->AwaitRoutesChange(0, absl::InfinitePast());
    }
  }

  ::sluice::testing::TempDir dir_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::unique_ptr<store::Store> store_;
  std::unique_ptr<Topology> topology_;
};

TEST_F(TopologyTest, AKeyspaceExistsOnce) {
  EXPECT_THAT(topology_->CreateKeyspace("commerce", {}),
              StatusIs(Code::kAlreadyExists, "keyspace commerce already exists"));
  EXPECT_THAT(topology_->FindKeyspace("customer"),
              StatusIs(Code::kNotFound, "keyspace customer does not exist"));
  Open();
  EXPECT_THAT(topology_->FindKeyspace("commerce").value().shards, ElementsAre("0"));
}

TEST_F(TopologyTest, AnUnknownKeyspaceOrShardIsRefusedWithTheRemedy) {
  TabletReport report = Tablet(100, TabletType::kPrimary);
  report.tablet.keyspace = "customer";
  EXPECT_THAT(topology_->Register(report),
              StatusIs(Code::kFailedPrecondition, "sluice keyspace create customer"));
  report.tablet.keyspace = "commerce";
  report.tablet.shard = "-80";
  EXPECT_THAT(topology_->Register(report), StatusIs(Code::kFailedPrecondition, "no shard -80"));
  report.tablet.shard = "0";
  report.tablet.agent_url.clear();
  EXPECT_THAT(topology_->Register(report), StatusIs(Code::kInvalidArgument, "zone1-100"));
  EXPECT_TRUE(topology_->Tablets().empty());
}

TEST_F(TopologyTest, TheNewestAgentOfAnAliasWins) {
  const TabletReport old = Tablet(100, TabletType::kPrimary);
  TabletReport young = old;
  young.tablet.incarnation = 11;
  young.tablet.agent_url = "tcp://127.0.0.1:9";
  EXPECT_THAT(topology_->Register(old), IsOk());
  EXPECT_THAT(topology_->Register(young), IsOk());
  EXPECT_EQ(topology_->FindTablet("zone1-100").value().agent_url, "tcp://127.0.0.1:9");
  EXPECT_THAT(topology_->Register(old),
              StatusIs(Code::kFailedPrecondition, "newer agent at tcp://127.0.0.1:9"));
  EXPECT_THAT(topology_->Report(old), StatusIs(Code::kNotFound, "zone1-100"));
  EXPECT_THAT(topology_->Report(young), IsOk());
}

TEST_F(TopologyTest, AReportOfAnUnknownTabletAsksForARegistration) {
  EXPECT_THAT(topology_->Report(Tablet(100, TabletType::kPrimary)),
              StatusIs(Code::kNotFound, "not registered"));
}

TEST_F(TopologyTest, PrimaryOfNamesWhyThereIsNone) {
  EXPECT_THAT(topology_->PrimaryOf("none", "0"), StatusIs(Code::kNotFound, "keyspace none"));
  EXPECT_THAT(topology_->PrimaryOf("commerce", "1"), StatusIs(Code::kNotFound, "no shard 1"));
  EXPECT_THAT(topology_->PrimaryOf("commerce", "0"),
              StatusIs(Code::kUnavailable, "no agent has registered"));
  TabletReport report = Tablet(100, TabletType::kPrimary);
  report.tablet.problem = "gtid_mode is OFF";
  EXPECT_THAT(topology_->Register(report), IsOk());
  EXPECT_THAT(topology_->PrimaryOf("commerce", "0"),
              StatusIs(Code::kUnavailable, "zone1-100 (PRIMARY): gtid_mode is OFF"));
  report.tablet.problem.clear();
  EXPECT_THAT(topology_->Report(report), IsOk());
  EXPECT_EQ(topology_->PrimaryOf("commerce", "0").value().alias, "zone1-100");
}

TEST_F(TopologyTest, OfTwoWritableServersNoneServes) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  EXPECT_THAT(topology_->Register(Tablet(101, TabletType::kPrimary)), IsOk());
  EXPECT_THAT(topology_->PrimaryOf("commerce", "0"),
              StatusIs(Code::kUnavailable, "more than one writable mysqld"));
  const auto pick = [&](TabletType type) {
    return topology_->PickSource(
        {.keyspace = "commerce", .shard = "0", .types = {type}, .cells = {}, .near_cell = {}});
  };
  EXPECT_THAT(pick(TabletType::kPrimary),
              StatusIs(Code::kFailedPrecondition, "more than one writable mysqld"));
  EXPECT_THAT(pick(TabletType::kReplica),
              StatusIs(Code::kUnavailable, "no serving tablet of type REPLICA"));
  TabletReport demoted = Tablet(100, TabletType::kPrimary);
  demoted.tablet.type = TabletType::kReplica;
  EXPECT_THAT(topology_->Report(demoted), IsOk());
  EXPECT_EQ(topology_->PrimaryOf("commerce", "0").value().alias, "zone1-101");
}

TEST_F(TopologyTest, ATabletThatIsNotHeardStopsServing) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  const uint64_t version = topology_->routes_version();
  Pass(absl::Seconds(5));
  EXPECT_TRUE(topology_->FindTablet("zone1-100").value().serving);
  EXPECT_EQ(topology_->routes_version(), version);
  Pass(absl::Seconds(1));
  EXPECT_FALSE(topology_->FindTablet("zone1-100").value().serving);
  EXPECT_GT(topology_->routes_version(), version);
  EXPECT_THAT(topology_->Report(Tablet(100, TabletType::kPrimary)), IsOk());
  EXPECT_TRUE(topology_->FindTablet("zone1-100").value().serving);
}

TEST_F(TopologyTest, ACoordinatorThatStoodStillBlamesNobody) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  now_ += absl::Minutes(10);
  topology_->AwaitRoutesChange(0, absl::InfinitePast());
  EXPECT_TRUE(topology_->FindTablet("zone1-100").value().serving);
  Pass(absl::Seconds(6));
  EXPECT_FALSE(topology_->FindTablet("zone1-100").value().serving);
}

TEST_F(TopologyTest, ARestartTakesNothingFromThoseWhoServed) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  TabletReport broken = Tablet(101, TabletType::kReplica);
  broken.tablet.problem = "binlog is off";
  EXPECT_THAT(topology_->Register(broken), IsOk());
  const absl::Status saved = store_->Transaction([&](store::StoreTransaction& t) {
    return t.PutTablet(RecordOf(topology_->FindTablet("zone1-100").value()));
  });
  EXPECT_THAT(saved, IsOk());
  Open();
  EXPECT_TRUE(topology_->FindTablet("zone1-100").value().serving);
  EXPECT_FALSE(topology_->FindTablet("zone1-101").value().serving);
  EXPECT_THAT(topology_->Report(Tablet(100, TabletType::kPrimary)), IsOk());
  Pass(absl::Seconds(6));
  EXPECT_FALSE(topology_->FindTablet("zone1-100").value().serving);
}

TEST_F(TopologyTest, AnAgentIsToldOfItsShardsLaggingReplicas) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  EXPECT_EQ(ViewOfPrimary().replica_lag_ms, 0);
  EXPECT_EQ(ViewOfPrimary().replica, "");
  TabletReport first = Tablet(101, TabletType::kReplica);
  first.tablet.replica_lag_ms = 20;
  TabletReport second = Tablet(102, TabletType::kReplica);
  second.tablet.replica_lag_ms = 700;
  TabletReport rdonly = Tablet(103, TabletType::kRdonly);
  rdonly.tablet.replica_lag_ms = 99'000;
  for (const TabletReport& report : {first, second, rdonly}) {
    EXPECT_THAT(topology_->Register(report), IsOk());
  }
  EXPECT_EQ(ViewOfPrimary().replica_lag_ms, 700);
  EXPECT_EQ(ViewOfPrimary().replica, "zone1-102");
  EXPECT_EQ(ViewOfPrimary().replica_problem, "");

  first.tablet.replica_lag_ms = -1;
  EXPECT_THAT(topology_->Report(first), IsOk());
  EXPECT_EQ(ViewOfPrimary().replica, "zone1-101");
  EXPECT_EQ(ViewOfPrimary().replica_problem, "its replication does not run");
  first.tablet.replica_lag_ms = 20;
  EXPECT_THAT(topology_->Report(first), IsOk());

  // One that falls silent can't be known, until it counts as gone.
  const auto pass = [&](absl::Duration duration) {
    Pass(duration);
    EXPECT_THAT(topology_->Report(first), IsOk());
  };
  pass(absl::Seconds(6));
  EXPECT_EQ(ViewOfPrimary().replica, "zone1-102");
  EXPECT_EQ(ViewOfPrimary().replica_problem, "its agent is silent");
  pass(absl::Seconds(25));
  EXPECT_EQ(ViewOfPrimary().replica, "zone1-101");
  EXPECT_EQ(ViewOfPrimary().replica_lag_ms, 20);
}

TEST_F(TopologyTest, TheTabletsOfOneAgentServeEachForItsShard) {
  EXPECT_THAT(topology_->CreateKeyspace("ks", {"-80", "80-"}), IsOk());
  std::vector<TabletReport> agent = Agent({{200, "-80"}, {201, "80-"}});
  StreamInfo stream;
  stream.id = 7;
  agent[1].streams = {stream};
  EXPECT_THAT(topology_->RegisterAgent(agent), ElementsAre(IsOk(), IsOk()));
  EXPECT_EQ(topology_->PrimaryOf("ks", "-80").value().alias, "zone1-200");
  EXPECT_EQ(topology_->PrimaryOf("ks", "80-").value().database, "vt_ks_80-");
  EXPECT_EQ(topology_->FindStream(7)->tablet, "zone1-201");
  // One can be out of service alone.
  agent[0].tablet.problem = "account lacks SELECT";
  EXPECT_THAT(topology_->ReportAgent(agent), IsOk());
  EXPECT_THAT(topology_->PrimaryOf("ks", "-80"), StatusIs(Code::kUnavailable, "lacks SELECT"));
  EXPECT_THAT(topology_->PrimaryOf("ks", "80-"), IsOk());
}

TEST_F(TopologyTest, OneRefusedTabletDoesNotKeepTheOthersOfItsAgentOut) {
  EXPECT_THAT(topology_->CreateKeyspace("ks", {"-80", "80-"}), IsOk());
  std::vector<TabletReport> agent = Agent({{200, "-80"}, {201, "80-"}, {202, "c0-"}});
  EXPECT_THAT(
      topology_->RegisterAgent(agent),
      ElementsAre(IsOk(), IsOk(), StatusIs(Code::kFailedPrecondition, "ks has no shard c0-")));
  EXPECT_THAT(Aliases(), ElementsAre("zone1-200", "zone1-201"));
  EXPECT_THAT(topology_->ReportAgent(agent), StatusIs(Code::kNotFound, "zone1-202"));
}

TEST_F(TopologyTest, ATabletThatWasTakenOutOfItsAgentsConfigurationIsForgotten) {
  EXPECT_THAT(topology_->CreateKeyspace("ks", {"-80", "80-"}), IsOk());
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  std::vector<TabletReport> agent = Agent({{200, "-80"}, {201, "80-"}});
  StreamInfo stream;
  stream.id = 7;
  agent[1].streams = {stream};
  EXPECT_THAT(topology_->RegisterAgent(agent), ElementsAre(IsOk(), IsOk()));
  const uint64_t version = topology_->routes_version();
  // A report that lacks it proves nothing, a later process at that address does.
  EXPECT_THAT(topology_->ReportAgent({agent[0]}), IsOk());
  EXPECT_THAT(Aliases(), ElementsAre("zone1-100", "zone1-200", "zone1-201"));
  EXPECT_THAT(topology_->RegisterAgent(Agent({{200, "-80"}}, 11)), ElementsAre(IsOk()));
  EXPECT_THAT(Aliases(), ElementsAre("zone1-100", "zone1-200"));
  EXPECT_FALSE(topology_->FindStream(7).has_value());
  EXPECT_GT(topology_->routes_version(), version);
  Open();
  EXPECT_THAT(Aliases(), ElementsAre("zone1-100", "zone1-200"));
  // The process of before, which still runs somewhere, does not bring it back over its successor.
  EXPECT_THAT(topology_->ReportAgent(agent), StatusIs(Code::kNotFound, "zone1-20"));
}

TEST_F(TopologyTest, EachTabletOfAnAgentIsToldOfItsOwnShardsReplicas) {
  EXPECT_THAT(topology_->CreateKeyspace("ks", {"-80", "80-"}), IsOk());
  const std::vector<TabletReport> agent = Agent({{200, "-80"}, {201, "80-"}});
  EXPECT_THAT(topology_->RegisterAgent(agent), ElementsAre(IsOk(), IsOk()));
  TabletReport replica = Agent({{300, "80-"}}).front();
  replica.tablet.agent_url = "tcp://127.0.0.1:300";
  replica.tablet.type = replica.tablet.configured_type = TabletType::kReplica;
  replica.tablet.replica_lag_ms = 900;
  EXPECT_THAT(topology_->Register(replica), IsOk());
  const std::vector<ClusterView> views = topology_->ViewsOf(agent);
  ASSERT_EQ(views.size(), 2U);
  EXPECT_EQ(views[0].replica, "");
  EXPECT_EQ(views[1].replica, "zone1-300");
  EXPECT_EQ(views[1].replica_lag_ms, 900);
}

TEST_F(TopologyTest, TheSwitchForAllSurvivesTheCoordinator) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  EXPECT_EQ(ViewOfPrimary().throttled, "");
  EXPECT_THAT(topology_->ThrottleAll("peak hours"), IsOk());
  EXPECT_EQ(ViewOfPrimary().throttled, "peak hours");
  Open();
  EXPECT_EQ(topology_->Throttled(), "peak hours");
  EXPECT_EQ(ViewOfPrimary().throttled, "peak hours");
  EXPECT_THAT(topology_->ThrottleAll(""), IsOk());
  Open();
  EXPECT_EQ(ViewOfPrimary().throttled, "");
}

TEST_F(TopologyTest, PickSourceObeysTheOrderOfTypesAndPrefersTheLeastLag) {
  EXPECT_THAT(topology_->Register(Tablet(100, TabletType::kPrimary)), IsOk());
  TabletReport slow = Tablet(101, TabletType::kReplica);
  slow.tablet.replica_lag_ms = 900;
  TabletReport fast = Tablet(102, TabletType::kReplica);
  fast.tablet.replica_lag_ms = 20;
  EXPECT_THAT(topology_->Register(slow), IsOk());
  EXPECT_THAT(topology_->Register(fast), IsOk());
  const auto pick = [&](std::vector<TabletType> types) {
    const auto tablet = topology_->PickSource(
        {.keyspace = "commerce", .shard = "0", .types = types, .cells = {}, .near_cell = {}});
    return tablet.ok() ? tablet->alias : tablet.status().ToString();
  };
  EXPECT_EQ(pick({TabletType::kReplica, TabletType::kPrimary}), "zone1-102");
  EXPECT_EQ(pick({TabletType::kPrimary, TabletType::kReplica}), "zone1-100");
  EXPECT_EQ(pick({TabletType::kRdonly, TabletType::kPrimary}), "zone1-100");
  EXPECT_THAT(topology_->PickSource({.keyspace = "commerce",
                                     .shard = "0",
                                     .types = {TabletType::kRdonly},
                                     .cells = {},
                                     .near_cell = {}}),
              StatusIs(Code::kUnavailable, "no serving tablet of type RDONLY in commerce/0"));
}

TEST_F(TopologyTest, PickSourcePrefersWhatIsUpToDateThenWhatIsNear) {
  const auto with = [&](uint32_t uid, TabletType type, const std::string& cell, int64_t lag_ms) {
    TabletReport report = Tablet(uid, type);
    report.tablet.cell = cell;
    report.tablet.alias = absl::StrCat(cell, "-", uid);
    report.tablet.replica_lag_ms = lag_ms;
    EXPECT_THAT(topology_->Register(report), IsOk());
  };
  const auto pick = [&](std::vector<std::string> cells, const std::string& near) {
    const auto tablet =
        topology_->PickSource({.keyspace = "commerce",
                               .shard = "0",
                               .types = {TabletType::kReplica, TabletType::kPrimary},
                               .cells = std::move(cells),
                               .near_cell = near});
    return tablet.ok() ? tablet->alias : std::string(tablet.status().message());
  };
  with(100, TabletType::kPrimary, "zone1", -1);
  with(101, TabletType::kReplica, "zone2", 900);
  with(102, TabletType::kReplica, "zone3", 20);
  EXPECT_EQ(pick({}, ""), "zone3-102");
  EXPECT_EQ(pick({}, "zone2"), "zone2-101");
  EXPECT_EQ(pick({}, "zone1"), "zone1-100");
  EXPECT_EQ(pick({"zone2"}, "zone1"), "zone2-101");
  EXPECT_EQ(pick({"zone2", "zone3"}, "zone1"), "zone3-102");
  EXPECT_EQ(pick({"zone9"}, "zone1"),
            "no tablet of commerce/0 is in cell zone9; its cells are zone1, zone2, zone3");
  with(101, TabletType::kReplica, "zone2", 3'600'000);
  EXPECT_EQ(pick({}, "zone2"), "zone3-102");
  EXPECT_EQ(pick({"zone2"}, "zone2"), "zone2-101");
}

TEST_F(TopologyTest, StreamsAreThoseOfTheLastReportOfTheirTablet) {
  TabletReport report = Tablet(100, TabletType::kPrimary);
  StreamInfo stream;
  stream.id = 7;
  stream.state = StreamState::kCopying;
  report.streams = {stream};
  EXPECT_THAT(topology_->Register(report), IsOk());
  EXPECT_EQ(topology_->FindStream(7)->state, StreamState::kCopying);
  EXPECT_EQ(topology_->FindStream(7)->tablet, "zone1-100");
  // A replica that holds the same rows does not run it.
  TabletReport replica = Tablet(101, TabletType::kReplica);
  stream.state = StreamState::kStopped;
  replica.streams = {stream};
  EXPECT_THAT(topology_->Register(replica), IsOk());
  EXPECT_EQ(topology_->FindStream(7)->tablet, "zone1-100");
  report.streams.clear();
  EXPECT_THAT(topology_->Report(report), IsOk());
  EXPECT_FALSE(topology_->FindStream(7).has_value());
}

TEST_F(TopologyTest, AwaitStreamEndsWithTheReportThatItWaitsFor) {
  TabletReport report = Tablet(100, TabletType::kPrimary);
  StreamInfo stream;
  stream.id = 7;
  stream.state = StreamState::kCopying;
  report.streams = {stream};
  EXPECT_THAT(topology_->Register(report), IsOk());
  const auto running = [](const StreamInfo& info) { return info.state == StreamState::kRunning; };
  EXPECT_THAT(topology_->AwaitStream(7, running, absl::InfinitePast()),
              StatusIs(Code::kDeadlineExceeded, "stream 7 is Copying"));
  EXPECT_THAT(topology_->AwaitStream(8, running, absl::InfinitePast()),
              StatusIs(Code::kDeadlineExceeded, "stream 8 is reported by no tablet"));
  absl::StatusOr<StreamInfo> found = absl::UnknownError("not awaited");
  {
    const std::jthread waiter(
        [&] { found = topology_->AwaitStream(7, running, absl::Now() + absl::Seconds(30)); });
    report.streams[0].state = StreamState::kRunning;
    EXPECT_THAT(topology_->Report(report), IsOk());
  }
  EXPECT_THAT(found, IsOk());
  {
    const std::jthread waiter(
        [&] { found = topology_->AwaitStream(9, running, absl::Now() + absl::Seconds(30)); });
    topology_->Close();
  }
  EXPECT_THAT(found, StatusIs(Code::kCancelled, "stopping"));
}

TEST_F(TopologyTest, TablesAreThoseOfPrimariesAndSurviveAServerThatIsDown) {
  TabletReport primary = Tablet(100, TabletType::kPrimary);
  primary.tables = {"customer", "corder"};
  TabletReport replica = Tablet(101, TabletType::kReplica);
  replica.tables = {"other"};
  EXPECT_THAT(topology_->Register(primary), IsOk());
  EXPECT_THAT(topology_->Register(replica), IsOk());
  EXPECT_THAT(topology_->TablesByKeyspace()["commerce"],
              UnorderedElementsAre("customer", "corder"));
  const uint64_t version = topology_->routes_version();
  primary.tablet.reachable = false;
  primary.tablet.type = TabletType::kUnknown;
  primary.tables.clear();
  EXPECT_THAT(topology_->Report(primary), IsOk());
  EXPECT_THAT(topology_->TablesByKeyspace()["commerce"],
              UnorderedElementsAre("customer", "corder"));
  topology_->NoteTables("zone1-100", {"new"});
  EXPECT_THAT(topology_->TablesByKeyspace()["commerce"],
              UnorderedElementsAre("customer", "corder", "new"));
  EXPECT_GT(topology_->routes_version(), version);
}

}  // namespace
}  // namespace sluice::topology
