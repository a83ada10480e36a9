// OperationLocks: one command at a time on a workflow.

#pragma once

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace sluice::workflow {

// Thread-safe. Must outlive its guards.
class OperationLocks {
 public:
  // Ends the exclusion when destroyed.
  class Guard {
   public:
    Guard(OperationLocks& locks, std::string key) : locks_(&locks), key_(std::move(key)) {}
    Guard(Guard&& other) noexcept : locks_(other.locks_), key_(std::move(other.key_)) {
      other.locks_ = nullptr;
    }
    Guard& operator=(Guard&&) = delete;
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;
    ~Guard();

   private:
    OperationLocks* locks_;
    std::string key_;
  };

  // `key` is OperationKey(record); `command` names the command for those who come second.
  // ABORTED "another command (switchtraffic) is running on customer.commerce2customer" when taken.
  absl::StatusOr<Guard> TryLock(absl::string_view key, absl::string_view command);
  // The command that runs on it; empty when there is none.
  [[nodiscard]] std::string HolderOf(absl::string_view key) const;

 private:
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::string> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::workflow
