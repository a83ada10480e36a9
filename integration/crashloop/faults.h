// Faults: what a round of the crash loop does to the processes and connections, and when. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "absl/time/time.h"

namespace sluice::crashloop {

enum class FaultKind {
  kCut,          // every connection of a link
  kCutOne,       // one connection of a link
  kCutWithin,    // a link, within a message
  kStall,        // a link is silent for a while, then cut or not
  kKillAgent,    // kill -9, and at once started again
  kCrashAgent,   // started again so that it ends by itself at a named point
  kPauseAgent,   // SIGSTOP, later SIGCONT
  kRivalAgent,   // SIGSTOP, a second agent in its place, later SIGCONT: two think they are it
  kKillMysqld,   // kill -9, and at once started again
  kEndMysqld,    // SIGTERM, and started again
  kPauseMysqld,  // SIGSTOP, later SIGCONT
  kKillCoordinator,
};
inline constexpr size_t kFaultKinds = 12;

std::string_view FaultName(FaultKind kind);
// Whether it ends a process or stops one; else it takes connections away.
bool HitsProcess(FaultKind kind);

enum class Side { kSource, kTarget };
enum class Link { kSourceMysqld, kTargetMysqld, kAgents, kSourceCoordinator, kTargetCoordinator };

struct Fault {
  absl::Duration after;  // the one before
  FaultKind kind = FaultKind::kCut;
  Side side = Side::kTarget;
  Link link = Link::kAgents;
  absl::Duration duration;  // of a pause or a stall
  uint64_t amount = 0;  // bytes until the cut; which connection; the how-manieth time of a point
  bool abrupt = false;  // a cut by RST; a stall that ends with a cut
  std::string point;    // of kCrashAgent

  [[nodiscard]] std::string ToString() const;
  friend bool operator==(const Fault&, const Fault&) = default;
};

// The faults of a round, in order. In bursts, with lulls between them in which a stream gets on; at
// most one pause is longer than every time-out.
std::vector<Fault> PlanFaults(uint64_t seed, uint64_t round, size_t count);

}  // namespace sluice::crashloop
