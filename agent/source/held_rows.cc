// HeldRows: numbers and parts.

#include "agent/source/held_rows.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace sluice::source {

uint64_t HeldRows::Keep(std::string rows) {
  const absl::MutexLock lock(&mutex_);
  held_.emplace_back(++last_number_, std::move(rows));
  if (held_.size() > count_max_) {
    held_.pop_front();
  }
  return last_number_;
}

absl::StatusOr<std::string> HeldRows::Read(uint64_t number, uint64_t offset, size_t bytes_max) {
  const absl::MutexLock lock(&mutex_);
  const auto found = std::find_if(held_.begin(), held_.end(),
                                  [number](const auto& held) { return held.first == number; });
  if (found == held_.end()) {
    return absl::NotFoundError(
        absl::StrCat("the rows of number ", number, " are not held any more"));
  }
  if (offset < found->second.size()) {
    return found->second.substr(offset, bytes_max);
  }
  held_.erase(found);
  return std::string();
}

}  // namespace sluice::source
