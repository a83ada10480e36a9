// SlotIndex: where the slots of a cutover's state are, and how many are issued and done.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "coordinator/cutover/machine.h"

namespace sluice::cutover {

// A cutover of hundreds of shards has thousands of slots, and the machine asks for all of them with
// each event; looked for one by one, that would take longer than the databases do. Follows a state
// that must outlive it; slots may be appended to that, and each is then told. For one thread.
class SlotIndex {
 public:
  explicit SlotIndex(const State& state);

  // The last one of `state.slots` is new.
  void Appended() { Add(state_.slots.size() - 1); }

  [[nodiscard]] uint32_t Instances(EffectKind kind) const { return instances_[Number(kind)]; }
  // nullptr: not issued.
  [[nodiscard]] const Slot* Find(EffectKind kind, uint32_t index) const;
  [[nodiscard]] bool AllIssued(EffectKind kind) const {
    return issued_[Number(kind)] == Instances(kind);
  }
  [[nodiscard]] bool AllDone(EffectKind kind) const {
    return done_[Number(kind)] == Instances(kind);
  }

 private:
  static size_t Number(EffectKind kind) { return static_cast<size_t>(kind); }
  void Add(size_t place);

  const State& state_;
  std::array<uint32_t, kEffectKinds> instances_{};
  std::array<uint32_t, kEffectKinds> issued_{};
  std::array<uint32_t, kEffectKinds> done_{};
  std::array<size_t, kEffectKinds> begin_{};  // of each kind's instances in places_
  std::vector<uint32_t> places_;
};

}  // namespace sluice::cutover
