// RulesMachine: what a proxy makes of rule sets, holds and its own statements, as
// step(state, event) -> (state, effects). Pure: no clock, socket, file or thread, so that the
// program and the explorer of cutovers run the same code.
//
// Invariants:
//  1. A statement is let in only if it was planned by the epoch in force. While a hold names what
//     it touches it is let in only if its transaction was in before; once the hold's lease is over
//     nothing but another epoch lets it in: never is it routed by an expired rule.
//  2. Epochs only grow. A set that is older or broken is refused, and all stays as it was: the last
//     good set in force, its holds, what is open and what waits.
//  3. An epoch is acknowledged only when every statement from then on obeys it or a later one, and
//     when the proxy, killed and started again, would not begin with an older one. New routes are
//     acknowledged only when the host's crash does not bring older ones back either.
//  4. Drained is acknowledged only for an acknowledged epoch, and only if at that epoch nothing was
//     open that one of its holds names.
//  5. Who waits holds a place of the buffer; places and bytes are bounded.

#pragma once

#include <cstdint>
#include <string>
#include <variant>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/time/time.h"
#include "proxy/rules/hold_table.h"

namespace sluice::proxy {

struct BufferLimits {
  size_t statements_max = 1000;
  size_t bytes_max = size_t{16} << 20U;
  friend bool operator==(const BufferLimits&, const BufferLimits&) = default;
};

// What the machine must know of a rule set.
struct EpochRules {
  uint64_t epoch = 0;
  uint64_t routes = 0;  // equal for sets that differ in nothing but epoch and holds
  HoldTable holds;
};

// Events.
struct SetOffered {  // by the coordinator or, at the start, by the file
  const EpochRules* rules = nullptr;
  std::string broken;  // why it can't be obeyed; empty: it can. Then only the epoch counts.
  absl::Time now;
};
struct SetKept {  // a process that starts now begins with this set or a later one, or with none
  uint64_t epoch = 0;
  uint64_t routes = 0;
  bool synced = false;  // also after a crash of the host
};
struct CoordinatorHeard {
  absl::Time now;
};
struct StatementAsks {
  uint64_t epoch = 0;  // that it was planned by
  const Touched* touched = nullptr;
  uint64_t transaction = 0;  // the work that it belongs to, or 0
  absl::Time now;
  absl::Time deadline;
};
struct WorkEnds {
  uint64_t work = 0;
};
struct WorkJoins {  // `work` becomes part of `into`, a transaction
  uint64_t into = 0;
  uint64_t work = 0;
};
struct PlaceWanted {  // in the buffer
  size_t bytes = 0;
};
struct PlaceLeft {
  size_t bytes = 0;
};
using RulesEvent = std::variant<SetOffered, SetKept, CoordinatorHeard, StatementAsks, WorkEnds,
                                WorkJoins, PlaceWanted, PlaceLeft>;

struct RulesEffect {
  enum class Kind : uint8_t {
    // Of an offered set.
    kObey,    // in the same breath as the step: what is planned from now on is planned by it
    kKeep,    // write it down, then say SetKept
    kRefuse,  // report it; nothing has changed
    // Of a statement that asks.
    kLetIn,      // number: its work, to be ended; 0 when it touches nothing
    kPlanAnew,   // other rules are in force
    kWait,       // in a place of the buffer; to ask again at `until`, or when another epoch comes
    kLeaseOver,  // fails, with an error that invites to try again
    kTooLong,    // the same
    // Of one that wants to wait.
    kTakePlace,
    kBufferFull,
    // What the coordinator should know has changed.
    kTell,
  };
  Kind kind = Kind::kTell;
  uint64_t number = 0;
  absl::Time until = absl::InfiniteFuture();
  friend bool operator==(const RulesEffect&, const RulesEffect&) = default;
};
using RulesEffects = absl::InlinedVector<RulesEffect, 2>;

// What the coordinator is told.
struct Acknowledgement {
  uint64_t have_epoch = 0;
  uint64_t drained_epoch = 0;
  uint64_t refused_epoch = 0;  // or 0
  std::string refused_reason;
  uint32_t held_statements = 0;
  uint32_t open_on_held = 0;  // statements and transactions
  friend bool operator==(const Acknowledgement&, const Acknowledgement&) = default;
};

// A value: copies are independent, equal ones go on alike.
class RulesMachine {
 public:
  explicit RulesMachine(BufferLimits limits) : limits_(limits) {}

  // Never fails on what the world does. Aborts where the caller breaks its part: work that is not
  // open, a place that was not taken.
  RulesEffects Step(const RulesEvent& event);

  [[nodiscard]] uint64_t epoch() const { return epoch_; }  // in force; 0 before the first
  [[nodiscard]] Acknowledgement acknowledgement() const;
  // Whether `sent` is old news: kTell has come since.
  [[nodiscard]] bool HasNewsSince(const Acknowledgement& sent) const {
    return sent.have_epoch != acknowledged_ || sent.drained_epoch != drained_ ||
           sent.refused_epoch != refused_epoch_;
  }
  [[nodiscard]] bool acknowledged() const { return acknowledged_ == epoch_; }
  [[nodiscard]] size_t waiting() const { return waiting_; }
  // When the first lease ends; InfiniteFuture without holds.
  [[nodiscard]] absl::Time NextLeaseEnd() const;

  friend bool operator==(const RulesMachine&, const RulesMachine&) = default;

 private:
  struct Work {
    Touched touched;
    bool on_held = false;
    friend bool operator==(const Work&, const Work&) = default;
  };

  void On(const SetOffered& event, RulesEffects& effects);
  void On(const SetKept& event, RulesEffects& effects);
  void On(const CoordinatorHeard& event, RulesEffects& effects);
  void On(const StatementAsks& event, RulesEffects& effects);
  void On(const WorkEnds& event, RulesEffects& effects);
  void On(const WorkJoins& event, RulesEffects& effects);
  void On(const PlaceWanted& event, RulesEffects& effects);
  void On(const PlaceLeft& event, RulesEffects& effects);

  void Refuse(uint64_t epoch, std::string reason, RulesEffects& effects);
  void Obey(const EpochRules& rules, absl::Time now);
  [[nodiscard]] RulesEffect Judge(const StatementAsks& event) const;
  uint64_t Open(const Touched& touched);
  void Close(uint64_t work);
  // Raises what may be acknowledged to where the invariants allow it.
  void Raise();

  BufferLimits limits_;

  uint64_t epoch_ = 0;
  uint64_t routes_ = 0;
  HoldTable holds_;
  absl::Time lease_begin_ = absl::InfinitePast();
  uint64_t refused_epoch_ = 0;
  std::string refused_reason_;

  // What a new process would begin with: at least this epoch (0: nothing was kept yet), and of what
  // the host would bring back, at least these routes.
  uint64_t kept_epoch_ = 0;
  uint64_t synced_epoch_ = 0;
  uint64_t synced_routes_ = 0;
  uint64_t acknowledged_ = 0;
  uint64_t drained_ = 0;

  absl::flat_hash_map<uint64_t, Work> open_;
  uint64_t next_work_ = 1;
  size_t open_on_held_ = 0;
  size_t waiting_ = 0;
  size_t waiting_bytes_ = 0;
};

}  // namespace sluice::proxy
