// CopyQueue: choosing ranges and splitting tails.

#include "agent/target/copy_queue.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace sluice::target {

CopyQueue::CopyQueue(std::vector<CopyTable>& tables, const CopyQueueOptions& options,
                     std::function<void(const CopyTable&)> on_change)
    : options_(options),
      on_change_(std::move(on_change)),
      tables_(tables),
      holds_(tables.size()),
      open_tables_(static_cast<size_t>(std::count_if(
          tables.begin(), tables.end(), [](const CopyTable& table) { return !table.done; }))) {}

bool CopyQueue::Held(size_t table, uint32_t slot) const {
  const std::vector<bool>& slots = holds_[table].slots;
  return slot < slots.size() && slots[slot];
}

void CopyQueue::SetHeld(size_t table, uint32_t slot, bool held) {
  Hold& hold = holds_[table];
  if (hold.slots.size() <= slot) {
    hold.slots.resize(slot + 1);
  }
  SLUICE_CHECK(hold.slots[slot] != held);
  hold.slots[slot] = held;
  hold.held += held ? 1 : std::size_t{0} - 1;
}

// Estimates may be far too small (a table that was filled a moment ago), so what is copied counts
// too.
bool CopyQueue::IsLarge(const CopyTable& table) const {
  return std::max(table.bytes_estimate, table.bytes) >= options_.part_bytes;
}

CopyWork CopyQueue::WorkOf(size_t table, uint32_t slot) const {
  const CopyTable& from = tables_[table];
  CopyWork work;
  work.table = table;
  work.slot = slot;
  work.progress = {.ordinal = table,
                   .table = from.table,
                   .rows_estimate = from.rows_estimate,
                   .bytes_estimate = from.bytes_estimate,
                   .range = from.ranges[slot]};
  return work;
}

std::optional<CopyWork> CopyQueue::Pick() const {
  std::optional<size_t> shared;  // a table that others are at, with a free tail
  for (size_t i = first_open_; i < tables_.size(); ++i) {
    const CopyTable& table = tables_[i];
    if (table.done) {
      continue;
    }
    for (uint32_t slot = 1; slot < table.ranges.size(); ++slot) {
      if (!table.ranges[slot].done && !Held(i, slot)) {
        return WorkOf(i, slot);
      }
    }
    if (table.ranges[0].done || Held(i, 0)) {
      continue;
    }
    if (holds_[i].held == 0) {
      CopyWork work = WorkOf(i, 0);
      work.split = options_.workers > open_tables_ && IsLarge(table);
      work.in_part = options_.workers > 1 && !work.split;
      return work;
    }
    if (!shared.has_value() || holds_[i].held < holds_[*shared].held) {
      shared = i;
    }
  }
  if (!shared.has_value()) {
    return std::nullopt;
  }
  CopyWork work = WorkOf(*shared, 0);
  work.split = true;
  return work;
}

std::optional<CopyWork> CopyQueue::Take(bool wait) {
  const absl::MutexLock lock(&mutex_);
  if (wait) {
    mutex_.Await(absl::Condition(this, &CopyQueue::CanDecide));
  }
  if (stopped_) {
    return std::nullopt;
  }
  std::optional<CopyWork> work = Pick();
  if (!work.has_value() || (work->split && !wait)) {
    return std::nullopt;
  }
  SetHeld(work->table, work->slot, true);
  return work;
}

CopyQueue::Split CopyQueue::PlanSplit(const CopyWork& tail, const std::string& boundary) const {
  const absl::MutexLock lock(&mutex_);
  const CopyTable& table = tables_[tail.table];
  uint32_t slot = 1;
  while (slot < table.ranges.size() && (!table.ranges[slot].done || Held(tail.table, slot))) {
    ++slot;
  }
  Split split{.tail = tail.progress, .part = tail.progress};
  split.part.range = slot < table.ranges.size() ? table.ranges[slot] : CopyRange();
  split.part.range.slot = slot;
  split.part.range.done = false;
  split.part.range.last_key = tail.progress.range.last_key;
  split.part.range.end_key = boundary;
  split.tail.range.last_key = boundary;
  return split;
}

void CopyQueue::Committed(const std::vector<CopyProgress>& progress) {
  const absl::MutexLock lock(&mutex_);
  TakeOver(progress);
}

void CopyQueue::TakeOver(const std::vector<CopyProgress>& progress) {
  for (const CopyProgress& one : progress) {
    CopyTable& table = tables_[one.ordinal];
    if (one.range.slot >= table.ranges.size()) {
      table.ranges.resize(one.range.slot + 1);
    }
    const bool was_done = table.done;
    table.ranges[one.range.slot] = one.range;
    table.started = true;
    table.Sum();
    table.rows_estimate = std::max(one.rows_estimate, table.rows);
    table.bytes_estimate = std::max(one.bytes_estimate, table.bytes);
    if (table.done && !was_done) {
      --open_tables_;
    }
    on_change_(table);
  }
  while (first_open_ < tables_.size() && tables_[first_open_].done) {
    ++first_open_;
  }
}

CopyWork CopyQueue::HaveSplit(const Split& split) {
  const absl::MutexLock lock(&mutex_);
  TakeOver({split.tail, split.part});
  const size_t table = split.tail.ordinal;
  SetHeld(table, split.part.range.slot, true);
  SetHeld(table, split.tail.range.slot, false);
  return WorkOf(table, split.part.range.slot);
}

void CopyQueue::GiveBack(size_t table, uint32_t slot) {
  const absl::MutexLock lock(&mutex_);
  SetHeld(table, slot, false);
}

void CopyQueue::Stop() {
  const absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

bool CopyQueue::stopped() const {
  const absl::MutexLock lock(&mutex_);
  return stopped_;
}

}  // namespace sluice::target
