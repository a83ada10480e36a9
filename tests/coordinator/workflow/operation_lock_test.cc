// OperationLocks: one command at a time on a workflow.

#include "coordinator/workflow/operation_lock.h"

#include "tests/coordinator/testing/status_matchers.h"

namespace sluice::workflow {
namespace {

using ::sluice::testing::IsOk;
using ::sluice::testing::StatusIs;

TEST(OperationLocksTest, TheSecondCommandIsRefusedWithTheNameOfTheFirst) {
  OperationLocks locks;
  {
    const auto first = locks.TryLock("customer.c2c", "switchtraffic");
    EXPECT_THAT(first, IsOk());
    EXPECT_THAT(locks.TryLock("customer.c2c", "cancel"),
                StatusIs(absl::StatusCode::kAborted,
                         "another command (switchtraffic) is running on customer.c2c; \"sluice "
                         "workflow diagnose customer.c2c\" says what it waits for"));
    EXPECT_THAT(locks.TryLock("customer.other", "cancel"), IsOk());
  }
  EXPECT_THAT(locks.TryLock("customer.c2c", "cancel"), IsOk());
}

TEST(OperationLocksTest, TheCommandThatHoldsALockIsNamed) {
  OperationLocks locks;
  EXPECT_EQ(locks.HolderOf("customer.move"), "");
  {
    const auto held = locks.TryLock("customer.move", "switchtraffic");
    EXPECT_EQ(locks.HolderOf("customer.move"), "switchtraffic");
    EXPECT_EQ(locks.HolderOf("customer.other"), "");
  }
  EXPECT_EQ(locks.HolderOf("customer.move"), "");
}

}  // namespace
}  // namespace sluice::workflow
