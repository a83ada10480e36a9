// Releases: waiting for a person, and being told.

#include "coordinator/cutover/releases.h"

#include "absl/strings/str_cat.h"

namespace sluice::cutover {

absl::Status Releases::Await(const std::string& cutover_id, absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  const auto decided = [&]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    return closed_ || released_.contains(cutover_id) || cancelled_.contains(cutover_id);
  };
  const bool in_time = mutex_.AwaitWithDeadline(absl::Condition(&decided), deadline);
  cancelled_.erase(cutover_id);
  if (released_.erase(cutover_id) != 0) {
    return absl::OkStatus();
  }
  return in_time ? absl::CancelledError("the wait for a release was ended")
                 : absl::AbortedError(absl::StrCat("cutover ", cutover_id, " is not released yet"));
}

void Releases::Release(const std::string& cutover_id) {
  const absl::MutexLock lock(&mutex_);
  released_.insert(cutover_id);
}

void Releases::Cancel(const std::string& cutover_id) {
  const absl::MutexLock lock(&mutex_);
  cancelled_.insert(cutover_id);
}

void Releases::Close() {
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
}

}  // namespace sluice::cutover
