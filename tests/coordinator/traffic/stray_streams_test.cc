// Which reported streams nothing wants.

#include "coordinator/traffic/stray_streams.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "coordinator/traffic/stray_watch.h"
#include "tests/coordinator/traffic/fixture.h"

namespace sluice::traffic::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using topology::StreamState;
using workflow::WorkflowPhase;

topology::StreamInfo Stream(uint64_t id, const std::string& workflow) {
  topology::StreamInfo info;
  info.id = id;
  info.tablet = "zone1-200";
  info.workflow = workflow;
  info.state = StreamState::kRunning;
  return info;
}

workflow::WorkflowRecord Record(uint64_t id, WorkflowPhase phase) {
  workflow::WorkflowRecord record;
  record.keyspace = "customer";
  record.name = "move";
  record.source_keyspace = "commerce";
  record.target_keyspace = "customer";
  record.phase = phase;
  workflow::StreamRecord stream;
  stream.id = id;
  record.streams = {stream};
  return record;
}

std::vector<uint64_t> IdsOf(const std::vector<StrayStream>& strays) {
  std::vector<uint64_t> ids;
  for (const StrayStream& stray : strays) {
    ids.push_back(stray.info.id);
  }
  return ids;
}

const std::set<std::string> kPrimaries = {"zone1-200"};

TEST(StrayStreamsTest, AreThoseThatNoRecordNames) {
  const KnownStreams known = {.records = {Record(7, WorkflowPhase::kActive)}, .busy = {}};
  const auto strays = FindStrays({Stream(7, "customer.move"), Stream(8, "customer.move"),
                                  Stream(9, "customer.gone"), Stream(10, "commerce.move_reverse")},
                                 kPrimaries, known);
  EXPECT_THAT(IdsOf(strays), ElementsAre(8, 9, 10));
  EXPECT_EQ(strays[2].operation, "customer.move");
  EXPECT_THAT(DescribeStray(strays[1]),
              HasSubstr("stream 9 of workflow customer.gone is Running, but no workflow's record"));
}

// Those of a record that is being created are in it before they are made.
TEST(StrayStreamsTest, AreNoneOfARecordWhateverItsPhase) {
  for (const WorkflowPhase phase : {WorkflowPhase::kCreating, WorkflowPhase::kActive,
                                    WorkflowPhase::kCompleting, WorkflowPhase::kCancelling}) {
    EXPECT_THAT(FindStrays({Stream(7, "customer.move")}, kPrimaries,
                           {.records = {Record(7, phase)}, .busy = {}}),
                IsEmpty());
  }
}

TEST(StrayStreamsTest, AreThoseOfAFrozenRecordThatAreNotFrozen) {
  const KnownStreams known = {.records = {Record(7, WorkflowPhase::kFrozen)}, .busy = {}};
  topology::StreamInfo info = Stream(7, "customer.move");
  const auto strays = FindStrays({info}, kPrimaries, known);
  ASSERT_EQ(strays.size(), 1U);
  EXPECT_EQ(strays[0].kind, StrayKind::kNotFrozen);
  info.frozen = true;
  EXPECT_THAT(FindStrays({info}, kPrimaries, known), IsEmpty());
}

// A dry run, or a switch that is prepared, has streams of which only the command knows.
TEST(StrayStreamsTest, AreNoneWhileACommandRuns) {
  EXPECT_THAT(
      FindStrays({Stream(8, "commerce.move_reverse"), Stream(9, "customer.move")}, kPrimaries,
                 {.records = {Record(7, WorkflowPhase::kActive)}, .busy = {"customer.move"}}),
      IsEmpty());
}

TEST(StrayStreamsTest, AreNoneWhereNothingRuns) {
  EXPECT_THAT(FindStrays({Stream(9, "customer.gone")}, {"zone1-100"}, {}), IsEmpty());
}

class StrayWatchTest : public TrafficTest {
 protected:
  // What the agent of the target reports.
  void Report(const std::vector<topology::StreamInfo>& streams) {
    const absl::StatusOr<topology::TabletInfo> tablet =
        coordinator_->topology->FindTablet("zone1-200");
    ASSERT_TRUE(tablet.ok()) << tablet.status();
    topology::TabletReport report;
    report.tablet = *tablet;
    report.streams = streams;
    ASSERT_TRUE(coordinator_->topology->Report(report).ok());
  }
  [[nodiscard]] int StateOfOne() { return cluster_.FindStream(cluster_.target(), 1)->state; }
  [[nodiscard]] std::vector<std::string> Remarks() const {
    for (const topology::TabletInfo& tablet : coordinator_->topology->Tablets()) {
      if (tablet.alias == "zone1-200") {
        return tablet.remarks;
      }
    }
    return {};
  }
  bool AwaitRemark() const {
    const absl::Time deadline = absl::Now() + absl::Seconds(10);
    while (Remarks().empty() && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(5));  // Delay: a remark can only be looked for
    }
    return !Remarks().empty();
  }
};

TEST_F(StrayWatchTest, StopsAndNamesAStreamWhoseWorkflowIsForgotten) {
  const Dependencies parts = {.store = *coordinator_->store,
                              .topology = *coordinator_->topology,
                              .rules = *coordinator_->rules,
                              .agents = cluster_,
                              .locks = coordinator_->locks};
  Report({Stream(1, "customer.move")});
  {
    const StrayWatch watch(parts, absl::Milliseconds(5));
    absl::SleepFor(absl::Milliseconds(100));  // Delay: that nothing happens can only be waited for
    EXPECT_EQ(StateOfOne(), static_cast<int>(StreamState::kRunning));
    EXPECT_THAT(Remarks(), IsEmpty());
  }
  ASSERT_TRUE(coordinator_->store
                  ->Transaction([](store::StoreTransaction& transaction) {
                    return transaction.DeleteWorkflow("customer", "move");
                  })
                  .ok());
  StrayWatch watch(parts, absl::Milliseconds(5));
  ASSERT_TRUE(AwaitRemark());
  watch.Stop();
  EXPECT_EQ(StateOfOne(), static_cast<int>(StreamState::kStopped));
  EXPECT_EQ(FakeCluster::StreamCount(cluster_.target()), 1) << "nothing is thrown away";
  EXPECT_THAT(Remarks(), ElementsAre(HasSubstr("no workflow's record names it")));
}

}  // namespace
}  // namespace sluice::traffic::testing
