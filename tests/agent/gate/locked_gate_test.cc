// Tests of LockedGate's helpers: whoever gets the gate has ended those of an earlier attempt.

#include "agent/gate/locked_gate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "tests/agent/gate/gate_fixture.h"

namespace sluice::gate {
namespace {

class LockedGateTest : public GateFixture {};

TEST_F(LockedGateTest, AHelpersStatementEndsBeforeAnotherGetsTheGate) {
  agent::SessionPool other_pool(pool_->options());
  auto other = LockedGate::Acquire(other_pool, kId, Soon());
  ASSERT_TRUE(other.ok()) << other.status();
  auto helper = other->Help(other_pool, 3);
  ASSERT_TRUE(helper.ok()) << helper.status();
  absl::Status outcome;
  std::jthread helping([&] { outcome = helper->session().Execute("DO SLEEP(60)").status(); });
  for (const absl::Time until = Soon();
       absl::Now() < until && Scalar("SELECT COUNT(*) FROM information_schema.PROCESSLIST"
                                     " WHERE INFO LIKE 'DO SLEEP%'") == "0";) {
  }

  auto mine = LockedGate::Acquire(*pool_, kId, Soon());
  ASSERT_TRUE(mine.ok()) << mine.status();
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM information_schema.PROCESSLIST"
                   " WHERE INFO LIKE 'DO SLEEP%'"),
            "0");
  helping.join();
  EXPECT_TRUE(absl::IsUnavailable(outcome)) << outcome;
  EXPECT_TRUE(mine->Help(*pool_, 3).ok());
}

TEST_F(LockedGateTest, NobodyHelpsWithAGateThatIsAnothers) {
  agent::SessionPool other_pool(pool_->options());
  auto other = LockedGate::Acquire(other_pool, kId, Soon());
  ASSERT_TRUE(other.ok()) << other.status();
  auto mine = LockedGate::Acquire(*pool_, kId, Soon());
  ASSERT_TRUE(mine.ok()) << mine.status();
  EXPECT_TRUE(absl::IsUnavailable(other->Help(other_pool, 0).status()));
  EXPECT_TRUE(mine->Help(*pool_, 0).ok());
}

TEST_F(LockedGateTest, ANumberIsOneHelperAtATime) {
  auto mine = LockedGate::Acquire(*pool_, kId, Soon());
  ASSERT_TRUE(mine.ok()) << mine.status();
  auto first = mine->Help(*pool_, 0);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_TRUE(absl::IsUnavailable(mine->Help(*pool_, 0).status()));
  EXPECT_TRUE(mine->Help(*pool_, 1).ok());
}

}  // namespace
}  // namespace sluice::gate
