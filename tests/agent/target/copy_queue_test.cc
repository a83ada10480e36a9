// Tests of the order in which ranges are handed out.

#include "agent/target/copy_queue.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace sluice::target {
namespace {

constexpr uint64_t kPart = 1000;

std::vector<CopyTable> Tables(const std::vector<uint64_t>& bytes_estimates) {
  std::vector<CopyTable> tables;
  for (const uint64_t bytes : bytes_estimates) {
    CopyTable& table = tables.emplace_back();
    table.table = "t" + std::to_string(tables.size());
    table.bytes_estimate = bytes;
    table.rows_estimate = bytes / 10;
  }
  return tables;
}

CopyQueue Queue(std::vector<CopyTable>& tables, size_t workers) {
  return {tables, {.workers = workers, .part_bytes = kPart}, [](const CopyTable&) {}};
}

// What a commit says of work that is copied to its end.
CopyProgress Done(const CopyWork& work) {
  CopyProgress progress = work.progress;
  progress.range.done = true;
  progress.range.rows += 1;
  progress.range.bytes += 10;
  return progress;
}

TEST(CopyQueueTest, TablesAreHandedOutOnceEachAndWholeWhileThereAreEnough) {
  std::vector<CopyTable> tables = Tables({10 * kPart, 5, 10 * kPart});
  CopyQueue queue = Queue(tables, 2);
  const auto first = queue.Take(false);
  const auto second = queue.Take(false);
  ASSERT_TRUE(first.has_value() && second.has_value());
  EXPECT_EQ(first->progress.table, "t1");
  EXPECT_EQ(second->progress.table, "t2");
  EXPECT_FALSE(first->split);
  EXPECT_TRUE(first->in_part);
}

TEST(CopyQueueTest, ATableThatOthersAreAtIsSplitAndOnlyByOneWhoWaits) {
  std::vector<CopyTable> tables = Tables({10 * kPart});
  CopyQueue queue = Queue(tables, 2);
  EXPECT_FALSE(queue.Take(false).has_value()) << "it must be split, which ends a transaction";
  auto tail = queue.Take(true);
  ASSERT_TRUE(tail.has_value());
  ASSERT_TRUE(tail->split);
  const CopyQueue::Split split = queue.PlanSplit(*tail, "b1");
  EXPECT_EQ(split.part.range.slot, 1U);
  EXPECT_EQ(split.part.range.last_key, "");
  EXPECT_EQ(split.part.range.end_key, "b1");
  EXPECT_EQ(split.tail.range.last_key, "b1");
  EXPECT_EQ(split.tail.range.end_key, "");
  const CopyWork part = queue.HaveSplit(split);
  EXPECT_EQ(part.slot, 1U);
  // The tail is free again, the part is not.
  tail = queue.Take(true);
  ASSERT_TRUE(tail.has_value());
  EXPECT_EQ(tail->slot, 0U);
  EXPECT_EQ(tail->progress.range.last_key, "b1");
  const CopyWork second = queue.HaveSplit(queue.PlanSplit(*tail, "b2"));
  EXPECT_EQ(second.slot, 2U);
  EXPECT_EQ(second.progress.range.last_key, "b1");
  EXPECT_EQ(second.progress.range.end_key, "b2");
}

TEST(CopyQueueTest, ASlotIsUsedAgainAndKeepsItsCounts) {
  std::vector<CopyTable> tables = Tables({10 * kPart});
  CopyQueue queue = Queue(tables, 2);
  const CopyWork part = queue.HaveSplit(queue.PlanSplit(*queue.Take(true), "b1"));
  queue.Committed({Done(part)});
  queue.GiveBack(part.table, part.slot);
  const CopyWork next = queue.HaveSplit(queue.PlanSplit(*queue.Take(true), "b2"));
  EXPECT_EQ(next.slot, 1U);
  EXPECT_FALSE(next.progress.range.done);
  EXPECT_EQ(next.progress.range.last_key, "b1");
  EXPECT_EQ(next.progress.range.rows, 1U);
  EXPECT_EQ(tables[0].rows, 1U);
  EXPECT_FALSE(tables[0].done);
}

TEST(CopyQueueTest, PartsThatWereLeftComeFirst) {
  std::vector<CopyTable> tables = Tables({5, 10 * kPart});
  tables[1].ranges = {{.slot = 0, .last_key = "m", .end_key = "", .done = false},
                      {.slot = 1, .last_key = "c", .end_key = "f", .done = true},
                      {.slot = 2, .last_key = "f", .end_key = "m", .done = false}};
  tables[0].ranges[0].done = true;
  tables[0].done = true;
  CopyQueue queue = Queue(tables, 2);
  const auto left = queue.Take(false);
  ASSERT_TRUE(left.has_value());
  EXPECT_EQ(left->slot, 2U);
  EXPECT_EQ(left->progress.range.last_key, "f");
}

TEST(CopyQueueTest, ATableIsDoneWithItsLastRange) {
  std::vector<CopyTable> tables = Tables({10 * kPart});
  CopyQueue queue = Queue(tables, 2);
  const CopyWork part = queue.HaveSplit(queue.PlanSplit(*queue.Take(true), "b1"));
  const auto tail = queue.Take(true);
  ASSERT_TRUE(tail.has_value());
  queue.Committed({Done(*tail)});
  queue.GiveBack(tail->table, tail->slot);
  EXPECT_FALSE(tables[0].done);
  EXPECT_FALSE(queue.Take(false).has_value());
  queue.Committed({Done(part)});
  queue.GiveBack(part.table, part.slot);
  EXPECT_TRUE(tables[0].done);
  EXPECT_FALSE(queue.Take(true).has_value()) << "all is done, so nobody waits";
}

TEST(CopyQueueTest, AfterAStopNothingIsHandedOut) {
  std::vector<CopyTable> tables = Tables({5, 5});
  CopyQueue queue = Queue(tables, 2);
  EXPECT_FALSE(queue.stopped());
  queue.Stop();
  EXPECT_TRUE(queue.stopped());
  EXPECT_FALSE(queue.Take(true).has_value());
}

TEST(CopyQueueTest, OneWorkerAloneCopiesATableInOneGo) {
  std::vector<CopyTable> tables = Tables({100 * kPart});
  CopyQueue queue = Queue(tables, 1);
  const auto work = queue.Take(false);
  ASSERT_TRUE(work.has_value());
  EXPECT_FALSE(work->split);
  EXPECT_FALSE(work->in_part);
}

}  // namespace
}  // namespace sluice::target
