// What the coordinator's word means, and what its silence does.

#include "agent/throttle/cluster_view.h"

#include <capnp/message.h>
#include <gmock/gmock.h>

#include <vector>

namespace sluice::throttle {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

const OwnRole kPrimary = {.known = true, .primary = true, .lag_ms = -1};

class ClusterViewTest : public ::testing::Test {
 protected:
  void Told(const std::string& throttled, int64_t lag_ms, const std::string& problem = "") {
    capnp::MallocMessageBuilder message;
    auto builder = message.initRoot<schemas::ClusterView>();
    builder.setThrottled(throttled);
    builder.setReplicaLagMs(lag_ms);
    builder.setReplica("zone1-201");
    builder.setReplicaProblem(problem);
    view_.Told({builder.asReader()}, now_);
  }

  absl::Time now_ = absl::UnixEpoch() + absl::Hours(1);
  ClusterView view_;
};

TEST_F(ClusterViewTest, UntilTheCoordinatorIsHeardNothingMayCopy) {
  EXPECT_THAT(view_.WhyNone(), HasSubstr("not heard yet"));
  Told("", 0);
  EXPECT_THAT(view_.WhyNone(), IsEmpty());
}

TEST_F(ClusterViewTest, TheSwitchOutlivesTheCoordinatorsSilence) {
  Told("maintenance", 0);
  now_ += absl::Hours(1);
  EXPECT_EQ(view_.WhyNone(), "all workflows are throttled by hand: maintenance");
}

TEST_F(ClusterViewTest, APrimaryLagsAsTheLastOfItsReplicas) {
  EXPECT_THAT(view_.Lag(kPrimary, now_).detail, HasSubstr("silent"));
  Told("", 2500);
  EXPECT_EQ(view_.Lag(kPrimary, now_).value, 2500);
  EXPECT_EQ(view_.Lag(kPrimary, now_).detail, "zone1-201");
  Told("", 0, "replication does not run");
  EXPECT_FALSE(view_.Lag(kPrimary, now_).value.has_value());
  EXPECT_EQ(view_.Lag(kPrimary, now_).detail, "zone1-201: replication does not run");
}

TEST_F(ClusterViewTest, OfSeveralTabletsTheWorstReplicaCounts) {
  capnp::MallocMessageBuilder message;
  auto reply = message.initRoot<schemas::ReportTabletReply>();
  auto first = reply.initCluster();
  first.setReplicaLagMs(20);
  first.setReplica("zone1-201");
  auto others = reply.initOthers(3);
  others[0].setReplicaLagMs(900);
  others[0].setReplica("zone1-202");
  others[1].setReplicaLagMs(50);
  others[1].setReplica("zone1-203");
  const auto views = [&] {
    return std::vector<schemas::ClusterView::Reader>{first.asReader(), others[0].asReader(),
                                                     others[1].asReader(), others[2].asReader()};
  };
  view_.Told(views(), now_);
  EXPECT_EQ(view_.Lag(kPrimary, now_).value, 900);
  EXPECT_EQ(view_.Lag(kPrimary, now_).detail, "zone1-202");
  others[1].setReplicaProblem("its agent is silent");
  view_.Told(views(), now_);
  EXPECT_FALSE(view_.Lag(kPrimary, now_).value.has_value());
  EXPECT_EQ(view_.Lag(kPrimary, now_).detail, "zone1-203: its agent is silent");
}

TEST_F(ClusterViewTest, ASilentCoordinatorLeavesTheLagUnknown) {
  Told("", 10);
  EXPECT_TRUE(view_.Lag(kPrimary, now_ + absl::Seconds(15)).value.has_value());
  EXPECT_FALSE(view_.Lag(kPrimary, now_ + absl::Seconds(16)).value.has_value());
}

TEST_F(ClusterViewTest, AReplicaKnowsItsOwnLag) {
  EXPECT_EQ(view_.Lag({.known = true, .primary = false, .lag_ms = 70}, now_).value, 70);
  EXPECT_FALSE(view_.Lag({.known = true, .primary = false, .lag_ms = -1}, now_).value.has_value());
  EXPECT_FALSE(view_.Lag(OwnRole(), now_).value.has_value());
}

}  // namespace
}  // namespace sluice::throttle
