// AnswerCache: makes requests that are repeated with the same idempotency id run once.

#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace sluice::rpc {

// Remembers answers, the least recently used forgotten first. Thread-safe.
class AnswerCache {
 public:
  using Answer = std::shared_ptr<const std::string>;
  // Whoever waits for the answer of a request that runs already.
  using Waiter = int;

  struct Limits {
    size_t entries_max = 1024;
    size_t bytes_max = 16U << 20U;
  };

  enum class Begun {
    kRun,     // the caller runs it and calls Finish
    kJoined,  // it runs already; Finish hands `waiter` to the one who runs it
    kKnown,   // `answer` is the answer
  };

  explicit AnswerCache(Limits limits) : limits_(limits) {}
  AnswerCache(const AnswerCache&) = delete;
  AnswerCache& operator=(const AnswerCache&) = delete;

  Begun Begin(const std::string& key, Waiter waiter, Answer& answer) ABSL_LOCKS_EXCLUDED(mutex_);

  // Ends what Begin answered with kRun. A null answer is not remembered: the next repeat runs
  // again. Returns those who joined.
  std::vector<Waiter> Finish(const std::string& key, Answer answer) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Entry {
    bool running = true;
    std::vector<Waiter> waiters;
    Answer answer;
    std::list<std::string>::iterator age;  // valid unless running
  };

  void Forget() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const Limits limits_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Entry> entries_ ABSL_GUARDED_BY(mutex_);
  std::list<std::string> by_age_ ABSL_GUARDED_BY(mutex_);  // oldest first
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace sluice::rpc
