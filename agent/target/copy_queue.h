// CopyQueue: which part of which table is copied next, and how far all of them are.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "agent/target/stream_record.h"
#include "agent/target/stream_store.h"

namespace sluice::target {

struct CopyQueueOptions {
  size_t workers = 1;
  uint64_t part_bytes = uint64_t{16} << 20U;  // a table above it is copied in parts
};

// A range that one worker has to itself until it gives it back.
struct CopyWork {
  size_t table = 0;  // ordinal in the stream
  uint32_t slot = 0;
  bool split = false;     // copy a part of it only, split off first
  bool in_part = false;   // give the tail back after part_bytes, so that others may split it
  CopyProgress progress;  // as it is committed
};

// Hands out ranges: parts that were split off and not finished first, then tables that nobody is
// at, then parts of tables that others are at. While there are as many tables left as workers, none
// is split. Thread-safe; makes no calls to the outside but on_change.
class CopyQueue {
 public:
  // `tables` change under its lock, at commits only; `on_change` is called then, one call at a
  // time.
  CopyQueue(std::vector<CopyTable>& tables, const CopyQueueOptions& options,
            std::function<void(const CopyTable&)> on_change);

  // The next range. Waits while all that is left is in others' hands, unless `wait` is false, which
  // also refuses ranges that must be split. Nothing when all is done, or after Stop.
  std::optional<CopyWork> Take(bool wait) ABSL_LOCKS_EXCLUDED(mutex_);

  // How the tail and a slot for its first part, up to `boundary`, look once they are split.
  struct Split {
    CopyProgress tail;
    CopyProgress part;
  };
  Split PlanSplit(const CopyWork& tail, const std::string& boundary) const
      ABSL_LOCKS_EXCLUDED(mutex_);

  // Takes over what was committed.
  void Committed(const std::vector<CopyProgress>& progress) ABSL_LOCKS_EXCLUDED(mutex_);
  // Makes the part of a committed split the caller's, and the tail free.
  CopyWork HaveSplit(const Split& split) ABSL_LOCKS_EXCLUDED(mutex_);
  void GiveBack(size_t table, uint32_t slot) ABSL_LOCKS_EXCLUDED(mutex_);

  // Nothing more is handed out, and those at work should end.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);
  [[nodiscard]] bool stopped() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Hold {
    std::vector<bool> slots;  // in somebody's hands
    size_t held = 0;
  };

  bool CanDecide() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || open_tables_ == 0 || Pick().has_value();
  }
  std::optional<CopyWork> Pick() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  CopyWork WorkOf(size_t table, uint32_t slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Held(size_t table, uint32_t slot) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void SetHeld(size_t table, uint32_t slot, bool held) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeOver(const std::vector<CopyProgress>& progress) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool IsLarge(const CopyTable& table) const;

  const CopyQueueOptions options_;
  const std::function<void(const CopyTable&)> on_change_;
  mutable absl::Mutex mutex_;
  std::vector<CopyTable>& tables_ ABSL_GUARDED_BY(mutex_);
  std::vector<Hold> holds_ ABSL_GUARDED_BY(mutex_);  // by table
  size_t first_open_ ABSL_GUARDED_BY(mutex_) = 0;    // all tables before it are done
  size_t open_tables_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace sluice::target
