// An agent whose mysqld holds several shards.

#include <gmock/gmock.h>

#include <map>
#include <string>
#include <vector>

#include "tests/agent/agent_fixture.h"

namespace sluice::agent {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

class TwoShardsTest : public AgentTest {
 protected:
  void SetUp() override {
    StartMysqld();
    Root("CREATE DATABASE `vt_ks_-80`");
    Root("CREATE TABLE `vt_ks_-80`.product (sku VARCHAR(20) PRIMARY KEY)");
    Root("CREATE TABLE `vt_ks_-80`.corder (id INT PRIMARY KEY)");
    shards_.push_back({.uid = 201,
                       .keyspace = "ks",
                       .shard = "-80",
                       .type = routing::TabletType::kPrimary,
                       .database = "vt_ks_-80"});
    StartListener();
  }

  static bool BothServe(const Heard& heard) {
    return Serving(heard) && heard.others.contains("zone1-201");
  }

  // A stream that is not started.
  absl::Status CreateStream(const std::string& database) {
    return Dial()->Call<schemas::CreateStreamRequest, schemas::Empty>(
        schemas::Method::CREATE_STREAM,
        [&](schemas::CreateStreamRequest::Builder request) {
          auto spec = request.initSpec();
          spec.setId(9);
          spec.setWorkflow("ks.move");
          spec.setSourceKeyspace("commerce");
          spec.setSourceShard("0");
          spec.setSourceDatabase("vt_commerce");
          spec.setTargetKeyspace("ks");
          spec.setTargetShard("-80");
          spec.setTargetDatabase(database);
          spec.initTables(1).set(0, "product");
          spec.initSourceTypes(1).set(0, schemas::TabletType::PRIMARY);
        },
        [](schemas::Empty::Reader) { return absl::OkStatus(); });
  }
};

TEST_F(TwoShardsTest, BothAreReportedInOneMessage) {
  StartAgent();
  ASSERT_TRUE(listener_.Await(BothServe)) << listener_.Last().problem;
  EXPECT_EQ(listener_.Last().alias, "zone1-100");
  EXPECT_THAT(listener_.Last().tables, ElementsAre("product"));
  EXPECT_THAT(listener_.Last().others.at("zone1-201"), ElementsAre("corder", "product"));
  const absl::Status pinged = Dial()->Call<schemas::Empty, schemas::AgentInfo>(
      schemas::Method::PING_AGENT, [](schemas::Empty::Builder) {},
      [](schemas::AgentInfo::Reader info) {
        EXPECT_EQ(info.getIdentity().getUid(), 100U);
        EXPECT_EQ(info.getOthers().size(), 1U);
        EXPECT_EQ(info.getOthers()[0].getUid(), 201U);
        EXPECT_EQ(info.getOthers()[0].getType(), schemas::TabletType::PRIMARY);
        return absl::OkStatus();
      });
  EXPECT_TRUE(pinged.ok()) << pinged;
}

TEST_F(TwoShardsTest, AGateIsThatOfTheNamedDatabase) {
  StartAgent();
  ASSERT_TRUE(listener_.Await(BothServe)) << listener_.Last().problem;
  ASSERT_TRUE(SetGate(schemas::GateState::CLOSED, 1, "vt_ks_-80").ok());
  EXPECT_TRUE(listener_.Await([](const Heard& heard) {
    return heard.others.contains("zone1-201") &&
           heard.others.at("zone1-201") == std::vector<std::string>{"corder"};
  }));
  EXPECT_THAT(listener_.Last().tables, ElementsAre("product")) << "the other shard's gate is open";
  const absl::Status unnamed = SetGate(schemas::GateState::CLOSED, 1);
  EXPECT_EQ(unnamed.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unnamed.message()), HasSubstr("vt_commerce (zone1-100)")) << unnamed;
  const absl::Status unknown = SetGate(schemas::GateState::CLOSED, 1, "mysql");
  EXPECT_EQ(unknown.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("not database mysql")) << unknown;
}

TEST_F(TwoShardsTest, AStreamIsOfTheTabletWhoseDatabaseItWrites) {
  StartAgent();
  ASSERT_TRUE(listener_.Await(BothServe)) << listener_.Last().problem;
  absl::Status status = CreateStream("vt_nobodys");
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("database vt_nobodys"));
  status = CreateStream("vt_ks_-80");
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_TRUE(listener_.Await([](const Heard& heard) {
    return heard.streams == std::map<std::string, size_t>{{"zone1-100", 0}, {"zone1-201", 1}};
  }));
}

TEST_F(TwoShardsTest, WhereAnotherIsThePrimaryOfOneShardOnlyThatOneDoesNotServe) {
  listener_.SetPrimaries({{"commerce/0", "zone1-100"}, {"ks/-80", "zone1-300"}});
  StartAgent();
  ASSERT_TRUE(listener_.Await(Serving)) << listener_.Last().problem;
  EXPECT_TRUE(listener_.Last().others.empty());
  EXPECT_TRUE(SetGate(schemas::GateState::CLOSED, 1, "vt_commerce").ok());
  const absl::Status refused = SetGate(schemas::GateState::CLOSED, 1, "vt_ks_-80");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("zone1-300 is the PRIMARY of ks/-80"));
  listener_.SetPrimaries({{"commerce/0", "zone1-100"}, {"ks/-80", "zone1-201"}});
  ASSERT_TRUE(listener_.Await(BothServe));
  EXPECT_TRUE(SetGate(schemas::GateState::CLOSED, 1, "vt_ks_-80").ok());
}

TEST_F(TwoShardsTest, ARefusedTabletIsRegisteredAgainUntilItIsTaken) {
  listener_.RefuseSecond(true);
  StartAgent();
  ASSERT_TRUE(listener_.AwaitRegistrations(3));
  EXPECT_EQ(listener_.reports(), 0) << "of tablets that are not all registered";
  listener_.RefuseSecond(false);
  EXPECT_TRUE(listener_.AwaitReports(1));
}

}  // namespace
}  // namespace sluice::agent
