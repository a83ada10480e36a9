// What the machine's values are called, how many there are, and which side they concern.

#include <array>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/cutover/machine.h"

namespace sluice::cutover {
namespace {

using enum EffectKind;

constexpr std::array<absl::string_view, kEffectKinds> kNames = {
    "prepare_reverse", "raise_counters", "ask_proxies",    "await_release", "probe_gate",
    "check_stream",    "hold_rules",     "close_gate",     "seal",          "settle_counters",
    "make_readable",   "await_replicas", "commit",         "stop_stream",   "open_gate",
    "journal_source",  "start_reverse",  "freeze_forward", "route_rules",   "await_proxies",
    "close_behind",    "delete_stale",   "delete_reverse", "reopen_gate",   "restart_stream",
    "release_rules",   "restore_closed",
};

enum class Scope { kOnce, kSource, kTarget, kStreamAtSource, kStreamAtTarget, kStale };

Scope ScopeOf(EffectKind kind) {
  switch (kind) {
    case kProbeGate:
    case kCloseGate:
    case kJournalSource:
    case kReopenGate:
    case kCloseBehind:
      return Scope::kSource;
    case kMakeReadable:
    case kAwaitReplicas:
    case kOpenGate:
    case kRestoreClosed:
      return Scope::kTarget;
    case kPrepareReverse:
    case kStartReverse:
    case kDeleteReverse:
      return Scope::kStreamAtSource;
    case kCheckStream:
    case kRaiseCounters:
    case kSeal:
    case kSettleCounters:
    case kStopStream:
    case kFreezeForward:
    case kRestartStream:
      return Scope::kStreamAtTarget;
    case kDeleteStale:
      return Scope::kStale;
    case kAskProxies:
    case kAwaitRelease:
    case kHoldRules:
    case kCommit:
    case kRouteRules:
    case kAwaitProxies:
    case kReleaseRules:
      return Scope::kOnce;
  }
  return Scope::kOnce;
}

bool Wanted(const Plan& plan, EffectKind kind) {
  switch (kind) {
    case kAwaitRelease:
      return plan.await_release;
    case kRaiseCounters:
    case kSettleCounters:
      return plan.raise_counters;
    case kMakeReadable:
      return plan.make_readable;
    case kRestoreClosed:
      return plan.restore_closed;
    case kCloseBehind:
      return plan.close_behind;
    default:
      return true;
  }
}

}  // namespace

absl::string_view EffectName(EffectKind kind) {
  const auto index = static_cast<size_t>(kind);
  return index < kNames.size() ? kNames.at(index) : absl::string_view("unknown");
}

absl::string_view PhaseName(Phase phase) {
  switch (phase) {
    case Phase::kNew:
      return "new";
    case Phase::kPreparing:
      return "preparing";
    case Phase::kCommitted:
      return "committed";
    case Phase::kUndoing:
      return "undoing";
    case Phase::kDone:
      return "done";
    case Phase::kRolledBack:
      return "rolled back";
  }
  return "unknown";
}

uint32_t InstancesOf(const Plan& plan, EffectKind kind) {
  if (!Wanted(plan, kind)) {
    return 0;
  }
  switch (ScopeOf(kind)) {
    case Scope::kOnce:
      return 1;
    case Scope::kSource:
      return static_cast<uint32_t>(plan.sources.size());
    case Scope::kTarget:
      return static_cast<uint32_t>(plan.targets.size());
    case Scope::kStreamAtSource:
    case Scope::kStreamAtTarget:
      return static_cast<uint32_t>(plan.streams.size());
    case Scope::kStale:
      return static_cast<uint32_t>(plan.stale.size());
  }
  return 0;
}

const Side* SideOf(const Plan& plan, const Effect& effect) {
  switch (ScopeOf(effect.kind)) {
    case Scope::kOnce:
      return nullptr;
    case Scope::kSource:
      return &plan.sources.at(effect.index);
    case Scope::kTarget:
      return &plan.targets.at(effect.index);
    case Scope::kStreamAtSource:
      return &plan.sources.at(plan.streams.at(effect.index).source);
    case Scope::kStreamAtTarget:
      return &plan.targets.at(plan.streams.at(effect.index).target);
    case Scope::kStale:
      return &plan.sources.at(plan.stale.at(effect.index).source);
  }
  return nullptr;
}

std::string DescribeEffect(const Plan& plan, const Effect& effect) {
  const Side* side = SideOf(plan, effect);
  return side == nullptr
             ? std::string(EffectName(effect.kind))
             : absl::StrCat(EffectName(effect.kind), " of ", side->keyspace, "/", side->shard);
}

std::string DescribeGate(const GatePlan& gate) {
  if (gate.server) {
    return "as a whole mysqld (read_only)";
  }
  return gate.reason.empty()
             ? std::string("table by table")
             : absl::StrCat("table by table; the mysqld can't be closed as a whole: ", gate.reason);
}

std::string WaitingFor(const State& state) {
  std::vector<std::string> parts;
  for (const Slot& slot : state.slots) {
    if (slot.progress == Progress::kIssued && slot.effect.kind == kAwaitRelease) {
      parts.push_back(absl::StrCat("a person's word: \"sluice cutover release ",
                                   state.plan.workflow, "\" or \"sluice cutover abort ",
                                   state.plan.workflow, "\""));
    } else if (slot.progress == Progress::kIssued) {
      parts.push_back(absl::StrCat(DescribeEffect(state.plan, slot.effect),
                                   slot.message.empty() ? "" : ": ", slot.message));
    }
  }
  return parts.empty() ? std::string() : absl::StrCat("waiting for ", absl::StrJoin(parts, "; "));
}

absl::Status ValidatePlan(const Plan& plan) {
  const auto bad = [&](absl::string_view what) {
    return absl::InvalidArgumentError(absl::StrCat("cutover ", plan.id, ": ", what));
  };
  if (plan.id.empty() || plan.workflow.empty() || plan.forward.empty()) {
    return bad("a plan needs an id and the names of its workflow");
  }
  if (plan.sources.empty() || plan.targets.empty() || plan.tables.empty()) {
    return bad("a plan needs a source, a target and a table");
  }
  if (plan.epoch == 0) {
    return bad("a plan needs an epoch");
  }
  if (plan.kind == Kind::kWrites && !plan.cells.empty()) {
    return bad("writes move in all cells at once");
  }
  if (plan.kind == Kind::kReads && !plan.move_replica && !plan.move_rdonly) {
    return bad("a plan for reads needs a tablet type");
  }
  if (plan.kind == Kind::kWrites && (plan.streams.empty() || plan.backward.empty())) {
    return bad("a plan for writes needs streams and the name of the reverse workflow");
  }
  if (!plan.gates.empty() && plan.gates.size() != plan.sources.size()) {
    return bad("gates of another number of shards than it has");
  }
  for (const StreamPair& pair : plan.streams) {
    if (pair.source >= plan.sources.size() || pair.target >= plan.targets.size()) {
      return bad("a stream names a shard that the plan does not have");
    }
    if (plan.kind == Kind::kWrites && (pair.forward_id == 0 || pair.reverse_id == 0)) {
      return bad("a stream without an id");
    }
  }
  for (const StaleStream& stale : plan.stale) {
    if (stale.source >= plan.sources.size() || stale.id == 0) {
      return bad("a stale stream names a shard that the plan does not have");
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice::cutover
