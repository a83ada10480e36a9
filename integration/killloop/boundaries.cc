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

using Points = std::vector<const char*>;

void Add(std::vector<Boundary>& all, Owner owner, Story story, const Points& points, int nth = 1) {
  for (const char* point : points) {
    all.push_back({.point = point, .owner = owner, .story = story, .nth = nth});
  }
}

// What becomes readable is the first change of the to-agent in a switch, what opens the second.
void AddTableGates(std::vector<Boundary>& all) {
  for (const char* point :
       {"gate.after_intent", "gate.after_rename", "gate.after_marker", "gate.after_outcome"}) {
    Add(all, Owner::kFromAgent, Story::kSwitch, {point});
    Add(all, Owner::kToAgent, Story::kSwitch, {point});
    Add(all, Owner::kToAgent, Story::kSwitch, {point}, 2);
  }
}

// Who is closed so can be read already, so becoming readable is no change but a new epoch: it has
// neither an intent nor a statement.
void AddServerGates(std::vector<Boundary>& all) {
  const Points changing = {"gate.after_intent", "server.locked", "gate.after_rename",
                           "server.unlocked"};
  const Points ended = {"gate.after_marker", "gate.after_outcome"};
  Add(all, Owner::kFromAgent, Story::kSwitch, changing);
  Add(all, Owner::kFromAgent, Story::kSwitch, ended);
  Add(all, Owner::kToAgent, Story::kSwitch, changing);
  Add(all, Owner::kToAgent, Story::kSwitch, ended);
  Add(all, Owner::kToAgent, Story::kSwitch, ended, 2);
  Add(all, Owner::kToAgent, Story::kSwitch, {"server.forgotten"});
  // The same mysqld is opened again.
  Add(all, Owner::kFromAgent, Story::kUndone, changing, 2);
  Add(all, Owner::kFromAgent, Story::kUndone, {"server.forgotten"});
  Add(all, Owner::kFromAgent, Story::kUndone, ended, 2);
  for (const char* point : {"server.letting_go", "server.ending", "server.let_go"}) {
    Add(all, Owner::kFromAgent, Story::kComplete, {point});
    Add(all, Owner::kToAgent, Story::kCancel, {point});
  }
}

void AddAgents(Gate gate, std::vector<Boundary>& all) {
  if (gate == Gate::kServer) {
    AddServerGates(all);
  } else {
    AddTableGates(all);
  }
  Add(all, Owner::kToAgent, Story::kSwitch, {"gate.after_journal"});
  Add(all, Owner::kFromAgent, Story::kSwitch, {"stream.after_create", "stream.after_command"});
  Add(all, Owner::kToAgent, Story::kSwitch, {"stream.after_command"});
  Add(all, Owner::kFromAgent, Story::kSwitch, {"stream.after_delete"});
  for (const char* point : {"drop.before", "drop.after_statement"}) {
    Add(all, Owner::kFromAgent, Story::kComplete, {point});
    Add(all, Owner::kToAgent, Story::kCancel, {point});
  }
}

}  // namespace

const char* GateName(Gate gate) {
  return gate == Gate::kServer ? "server" : "tables";
}

std::string Boundary::Name() const {
  std::string name = nth == 1 ? point : absl::StrCat(point, ":", nth);
  return owner == Owner::kCoordinator ? name : absl::StrCat(name, "@", OwnerName(owner));
}

std::vector<Boundary> Boundaries(Gate gate) {
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
  AddAgents(gate, all);
  return all;
}

}  // namespace sluice::killloop
