// One pass over the slots.

#include "coordinator/cutover/slot_index.h"

namespace sluice::cutover {
namespace {

constexpr uint32_t kNowhere = UINT32_MAX;

}  // namespace

SlotIndex::SlotIndex(const State& state) : state_(state) {
  size_t total = 0;
  for (size_t kind = 0; kind < kEffectKinds; ++kind) {
    instances_[kind] = InstancesOf(state.plan, static_cast<EffectKind>(kind));
    begin_[kind] = total;
    total += instances_[kind];
  }
  places_.resize(total, kNowhere);
  for (size_t place = 0; place < state.slots.size(); ++place) {
    Add(place);
  }
}

void SlotIndex::Add(size_t place) {
  const Slot& slot = state_.slots[place];
  const size_t kind = Number(slot.effect.kind);
  if (slot.effect.index >= instances_[kind]) {
    return;  // stored by somebody else; no instance of this plan
  }
  places_[begin_[kind] + slot.effect.index] = static_cast<uint32_t>(place);
  ++issued_[kind];
  done_[kind] += slot.progress == Progress::kDone ? 1U : 0U;
}

const Slot* SlotIndex::Find(EffectKind kind, uint32_t index) const {
  if (index >= Instances(kind)) {
    return nullptr;
  }
  const uint32_t place = places_[begin_[Number(kind)] + index];
  return place == kNowhere ? nullptr : &state_.slots[place];
}

}  // namespace sluice::cutover
