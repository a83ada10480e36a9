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
  // Switching writes, before anybody is held: what can be done or tried early.
  kPrepareReverse = 0,  // stream: created on the source side, checked, without a position
  kRaiseCounters = 1,   // stream: AUTO_INCREMENT of the target well above the source's
  kAskProxies = 2,      // they obey the rules of now, bounded
  kAwaitRelease = 3,    // a person says go
  kProbeGate = 4,       // source: nobody sits on the tables
  kCheckStream = 5,     // stream: runs, and is close behind
  // The fence, up to the commit.
  kHoldRules = 6,       // proxies hold new statements; drained acknowledgements within the budget
  kCloseGate = 7,       // source: rename, then the marker from the same session
  kSeal = 8,            // stream: the marker is applied; value = GTID set of the target behind it
  kSettleCounters = 9,  // stream: the source's last counters are below what the target has
  // Switching reads, before the commit.
  kMakeReadable = 10,   // target: views for readers; writes stay closed
  kAwaitReplicas = 11,  // target: its replicas have executed that
  // The one durable record that decides.
  kCommit = 12,
  // Beside the commit, and after it.
  kStopStream = 13,     // stream: answered after its last commit
  kOpenGate = 14,       // target: the journal in its mysqld, then the tables
  kJournalSource = 15,  // source: the same record
  kStartReverse = 16,   // stream: gets the position of the seal, and starts if wanted
  kFreezeForward = 17,  // stream
  kRouteRules = 18,     // rules of the new side; ends the hold
  kAwaitProxies = 19,   // acknowledgements of those rules, bounded
  kCloseBehind = 20,    // source: readable -> closed
  kDeleteStale = 21,    // stale stream
  // Undoing.
  kDeleteReverse = 22,  // stream
  kReopenGate = 23,     // source
  kRestartStream = 24,  // stream
  kReleaseRules = 25,   // ends the hold; the rules are the old ones
  kRestoreClosed = 26,  // target: readable -> closed
};
inline constexpr uint16_t kEffectKinds = 27;

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
  std::vector<std::string> positions;  // per target, of its seals
  std::string failure;                 // why it was undone
  bool locks_not_granted = false;      // was the reason: another attempt may get them
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
    kAbort,      // a person wants it undone; of no effect after the commit was issued
    kRecovered,  // the state was read back by a new coordinator
  };
  Type type = Type::kBegin;
  Effect effect;
  Result result = Result::kOk;
  std::string message;  // failure, or a remark
  std::string value;    // kSeal: the position

  static Event Begin() { return {}; }
  static Event Deadline() {
    return {.type = Type::kDeadline, .effect = {}, .message = {}, .value = {}};
  }
  static Event Abort(std::string why) {
    return {.type = Type::kAbort, .effect = {}, .message = std::move(why), .value = {}};
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
// hold to the new rules, so the fence is stored as a whole: the intent to hold stands for all that
// follows up to the commit, and the commit's own record for all that follows it. A new coordinator
// takes back, or repeats, all of what may have been begun.
bool MustStore(const State& state, const std::vector<Effect>& effects);

// The epoch that the effect's requests carry: what comes after the commit, or undoes, has the
// second one, so that no late request of the first part can disturb it. After the commit a stream
// is stopped by the second one too: a new coordinator repeats that behind what followed it.
uint64_t EpochOf(const State& state, EffectKind kind);

// A new coordinator that reads this state back undoes it, instead of going on with it.
bool UndoneWhenRecovered(const State& state);

// How many instances the plan has of a kind; 0 where it does not need it.
uint32_t InstancesOf(const Plan& plan, EffectKind kind);
// The side that an effect works on; nullptr for those of the rules and the store.
const Side* SideOf(const Plan& plan, const Effect& effect);

// The fence has begun: clients may be waiting. Before it, a cutover that waits for a person's word
// survives its coordinator.
bool FenceBegun(const State& state);
// All is prepared, and nothing is waited for but a person.
bool WaitsForRelease(const State& state);

// Every effect has been issued and is done.
bool AllDone(const State& state, EffectKind kind);
// At least one instance was issued.
bool Issued(const State& state, EffectKind kind);

// "close_gate of commerce/0".
std::string DescribeEffect(const Plan& plan, const Effect& effect);
// "as a whole mysqld (read_only)", "table by table; the mysqld can't be closed as a whole: …".
std::string DescribeGate(const GatePlan& gate);
// "waiting for close_gate of commerce/0: …" for people; empty when nothing is open.
std::string WaitingFor(const State& state);

// INVALID_ARGUMENT when a plan contradicts itself (indices, ids, missing names).
absl::Status ValidatePlan(const Plan& plan);

}  // namespace sluice::cutover
