// AnswerCache: answers by idempotency id, bounded in count, bytes and age.

#include "common/rpc/answer_cache.h"

#include <utility>

namespace sluice::rpc {

AnswerCache::Begun AnswerCache::Begin(const std::string& key, Waiter waiter, Answer& answer) {
  const absl::MutexLock lock(&mutex_);
  const auto [it, inserted] = entries_.try_emplace(key);
  Entry& entry = it->second;
  if (inserted) {
    return Begun::kRun;
  }
  if (entry.running) {
    entry.waiters.push_back(waiter);
    return Begun::kJoined;
  }
  by_age_.splice(by_age_.end(), by_age_, entry.age);
  answer = entry.answer;
  return Begun::kKnown;
}

std::vector<AnswerCache::Waiter> AnswerCache::Finish(const std::string& key, Answer answer) {
  const absl::MutexLock lock(&mutex_);
  const auto it = entries_.find(key);
  std::vector<Waiter> waiters = std::move(it->second.waiters);
  if (answer == nullptr) {
    entries_.erase(it);
    return waiters;
  }
  bytes_ += answer->size();
  it->second = Entry{.running = false,
                     .waiters = {},
                     .answer = std::move(answer),
                     .age = by_age_.insert(by_age_.end(), key)};
  Forget();
  return waiters;
}

void AnswerCache::Forget() {
  while (!by_age_.empty() && (by_age_.size() > limits_.entries_max || bytes_ > limits_.bytes_max)) {
    const auto it = entries_.find(by_age_.front());
    bytes_ -= it->second.answer->size();
    entries_.erase(it);
    by_age_.pop_front();
  }
}

}  // namespace sluice::rpc
