// OperationLocks: one command at a time on a workflow.

#include "coordinator/workflow/operation_lock.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice::workflow {

absl::StatusOr<OperationLocks::Guard> OperationLocks::TryLock(absl::string_view key,
                                                              absl::string_view command) {
  const absl::MutexLock lock(&mutex_);
  const auto [held, taken] = held_.try_emplace(std::string(key), std::string(command));
  if (!taken) {
    return absl::AbortedError(absl::StrCat("another command (", held->second, ") is running on ",
                                           key, "; \"sluice workflow diagnose ", key,
                                           "\" says what it waits for"));
  }
  return Guard(*this, std::string(key));
}

std::string OperationLocks::HolderOf(absl::string_view key) const {
  const absl::MutexLock lock(&mutex_);
  const auto held = held_.find(key);
  return held == held_.end() ? std::string() : held->second;
}

OperationLocks::Guard::~Guard() {
  if (locks_ != nullptr) {
    const absl::MutexLock lock(&locks_->mutex_);
    locks_->held_.erase(key_);
  }
}

}  // namespace sluice::workflow
