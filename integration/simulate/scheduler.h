// Scheduler: virtual time, and what happens in it, one thing after the other.

#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

namespace sluice::simulate {

using Micros = int64_t;
using Action = std::function<void()>;

inline constexpr Micros kMilli = 1'000;
inline constexpr Micros kSecond = 1'000'000;

// Owned by one thread. What is due at one moment happens in the order in which it was asked for.
class Scheduler {
 public:
  [[nodiscard]] Micros now() const { return now_; }
  [[nodiscard]] uint64_t events() const { return events_; }

  void At(Micros when, Action action) {
    queue_.push_back(
        {.when = std::max(when, now_), .number = next_++, .action = std::move(action)});
    std::push_heap(queue_.begin(), queue_.end(), Later);
  }
  void In(Micros delay, Action action) { At(now_ + delay, std::move(action)); }

  // Lets the next thing happen unless it is due after `until`; false where there is none.
  bool RunNext(Micros until) {
    if (queue_.empty() || queue_.front().when > until) {
      now_ = std::max(now_, until);
      return false;
    }
    std::pop_heap(queue_.begin(), queue_.end(), Later);
    const Due due = std::move(queue_.back());
    queue_.pop_back();
    now_ = due.when;
    ++events_;
    due.action();
    return true;
  }

 private:
  struct Due {
    Micros when;
    uint64_t number;
    Action action;
  };
  static bool Later(const Due& a, const Due& b) {
    return a.when != b.when ? a.when > b.when : a.number > b.number;
  }

  Micros now_ = 0;
  uint64_t next_ = 0;
  uint64_t events_ = 0;
  std::vector<Due> queue_;
};

}  // namespace sluice::simulate
