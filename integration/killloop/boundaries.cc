// Boundaries: made from the machine's own list of effects, so that a new one can't be forgotten.

#include "integration/killloop/boundaries.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "coordinator/cutover/crash_points.h"
#include "coordinator/cutover/machine.h"

namespace sluice::killloop {
namespace {

using cutover::EffectKind;

// Without a default: an effect that has no story does not compile.
Story StoryOf(EffectKind kind) {
  switch (kind) {
    case EffectKind::kAwaitRelease:
      return Story::kHeld;
    case EffectKind::kCloseBehind:
      return Story::kReadsLast;
    case EffectKind::kRestoreClosed:
      return Story::kReadsUndone;
    case EffectKind::kDeleteReverse:
    case EffectKind::kReopenGate:
    case EffectKind::kRestartStream:
    case EffectKind::kReleaseRules:
      return Story::kUndone;
    case EffectKind::kPrepareReverse:
    case EffectKind::kRaiseCounters:
    case EffectKind::kAskProxies:
    case EffectKind::kProbeGate:
    case EffectKind::kCheckStream:
    case EffectKind::kHoldRules:
    case EffectKind::kCloseGate:
    case EffectKind::kSeal:
    case EffectKind::kSettleCounters:
    case EffectKind::kMakeReadable:
    case EffectKind::kAwaitReplicas:
    case EffectKind::kCommit:
    case EffectKind::kStopStream:
    case EffectKind::kOpenGate:
    case EffectKind::kJournalSource:
    case EffectKind::kStartReverse:
    case EffectKind::kFreezeForward:
    case EffectKind::kRouteRules:
    case EffectKind::kAwaitProxies:
    case EffectKind::kDeleteStale:
      return Story::kSwitch;
  }
  return Story::kSwitch;
}

// A switch of all traffic is a cutover of reads and then one of writes; these are in both.
bool ReachedByReadsToo(EffectKind kind) {
  return kind == EffectKind::kCommit || kind == EffectKind::kRouteRules ||
         kind == EffectKind::kAwaitProxies;
}

const char* OwnerName(Owner owner) {
  switch (owner) {
    case Owner::kCoordinator:
      return "coordinator";
    case Owner::kFromAgent:
      return "from-agent";
    case Owner::kToAgent:
      return "to-agent";
  }
  return "";
}

void AddAgents(std::vector<Boundary>& all) {
  for (const char* point :
       {"gate.after_intent", "gate.after_rename", "gate.after_marker", "gate.after_outcome"}) {
    all.push_back({.point = point, .owner = Owner::kFromAgent});
    // The first time it becomes readable.
    all.push_back({.point = point, .owner = Owner::kToAgent});
    all.push_back({.point = point, .owner = Owner::kToAgent, .nth = 2});
  }
  all.push_back({.point = "gate.after_journal", .owner = Owner::kToAgent});
  all.push_back({.point = "stream.after_create", .owner = Owner::kFromAgent});
  all.push_back({.point = "stream.after_command", .owner = Owner::kFromAgent});
  all.push_back({.point = "stream.after_command", .owner = Owner::kToAgent});
  all.push_back({.point = "stream.after_delete", .owner = Owner::kFromAgent});
  for (const char* point : {"drop.before", "drop.after_statement"}) {
    all.push_back({.point = point, .owner = Owner::kFromAgent, .story = Story::kComplete});
    all.push_back({.point = point, .owner = Owner::kToAgent, .story = Story::kCancel});
  }
}

}  // namespace

std::string Boundary::Name() const {
  std::string name = nth == 1 ? point : absl::StrCat(point, ":", nth);
  return owner == Owner::kCoordinator ? name : absl::StrCat(name, "@", OwnerName(owner));
}

std::vector<Boundary> Boundaries() {
  std::vector<Boundary> all;
  for (uint16_t number = 0; number < cutover::kEffectKinds; ++number) {
    const auto kind = static_cast<EffectKind>(number);
    for (const cutover::Boundary side : {cutover::Boundary::kIntent, cutover::Boundary::kDone}) {
      const char* point = cutover::CrashPointName(kind, side);
      all.push_back({.point = point, .story = StoryOf(kind)});
      if (ReachedByReadsToo(kind)) {
        all.push_back({.point = point, .story = StoryOf(kind), .nth = 2});
      }
    }
  }
  for (const std::string& point : cutover::TeardownCrashPoints()) {
    all.push_back(
        {.point = point,
         .story = absl::StartsWith(point, "complete.") ? Story::kComplete : Story::kCancel});
  }
  AddAgents(all);
  return all;
}

}  // namespace sluice::killloop
