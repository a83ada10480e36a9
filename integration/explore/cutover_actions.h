// The codes of CutoverModel's actions.

#pragma once

#include <cstdint>

namespace sluice::explore {

enum class Deed : uint8_t {
  // Without a fault.
  kExecute,     // a request is carried out, its answer is under way
  kAnswer,      // the answer comes
  kCarryOut,    // both at once
  kNoAnswer,    // the host is down or cut off
  kArriveLate,  // a request that was given up
  kDeadline,
  kRestart,
  kHeal,
  kCommit,
  // Faults.
  kLoseAnswer,
  kGoLate,  // the request is given up, and arrives some time or never
  kDouble,  // it arrives once more some time
  kRefuse,
  kAskAgain,  // refused, but may succeed when repeated
  kCommitUnknown,
  kCommitLost,  // not committed, and the store does not say so
  kCommitFailed,
  kCommitThenCrash,
  kCrashCoordinator,
  kCrashAgent,
  kCrashMysqld,
  kCut,
  kNotStored,
};

// `what`: the bit of an effect, a host, or a cut. `how`: a GateStop, where a crash has one for the
// request `request` plus one.
constexpr uint32_t ActionOf(Deed deed, uint32_t what = 0, uint32_t how = 0, uint32_t request = 0) {
  return (static_cast<uint32_t>(deed) << 24U) | (what << 16U) | (how << 8U) | request;
}
constexpr Deed DeedOf(uint32_t action) {
  return static_cast<Deed>(action >> 24U);
}
constexpr uint32_t WhatOf(uint32_t action) {
  return (action >> 16U) & 0xFFU;
}
constexpr uint32_t HowOf(uint32_t action) {
  return (action >> 8U) & 0xFFU;
}
constexpr uint32_t RequestOf(uint32_t action) {
  return action & 0xFFU;
}

}  // namespace sluice::explore
