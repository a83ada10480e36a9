// GateBatch: changes of several gates of one mysqld that go in step, and which of their effects are
// one. Pure: each gate's own machine decides what it does, this decides only with whom.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "agent/gate/gate_machine.h"

namespace sluice::gate {

// What is done next, at once for all of its members: a look, a commit or a statement that takes
// effect as a whole or not at all.
struct JoinedEffect {
  GateEffectKind kind = GateEffectKind::kReadRecord;
  std::vector<size_t> members;  // ascending, not empty
  std::string sql;              // kRun, kTidy: that of all members
  absl::Duration bound;         // kRun, kLockServer: of waiting for locks
};

struct MemberAnswer {
  GateEvent event;
  // Of a joined kRun that did not get its locks: somebody was in the way of this gate's tables.
  bool blocked = false;
};

struct BatchAnswer {
  std::vector<MemberAnswer> members;  // one for each member of the effect
  absl::Duration waited;              // kRun: how long it may have waited for locks
  bool session_lost = false;          // and the locks of all gates with it
};

// A gate's failure is its own: what is refused for several is asked again for each, and a gate that
// somebody keeps from its locks steps back behind the others. Whoever waits behind a statement that
// waits for locks does so no longer than his own gate's request allows, however often it is tried.
// Gates whose server is closed as a whole go together when the others are through: one statement
// closes or opens it for all of them.
class GateBatch {
 public:
  explicit GateBatch(std::vector<GateChange> changes);

  // nullopt once every request has ended.
  [[nodiscard]] std::optional<JoinedEffect> Next() const;

  // How it ended. REQUIRES: `effect` is what Next() returns now.
  void Answer(const JoinedEffect& effect, const BatchAnswer& answer);

  [[nodiscard]] size_t size() const { return members_.size(); }
  [[nodiscard]] const GateState& state(size_t member) const { return members_[member].state; }
  // What its machine asks for. REQUIRES: the member's request has not ended.
  [[nodiscard]] const GateEffect& effect(size_t member) const { return *members_[member].effect; }

 private:
  struct Member {
    GateState state;
    std::optional<GateEffect> effect;
    absl::Duration waited;  // for locks of this effect, in statements that were joined
    absl::Duration left = absl::InfiniteDuration();
    uint32_t unseen = 0;   // such statements in whose way nobody was seen
    bool alone = false;    // this effect was refused together with others
    bool held_up = false;  // the others go first
  };
  using Turn = std::pair<size_t, int>;

  [[nodiscard]] Turn TurnOf(size_t member) const;
  [[nodiscard]] bool Joins(const Member& first, const Member& other) const;
  [[nodiscard]] absl::Duration Bound(const std::vector<size_t>& members) const;
  void Forward(size_t member, const GateEvent& event);
  void HoldUp(const JoinedEffect& effect, const BatchAnswer& answer);
  void LoseOthers(const JoinedEffect& effect, const absl::Status& why);

  std::vector<Member> members_;
};

}  // namespace sluice::gate
