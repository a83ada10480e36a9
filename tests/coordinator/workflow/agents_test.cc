// AgentPool: calls to agents over real rpc.

#include "coordinator/workflow/agents.h"

#include "tests/coordinator/testing/bench.h"
#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::FakeAgent;
using ::sluice::testing::IsOk;
using ::sluice::testing::MoveBench;
using ::sluice::testing::StatusIs;
using Code = absl::StatusCode;

TEST(AgentPoolTest, DescriptionsArriveWhole) {
  MoveBench bench;
  TableDescription& table = bench.source.AddTable("full");
  table.rows_estimate = 5;
  table.bytes_estimate = 6;
  table.has_rows = true;
  table.triggers = {"t"};
  table.foreign_key_parents = {"p"};
  table.foreign_key_children = {"c"};
  const auto tables = bench.pool->DescribeTables(AgentRef::Primary("commerce", "0"), "vt_commerce",
                                                 {"full", "none"}, {});
  ASSERT_THAT(tables, IsOk());
  ASSERT_EQ(tables->size(), 2);
  const TableDescription& read = tables->at(0);
  EXPECT_EQ(read.create_statement, table.create_statement);
  EXPECT_TRUE(read.exists && read.has_rows && !read.is_view);
  EXPECT_EQ(read.rows_estimate, 5);
  EXPECT_EQ(read.bytes_estimate, 6);
  EXPECT_EQ(read.key_columns, table.key_columns);
  EXPECT_EQ(read.triggers, table.triggers);
  EXPECT_EQ(read.foreign_key_parents, table.foreign_key_parents);
  EXPECT_EQ(read.foreign_key_children, table.foreign_key_children);
  EXPECT_EQ(read.gate_state, GateState::kOpen);
  EXPECT_FALSE(tables->at(1).exists);
}

TEST(AgentPoolTest, ErrorsKeepTheirCodeAndNameTheAgent) {
  MoveBench bench;
  EXPECT_THAT(bench.pool->ControlStream(AgentRef::Primary("customer", "0"), 99,
                                        StreamAction::kStart, 1, {}),
              StatusIs(Code::kNotFound, "start of stream 99 on customer/0: no stream 99"));
  EXPECT_THAT(bench.pool->ReadPosition(AgentRef::Primary("customer", "9"), {}),
              StatusIs(Code::kNotFound, "keyspace customer has no shard 9"));
  EXPECT_THAT(bench.pool->ReadPosition(AgentRef::Tablet("zone1-7"), {}),
              StatusIs(Code::kNotFound, "zone1-7"));
}

TEST(AgentPoolTest, AnAgentThatMovedIsFoundAtItsNewAddress) {
  MoveBench bench;
  const AgentRef ref = AgentRef::Primary("commerce", "0");
  ASSERT_THAT(bench.pool->DescribeTables(ref, "vt_commerce", {}, {}), IsOk());
  const auto old_client = bench.pool->ForAlias("zone1-100").value();
  FakeAgent& moved = bench.AddAgent({.uid = 100, .incarnation = 2000});
  moved.AddTable("only_here");
  const auto tables = bench.pool->DescribeTables(ref, "vt_commerce", {}, {});
  ASSERT_THAT(tables, IsOk());
  EXPECT_EQ(tables->size(), 1);
  EXPECT_NE(bench.pool->ForAlias("zone1-100").value(), old_client);
}

TEST(AgentPoolTest, TheTabletsOfOneAgentShareAConnection) {
  MoveBench bench;
  ASSERT_THAT(bench.topology->CreateKeyspace("other", {}), IsOk());
  topology::TabletReport second = bench.source.Report();
  second.tablet.uid = 101;
  second.tablet.alias = "zone1-101";
  second.tablet.keyspace = "other";
  ASSERT_THAT(bench.topology->Register(second), IsOk());
  EXPECT_EQ(bench.pool->ForAlias("zone1-101").value(), bench.pool->ForAlias("zone1-100").value());
  EXPECT_NE(bench.pool->ForAlias("zone1-200").value(), bench.pool->ForAlias("zone1-100").value());
}

TEST(AgentPoolTest, AClosedPoolCallsNobody) {
  MoveBench bench;
  bench.pool->Close();
  EXPECT_THAT(bench.pool->DescribeTables(AgentRef::Primary("commerce", "0"), "d", {}, {}),
              StatusIs(Code::kCancelled, "stopping"));
}

}  // namespace
}  // namespace sluice::workflow
