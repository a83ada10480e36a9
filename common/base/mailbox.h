// Mailbox: a queue between threads, bounded by cost, with deadlines and an end.

#pragma once

#include <cstddef>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace sluice {

// First in, first out. Each item has a cost (1, or its bytes); Push waits while the items inside
// cost the capacity or more, so one item larger than the capacity still passes. Thread-safe.
template <typename T>
class Mailbox {
 public:
  static constexpr size_t kUnbounded = std::numeric_limits<size_t>::max();

  explicit Mailbox(size_t capacity = kUnbounded) : capacity_(capacity) {}
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;

  // False, and the item is dropped, when the mailbox is closed or stays full until the deadline.
  bool Push(T item, size_t cost = 1, absl::Time deadline = absl::InfiniteFuture())
      ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithDeadline(absl::Condition(this, &Mailbox::HasRoomOrClosed), deadline) ||
        closed_) {
      return false;
    }
    items_.emplace_back(std::move(item), cost);
    cost_ += cost;
    return true;
  }

  // The oldest item. Waits for one; nullopt at the deadline, or when the mailbox is closed and
  // empty (closed() tells which).
  std::optional<T> Pop(absl::Time deadline = absl::InfiniteFuture()) ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithDeadline(absl::Condition(this, &Mailbox::HasItemOrClosed), deadline);
    if (items_.empty()) {
      return std::nullopt;
    }
    std::optional<T> item(std::move(items_.front().first));
    cost_ -= items_.front().second;
    items_.pop_front();
    return item;
  }

  // Refuses further items and wakes everyone; what is inside can still be taken.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  // Close, and drops what is inside.
  void CloseAndClear() ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
    items_.clear();
    cost_ = 0;
  }

  [[nodiscard]] bool closed() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return closed_;
  }
  [[nodiscard]] size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return items_.size();
  }
  [[nodiscard]] size_t cost() const ABSL_LOCKS_EXCLUDED(mutex_) {
    const absl::MutexLock lock(&mutex_);
    return cost_;
  }

 private:
  bool HasRoomOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || cost_ < capacity_;
  }
  bool HasItemOrClosed() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return closed_ || !items_.empty();
  }

  mutable absl::Mutex mutex_;
  const size_t capacity_;
  std::deque<std::pair<T, size_t>> items_ ABSL_GUARDED_BY(mutex_);
  size_t cost_ ABSL_GUARDED_BY(mutex_) = 0;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice
