// Requests that may arrive when nobody waits for them any more: which they are, and their set.

#pragma once

#include <array>
#include <cstdint>

#include "integration/explore/machine_table.h"

namespace sluice::explore {

// The others change nothing, answer nobody, or never leave the coordinator's process.
inline constexpr std::array kLateKinds = {
    cutover::EffectKind::kCloseGate,      cutover::EffectKind::kReopenGate,
    cutover::EffectKind::kOpenGate,       cutover::EffectKind::kStopStream,
    cutover::EffectKind::kRestartStream,  cutover::EffectKind::kFreezeForward,
    cutover::EffectKind::kPrepareReverse, cutover::EffectKind::kStartReverse,
    cutover::EffectKind::kDeleteReverse};
inline constexpr uint32_t kLateBits = kLateKinds.size() * kShardsMax;
static_assert(kLateBits <= 32);

// 0 where the kind is none of them. `bit` numbers an effect as in an EffectSet.
constexpr uint32_t LateBit(uint32_t bit) {
  for (uint32_t i = 0; i < kLateKinds.size(); ++i) {
    if (kLateKinds[i] == KindOf(bit)) {
      return 1U << (i * kShardsMax + IndexOf(bit));
    }
  }
  return 0;
}
// The effect of number `late` in the set.
constexpr uint32_t EffectOfLate(uint32_t late) {
  return static_cast<uint32_t>(kLateKinds[late / kShardsMax]) * kShardsMax + late % kShardsMax;
}
constexpr uint32_t ExchangedLate(uint32_t set) {
  constexpr uint32_t kFirst = 0x55555555U;
  return ((set & kFirst) << 1U) | ((set >> 1U) & kFirst);
}

}  // namespace sluice::explore
