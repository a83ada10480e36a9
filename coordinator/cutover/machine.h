// The cutover's state machine: Step(state, event) -> (state, effects). Pure: no clock, socket,
// thread or random number, so that production, explorer and simulator run the same code.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "coordinator/cutover/plan.h"

namespace sluice::cutover {

// What the machine asks of the world. Every effect is idempotent: it asks the databases first and
// may be repeated when nobody knows how it ended.
enum class EffectKind : uint16_t {
  // Switching writes, before the commit.
  kHoldRules = 0,        // proxies hold new statements; drained acknowledgements within the budget
  kCloseGate = 1,        // source: rename, then the marker from the same session
  kAwaitMarker = 2,      // stream: the marker is applied
  kStopStream = 3,       // stream: answered after its last commit
  kCapturePosition = 4,  // target: where the reverse stream starts; value = GTID set
  kCreateReverse = 5,    // stream: stopped, on the source side, from that position
  // Switching reads, before the commit.
  kMakeReadable = 6,   // target: views for readers; writes stay closed
  kAwaitReplicas = 7,  // target: its replicas have executed that
  // The one durable record that decides.
  kCommit = 8,
  // After the commit.
  kJournalTarget = 9,   // target: the record in its mysqld
  kJournalSource = 10,  // source: the same
  kOpenGate = 11,       // target
  kStartReverse = 12,   // stream
  kFreezeForward = 13,  // stream
  kRouteRules = 14,     // rules of the new side; ends the hold
  kAwaitProxies = 15,   // acknowledgements of those rules, bounded
  kCloseBehind = 16,    // source: readable -> closed
  kDeleteStale = 22,    // stale stream
  // Undoing.
  kDeleteReverse = 17,  // stream
  kReopenGate = 18,     // source
  kRestartStream = 19,  // stream
  kReleaseRules = 20,   // ends the hold; the rules are the old ones
  kRestoreClosed = 21,  // target: readable -> closed
};
inline constexpr uint16_t kEffectKinds = 23;

// Before the commit, an effect whose outcome stays unknown that often is taken as failed: clients
// wait, and going back is always safe.
inline constexpr uint32_t kUnknownAttemptsMax = 3;

// "hold_rules", "close_gate", …: stable, used in the timeline and the crash points.
absl::string_view EffectName(EffectKind kind);

// One instance: the index is into the plan's sources, targets or streams, or 0.
struct Effect {
  EffectKind kind = EffectKind::kHoldRules;
  uint32_t index = 0;
  uint32_t attempt = 0;  // from 1; outcomes of older attempts are ignored
  friend bool operator==(const Effect&, const Effect&) = default;
};

enum class Phase : uint16_t {
  kNew = 0,
  kPreparing = 1,  // up to the commit; every failure undoes
  kCommitted = 2,  // forward for ever
  kUndoing = 3,    // back for ever
  kDone = 4,
  kRolledBack = 5,
};
absl::string_view PhaseName(Phase phase);

enum class Progress : uint16_t {
  kIssued = 0,
  kDone = 1,
  kAbandoned = 2,  // undoing began; its outcome, if it had one, is of no interest
};

// What became of one effect.
struct Slot {
  Effect effect;
  Progress progress = Progress::kIssued;
  std::string message;  // of its last failure; names the blocker
  friend bool operator==(const Slot&, const Slot&) = default;
};

// Value with equality; its stored form is in codec.h.
struct State {
  Plan plan;
  Phase phase = Phase::kNew;
  std::vector<Slot> slots;             // in the order of issue
  std::vector<std::string> positions;  // per target, captured under the fence
  std::string failure;                 // why it was undone
  friend bool operator==(const State&, const State&) = default;

  [[nodiscard]] bool finished() const {
    return phase == Phase::kDone || phase == Phase::kRolledBack;
  }
};

enum class Result : uint8_t {
  kOk,
  kRetry,    // surely without effect; may succeed when repeated (a lock wait ran out)
  kUnknown,  // nobody knows (time-out, lost connection): repeat and see
  kFailed,   // repeating is of no use
};

struct Event {
  enum class Type : uint8_t {
    kBegin,      // of a new state
    kOutcome,    // of `effect`
    kDeadline,   // the time up to the commit is over
    kRecovered,  // the state was read back by a new coordinator
  };
  Type type = Type::kBegin;
  Effect effect;
  Result result = Result::kOk;
  std::string message;  // failure, or a remark
  std::string value;    // kCapturePosition: the position

  static Event Begin() { return {}; }
  static Event Deadline() {
    return {.type = Type::kDeadline, .effect = {}, .message = {}, .value = {}};
  }
  static Event Recovered() {
    return {.type = Type::kRecovered, .effect = {}, .message = {}, .value = {}};
  }
  static Event Outcome(const Effect& effect, Result result, std::string message = {},
                       std::string value = {}) {
    return {.type = Type::kOutcome,
            .effect = effect,
            .result = result,
            .message = std::move(message),
            .value = std::move(value)};
  }
};

// The effects may be run at the same time, after the state was stored where MustStore says so.
struct Transition {
  State state;
  std::vector<Effect> effects;
};

// Never fails on events of the world: an outcome that nobody waits for changes nothing. Aborts the
// process where an invariant is broken (a gate about to be opened before the commit, undoing
// after).
Transition Step(State state, const Event& event);

// Whether the state must be durable before these effects of it may be run. Clients wait from the
// first gate that closes to the new rules, so the fence is stored as a whole: the intent to close
// the gates stands for all that follows up to the commit, and the commit's own record for all that
// follows it. A new coordinator takes back, or repeats, all of what may have been begun.
bool MustStore(const State& state, const std::vector<Effect>& effects);

// How many instances the plan has of a kind; 0 where it does not need it.
uint32_t InstancesOf(const Plan& plan, EffectKind kind);
// The side that an effect works on; nullptr for those of the rules and the store.
const Side* SideOf(const Plan& plan, const Effect& effect);

// Every effect has been issued and is done.
bool AllDone(const State& state, EffectKind kind);
// At least one instance was issued.
bool Issued(const State& state, EffectKind kind);

// "close_gate of commerce/0".
std::string DescribeEffect(const Plan& plan, const Effect& effect);
// "waiting for close_gate of commerce/0: …" for people; empty when nothing is open.
std::string WaitingFor(const State& state);

// INVALID_ARGUMENT when a plan contradicts itself (indices, ids, missing names).
absl::Status ValidatePlan(const Plan& plan);

}  // namespace sluice::cutover
