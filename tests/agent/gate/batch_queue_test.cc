// BatchQueue: who is done with whom.

#include "agent/gate/batch_queue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"

namespace sluice::gate {
namespace {

using ::testing::ElementsAre;

// A queue whose first batch is at work until it may end, and the sizes of all.
class BatchQueueTest : public ::testing::Test {
 protected:
  void Work(const std::vector<GateRequest*>& batch) {
    {
      const absl::MutexLock lock(&mutex_);
      sizes_.push_back(batch.size());
    }
    if (batch.front()->change.epoch == 1) {
      began_.Notify();
      may_end_.WaitForNotification();
    }
    for (GateRequest* request : batch) {
      GateOutcome outcome;
      outcome.gtid_executed = absl::StrCat(request->change.epoch);
      queue_.Deliver(*request, outcome);
    }
  }

  absl::StatusOr<GateOutcome> Ask(uint64_t epoch, absl::Duration within = absl::Seconds(60),
                                  const std::string& workflow = "k.w", size_t tables = 1) {
    GateRequest request{.change = {}, .deadline = absl::Now() + within};
    request.change.id.workflow = workflow;
    request.change.tables.resize(tables);
    request.change.epoch = epoch;
    return queue_.Run(request);
  }

  // Asks on a thread of its own and returns when it is in the queue.
  void AskBehind(uint64_t epoch, size_t tables = 1) {
    const size_t before = queue_.Waiting("k.w");
    threads_.emplace_back([=, this] {
      const auto outcome = Ask(epoch, absl::Seconds(60), "k.w", tables);
      EXPECT_EQ(outcome.value().gtid_executed, absl::StrCat(epoch)) << "somebody else's outcome";
    });
    while (queue_.Waiting("k.w") == before) {
      std::this_thread::yield();
    }
  }

  void BeginFirst() {
    threads_.emplace_back([this] { EXPECT_TRUE(Ask(1).ok()); });
    began_.WaitForNotification();
  }

  absl::Mutex mutex_;
  std::vector<size_t> sizes_;
  absl::Notification began_;
  absl::Notification may_end_;
  BatchQueue queue_{[this](const std::vector<GateRequest*>& batch) { Work(batch); }};
  std::vector<std::jthread> threads_;
};

TEST_F(BatchQueueTest, WhoComesWhileOneIsAtWorkIsDoneWithTheOthersWhoDid) {
  BeginFirst();
  for (const uint64_t epoch : {2U, 3U, 4U, 5U}) {
    AskBehind(epoch);
  }
  may_end_.Notify();
  threads_.clear();
  EXPECT_THAT(sizes_, ElementsAre(1, 4));
  EXPECT_TRUE(Ask(6).ok());
  EXPECT_THAT(sizes_, ElementsAre(1, 4, 1));
}

TEST_F(BatchQueueTest, ABatchHasNoMoreTablesThanItMay) {
  BeginFirst();
  AskBehind(2, BatchQueue::kTablesMax - 1);
  AskBehind(3, BatchQueue::kTablesMax + 1);
  AskBehind(4, 1);
  may_end_.Notify();
  threads_.clear();
  size_t all = 0;
  for (const size_t size : sizes_) {
    EXPECT_LE(size, 2U);
    all += size;
  }
  EXPECT_EQ(all, 4U);
}

TEST_F(BatchQueueTest, AnotherWorkflowIsNotWaitedFor) {
  BeginFirst();
  EXPECT_TRUE(Ask(2, absl::Seconds(60), "k.other").ok());
  may_end_.Notify();
}

TEST_F(BatchQueueTest, WhoseTimeIsUpBeforeItIsBegunIsToldSo) {
  BeginFirst();
  const auto late = Ask(2, absl::Milliseconds(10));
  EXPECT_EQ(late.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(queue_.Waiting("k.w"), 0U);
  may_end_.Notify();
  threads_.clear();
  EXPECT_THAT(sizes_, ElementsAre(1));
}

}  // namespace
}  // namespace sluice::gate
