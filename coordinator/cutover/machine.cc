// The order of a cutover's effects, as data, and the rules of failing, undoing and repeating.

#include "coordinator/cutover/machine.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "coordinator/cutover/slot_index.h"

namespace sluice::cutover {
namespace {

using enum EffectKind;

// An effect may start when all instances of those it comes after are done.
struct Stage {
  EffectKind kind;
  std::array<EffectKind, 4> after;
  uint8_t after_count = 0;
};

template <typename... Kinds>
constexpr Stage After(EffectKind kind, Kinds... after) {
  return {kind, {after...}, sizeof...(after)};
}
constexpr Stage First(EffectKind kind) {
  return {kind, {}, 0};
}

// Nobody waits before the hold. The seal is asked for with the close, so that it answers as soon as
// the marker has come. A stream has nothing more to write then, so it stops beside the commit.
constexpr std::array kWritesPreparing = {
    First(kPrepareReverse),
    First(kRaiseCounters),
    First(kAskProxies),
    After(kAwaitRelease, kPrepareReverse, kRaiseCounters, kAskProxies),
    After(kProbeGate, kPrepareReverse, kRaiseCounters, kAskProxies, kAwaitRelease),
    After(kCheckStream, kPrepareReverse, kRaiseCounters, kAskProxies, kAwaitRelease),
    After(kHoldRules, kProbeGate, kCheckStream),
    After(kCloseGate, kHoldRules),
    After(kSeal, kHoldRules),
    After(kSettleCounters, kCloseGate),
    After(kStopStream, kSeal),
    After(kCommit, kCloseGate, kSeal, kSettleCounters),
};

// A source that is down after the commit must not prolong the pause. Streams and rules have nothing
// to wait for in each other. With the source's journal come the guards of its closed names, which a
// stream that still reads its binlog would take for somebody's DDL.
constexpr std::array kWritesCommitted = {
    First(kStopStream),
    After(kJournalSource, kStopStream),
    After(kOpenGate, kStopStream),
    After(kRouteRules, kOpenGate),
    After(kStartReverse, kOpenGate),
    After(kFreezeForward, kOpenGate),
    After(kDeleteStale, kOpenGate),
    After(kAwaitProxies, kRouteRules),
};

constexpr std::array kReadsPreparing = {
    First(kMakeReadable),
    After(kAwaitReplicas, kMakeReadable),
    After(kCommit, kAwaitReplicas),
};

constexpr std::array kReadsCommitted = {
    First(kRouteRules),
    After(kAwaitProxies, kRouteRules),
    After(kCloseBehind, kAwaitProxies),
};

// The old side serves again first; the reverse streams never ran, so they are deleted beside it. A
// target that is down must not keep the proxies holding.
constexpr std::array kUndoing = {
    First(kDeleteReverse),
    First(kReopenGate),
    First(kRestoreClosed),
    After(kReleaseRules, kReopenGate),
    After(kRestartStream, kReopenGate),
};

struct Script {
  const Stage* begin;
  const Stage* end;
};

template <size_t N>
Script ScriptOf(const std::array<Stage, N>& stages) {
  return {stages.data(), stages.data() + N};
}

Script ScriptFor(const State& state) {
  const bool writes = state.plan.kind == Kind::kWrites;
  switch (state.phase) {
    case Phase::kPreparing:
      return writes ? ScriptOf(kWritesPreparing) : ScriptOf(kReadsPreparing);
    case Phase::kCommitted:
      return writes ? ScriptOf(kWritesCommitted) : ScriptOf(kReadsCommitted);
    case Phase::kUndoing:
      return ScriptOf(kUndoing);
    default:
      return {nullptr, nullptr};
  }
}

// What an undoing effect takes back.
std::optional<EffectKind> UndoneBy(EffectKind kind) {
  switch (kind) {
    case kDeleteReverse:
      return kPrepareReverse;
    case kReopenGate:
      return kCloseGate;
    case kRestartStream:
      return kSeal;
    case kReleaseRules:
      return kHoldRules;
    case kRestoreClosed:
      return kMakeReadable;
    default:
      return std::nullopt;
  }
}

// An instance that has nothing to do in this state counts as done.
bool Needed(const SlotIndex& slots, EffectKind kind, uint32_t index) {
  const std::optional<EffectKind> undone = UndoneBy(kind);
  return !undone || slots.Find(*undone, index) != nullptr;
}

bool StageDone(const SlotIndex& slots, EffectKind kind) {
  if (slots.AllDone(kind) || !UndoneBy(kind)) {
    return slots.AllDone(kind);
  }
  for (uint32_t index = 0; index < slots.Instances(kind); ++index) {
    const Slot* slot = slots.Find(kind, index);
    if (slot == nullptr ? Needed(slots, kind, index) : slot->progress != Progress::kDone) {
      return false;
    }
  }
  return true;
}

Slot* Find(State& state, const Effect& effect) {
  const auto slot = std::find_if(state.slots.begin(), state.slots.end(), [&](const Slot& each) {
    return each.effect.kind == effect.kind && each.effect.index == effect.index;
  });
  return slot == state.slots.end() ? nullptr : &*slot;
}

// Creating a stream and setting a hold carry no epoch: what takes them back waits until they are
// answered, or a late one would stay for ever.
bool BlockedByOwnForward(const SlotIndex& slots, EffectKind kind, uint32_t index) {
  if (kind != kDeleteReverse && kind != kReleaseRules) {
    return false;
  }
  const Slot* forward = slots.Find(*UndoneBy(kind), index);
  return forward != nullptr && forward->progress == Progress::kIssued;
}

void CheckBeforeIssue(const State& state, const SlotIndex& slots, EffectKind kind) {
  const bool writes = state.plan.kind == Kind::kWrites;
  switch (kind) {
    case kCommit:
      SLUICE_CHECK((state.phase == Phase::kPreparing) && "one commit");
      SLUICE_CHECK((!writes || (slots.AllDone(kCloseGate) && slots.AllDone(kSeal) &&
                                slots.AllDone(kPrepareReverse))) &&
                   "nothing is committed before all shards are drained and can go back");
      break;
    case kOpenGate:
      SLUICE_CHECK((state.phase == Phase::kCommitted && slots.AllDone(kCommit) &&
                    slots.AllDone(kStopStream)) &&
                   "the new side opens after the commit, when nothing feeds it any more");
      break;
    case kJournalSource:
      SLUICE_CHECK((state.phase == Phase::kCommitted && slots.AllDone(kStopStream)) &&
                   "nothing reads the source's binlog when its names are guarded");
      break;
    case kStartReverse:
    case kRouteRules:
      SLUICE_CHECK((state.phase == Phase::kCommitted && (!writes || slots.AllDone(kOpenGate))) &&
                   "the new side is open before anything is sent to it");
      break;
    case kDeleteReverse:
    case kReopenGate:
    case kRestartStream:
    case kReleaseRules:
    case kRestoreClosed:
      SLUICE_CHECK((state.phase == Phase::kUndoing && !slots.AllDone(kCommit)) &&
                   "nothing is undone after the commit");
      break;
    default:
      break;
  }
}

void Finish(State& state, const SlotIndex& slots) {
  const Script script = ScriptFor(state);
  for (const Stage* stage = script.begin; stage != script.end; ++stage) {
    if (!StageDone(slots, stage->kind)) {
      return;
    }
  }
  if (state.phase == Phase::kCommitted) {
    state.phase = Phase::kDone;
  } else if (state.phase == Phase::kUndoing) {
    state.phase = Phase::kRolledBack;
  }
}

// Issues what has become ready and was not issued before.
void Advance(Transition& transition) {
  State& state = transition.state;
  SlotIndex slots(state);
  const Script script = ScriptFor(state);
  for (const Stage* stage = script.begin; stage != script.end; ++stage) {
    const auto after = stage->after.begin();
    if (slots.AllIssued(stage->kind) ||
        !std::all_of(after, after + stage->after_count,
                     [&](EffectKind kind) { return StageDone(slots, kind); })) {
      continue;
    }
    for (uint32_t index = 0; index < slots.Instances(stage->kind); ++index) {
      if (slots.Find(stage->kind, index) != nullptr || !Needed(slots, stage->kind, index) ||
          BlockedByOwnForward(slots, stage->kind, index)) {
        continue;
      }
      CheckBeforeIssue(state, slots, stage->kind);
      const Effect effect = {.kind = stage->kind, .index = index, .attempt = 1};
      state.slots.push_back({.effect = effect, .progress = Progress::kIssued, .message = {}});
      slots.Appended();
      transition.effects.push_back(effect);
    }
  }
  Finish(state, slots);
}

void Reissue(Transition& transition, Slot& slot) {
  ++slot.effect.attempt;
  transition.effects.push_back(slot.effect);
}

// Undoing has taken over from it.
bool IsSuperseded(const State& state, EffectKind kind) {
  return !UndoneBy(kind) && state.phase == Phase::kUndoing;
}

void BeginUndo(State& state, std::string reason) {
  SLUICE_CHECK((state.phase == Phase::kPreparing && !AllDone(state, kCommit)) &&
               "undoing begins before the commit");
  state.phase = Phase::kUndoing;
  state.failure = std::move(reason);
}

// Whether an effect that failed takes the cutover back.
bool LeadsBack(const State& state, const Slot& slot, Result result) {
  if (state.phase != Phase::kPreparing) {
    return false;
  }
  const EffectKind kind = slot.effect.kind;
  if (kind == kCommit) {
    // Nothing is known of it until the store has told.
    return result == Result::kFailed;
  }
  if (Issued(state, kCommit)) {
    // The commit may have happened, so there is no way back any more until it is known.
    return false;
  }
  switch (result) {
    case Result::kFailed:
      return true;
    case Result::kRetry:
      // While clients are held nobody waits for locks: they get their tables back, and another
      // attempt waits before it holds anybody.
      return kind == kCloseGate;
    case Result::kUnknown:
      // Nobody is held while reads move, nor before the fence.
      return state.plan.kind == Kind::kWrites && FenceBegun(state) &&
             slot.effect.attempt >= kUnknownAttemptsMax;
    case Result::kOk:
      break;
  }
  return false;
}

void OnFailure(Transition& transition, Slot& slot, const Event& event) {
  State& state = transition.state;
  slot.message = event.message;
  if (LeadsBack(state, slot, event.result)) {
    slot.progress = Progress::kAbandoned;
    state.locks_not_granted = slot.effect.kind == kCloseGate && event.result == Result::kRetry;
    BeginUndo(state, absl::StrCat(DescribeEffect(state.plan, slot.effect), ": ", event.message));
    return;
  }
  // Before the commit the deadline ends the repeating; after it, and when undoing, nothing does.
  Reissue(transition, slot);
}

void OnOutcome(Transition& transition, const Event& event) {
  State& state = transition.state;
  Slot* slot = Find(state, event.effect);
  if (slot == nullptr || slot->progress != Progress::kIssued ||
      slot->effect.attempt != event.effect.attempt) {
    return;
  }
  if (IsSuperseded(state, event.effect.kind)) {
    slot->progress = Progress::kAbandoned;
    return;
  }
  if (event.result != Result::kOk) {
    OnFailure(transition, *slot, event);
    return;
  }
  slot->progress = Progress::kDone;
  slot->message = event.message;
  if (event.effect.kind == kSeal) {
    state.positions.resize(state.plan.targets.size());
    state.positions[state.plan.streams[event.effect.index].target] = event.value;
  } else if (event.effect.kind == kCommit) {
    SLUICE_CHECK((state.phase == Phase::kPreparing) && "one commit");
    state.phase = Phase::kCommitted;
  }
}

void OnDeadline(State& state) {
  // A commit under way is decided by the store, not by the clock.
  if (state.phase != Phase::kPreparing || Issued(state, kCommit)) {
    return;
  }
  BeginUndo(state,
            absl::StrCat("timed out after ", state.plan.timeout_ms, " ms ", WaitingFor(state)));
}

void OnAbort(State& state, const std::string& why) {
  if (state.phase == Phase::kPreparing && !Issued(state, kCommit)) {
    BeginUndo(state, why);
  }
}

// Inside the fence nothing is stored: whatever comes between the hold and the commit may have been
// begun.
void AssumeBegun(State& state) {
  if (!FenceBegun(state)) {
    return;
  }
  SlotIndex slots(state);
  for (const EffectKind kind : {kCloseGate, kSeal, kSettleCounters, kStopStream}) {
    for (uint32_t index = 0; index < slots.Instances(kind); ++index) {
      if (slots.Find(kind, index) == nullptr) {
        state.slots.push_back({.effect = {.kind = kind, .index = index, .attempt = 0},
                               .progress = Progress::kAbandoned,
                               .message = {}});
        slots.Appended();
      }
    }
  }
}

void OnRecovered(Transition& transition) {
  State& state = transition.state;
  if (state.phase == Phase::kNew) {
    state.phase = Phase::kRolledBack;
    state.failure = "the coordinator stopped before the cutover began";
    return;
  }
  // The commit and the state that says so are one record: read back as preparing, it has not
  // happened.
  if (state.phase == Phase::kPreparing && UndoneWhenRecovered(state)) {
    BeginUndo(state, absl::StrCat("the coordinator stopped ", WaitingFor(state)));
    AssumeBegun(state);
  }
  for (Slot& slot : state.slots) {
    if (slot.progress != Progress::kIssued) {
      continue;
    }
    if (IsSuperseded(state, slot.effect.kind)) {
      slot.progress = Progress::kAbandoned;
    } else {
      Reissue(transition, slot);
    }
  }
}

}  // namespace

Transition Step(State state, const Event& event) {
  Transition transition = {.state = std::move(state), .effects = {}};
  if (transition.state.finished()) {
    return transition;
  }
  switch (event.type) {
    case Event::Type::kBegin:
      SLUICE_CHECK((transition.state.phase == Phase::kNew) && "a cutover begins once");
      transition.state.phase = Phase::kPreparing;
      break;
    case Event::Type::kOutcome:
      OnOutcome(transition, event);
      break;
    case Event::Type::kDeadline:
      OnDeadline(transition.state);
      break;
    case Event::Type::kAbort:
      OnAbort(transition.state, event.message);
      break;
    case Event::Type::kRecovered:
      OnRecovered(transition);
      break;
  }
  Advance(transition);
  return transition;
}

uint64_t EpochOf(const State& state, EffectKind kind) {
  const bool first_part = kind == kCloseGate || kind == kMakeReadable ||
                          (kind == kStopStream && state.phase != Phase::kCommitted);
  return first_part ? state.plan.epoch : state.plan.epoch + 1;
}

bool MustStore(const State& state, const std::vector<Effect>& effects) {
  return std::any_of(effects.begin(), effects.end(), [&](const Effect& effect) {
    if (effect.attempt > 1) {
      return false;
    }
    switch (state.phase) {
      case Phase::kPreparing:
        return effect.kind == kPrepareReverse || effect.kind == kAwaitRelease ||
               effect.kind == kHoldRules || effect.kind == kMakeReadable;
      case Phase::kCommitted:
        return effect.kind == kAwaitProxies;
      default:
        return true;
    }
  });
}

bool UndoneWhenRecovered(const State& state) {
  const bool waits_for_a_person = state.plan.await_release && !FenceBegun(state);
  return state.phase == Phase::kUndoing ||
         (state.phase == Phase::kPreparing && !waits_for_a_person);
}

bool FenceBegun(const State& state) {
  return Issued(state, kHoldRules);
}

bool WaitsForRelease(const State& state) {
  return state.phase == Phase::kPreparing && Issued(state, kAwaitRelease) &&
         !AllDone(state, kAwaitRelease);
}

bool AllDone(const State& state, EffectKind kind) {
  // No instance has two slots.
  const auto done = std::count_if(state.slots.begin(), state.slots.end(), [&](const Slot& slot) {
    return slot.effect.kind == kind && slot.progress == Progress::kDone;
  });
  return done == InstancesOf(state.plan, kind);
}

bool Issued(const State& state, EffectKind kind) {
  return std::any_of(state.slots.begin(), state.slots.end(),
                     [&](const Slot& slot) { return slot.effect.kind == kind; });
}

}  // namespace sluice::cutover
