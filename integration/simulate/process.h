// Process: something that dies, is started again, and stands still for a while.

#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "integration/simulate/scheduler.h"

namespace sluice::simulate {

// What one life has begun no other one goes on with. Who stands still does all that has come
// meanwhile when he goes on.
class Process {
 public:
  Process(Scheduler& scheduler, std::string name, uint32_t host)
      : scheduler_(scheduler), name_(std::move(name)), host_(host) {}
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] uint32_t host() const { return host_; }
  [[nodiscard]] bool up() const { return up_; }
  [[nodiscard]] bool stands_still() const { return scheduler_.now() < still_until_; }
  [[nodiscard]] uint64_t life() const { return life_; }

  void Die() { up_ = false; }
  void Start() {
    up_ = true;
    ++life_;
    still_until_ = 0;
  }
  void StandStillUntil(Micros when) { still_until_ = when; }
  void Wake() { still_until_ = scheduler_.now(); }

  // Later in this life.
  void Later(Micros delay, Action action) {
    At(scheduler_.now() + delay, life_, std::move(action));
  }
  // In whichever life it meets; nothing where there is none.
  void Arrive(Action action) {
    if (up_) {
      At(scheduler_.now(), life_, std::move(action));
    }
  }

 private:
  void At(Micros when, uint64_t life, Action action) {
    scheduler_.At(when, [this, life, action = std::move(action)]() mutable {
      if (!up_ || life_ != life) {
        return;
      }
      if (stands_still()) {
        At(still_until_, life, std::move(action));
        return;
      }
      action();
    });
  }

  Scheduler& scheduler_;
  const std::string name_;
  const uint32_t host_;
  bool up_ = true;
  uint64_t life_ = 1;
  Micros still_until_ = 0;
};

}  // namespace sluice::simulate
