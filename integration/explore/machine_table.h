// MachineTable: the cutover's machine with numbers for its states. It asks the shipped machine each
// question once and remembers the answer, so that a search can ask millions of times.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/strings/string_view.h"
#include "coordinator/cutover/machine.h"

namespace sluice::explore {

inline constexpr uint32_t kShardsMax = 2;

// Sets of effects: a bit for each kind and shard.
using EffectSet = uint64_t;
static_assert(cutover::kEffectKinds * kShardsMax <= 64);
constexpr EffectSet BitOf(cutover::EffectKind kind, uint32_t index) {
  return EffectSet{1} << (static_cast<uint32_t>(kind) * kShardsMax + index);
}
constexpr cutover::EffectKind KindOf(uint32_t bit) {
  return static_cast<cutover::EffectKind>(bit / kShardsMax);
}
constexpr uint32_t IndexOf(uint32_t bit) {
  return bit % kShardsMax;
}

// Positions as the machine carries them: whether the seal came before the first write of a client
// on the target.
inline constexpr char kPositionInTime = '0';
inline constexpr char kPositionLate = '1';

// What the machine is told. Effect and result only of an outcome; it is always one of the newest
// attempt, the only one whose outcome changes anything (the table tries older ones and finds that).
struct MachineEvent {
  cutover::Event::Type type = cutover::Event::Type::kBegin;
  uint32_t effect = 0;  // bit number in an EffectSet
  cutover::Result result = cutover::Result::kOk;
  bool late = false;  // of a seal: its position
};

// What a search must know of a state without looking into it.
struct MachineFacts {
  cutover::Phase phase = cutover::Phase::kNew;
  EffectSet waiting = 0;  // issued, and no outcome yet: each has one request under way
  bool finished = false;
  bool undone_when_recovered = false;
  std::array<char, kShardsMax> positions = {};  // 0: none
};

// Owned by one thread.
//
// States are numbered in a canonical form that forgets what the machine never looks at again:
// the order of the slots (it finds them by kind and index), messages and reasons (for people),
// and numbers of attempts, but for those of effects under way inside the fence, up to the number
// at which it gives up. Two states of one form therefore go on alike for ever.
class MachineTable {
 public:
  using EpochFunction = std::function<uint64_t(const cutover::State&, cutover::EffectKind)>;
  using StepFunction = std::function<cutover::Transition(cutover::State, const cutover::Event&)>;

  MachineTable(cutover::Plan plan, StepFunction step, const EpochFunction& epoch_of);

  struct Move {
    uint32_t next = 0;
    EffectSet asked = 0;      // effects that it issues, or repeats
    bool must_store = false;  // `next` must be durable before they are run
  };

  [[nodiscard]] uint32_t root() const { return 0; }  // has not begun
  Move Feed(uint32_t state, const MachineEvent& event);
  [[nodiscard]] const MachineFacts& facts(uint32_t state) const { return facts_[state]; }
  // What the requests of an effect carry that is asked for in a state.
  [[nodiscard]] uint8_t EpochOf(uint32_t state, cutover::EffectKind kind) const {
    return epochs_[static_cast<size_t>(facts_[state].phase)][static_cast<size_t>(kind)];
  }
  // The same state with the two shards exchanged.
  uint32_t ExchangedState(uint32_t state);
  [[nodiscard]] EffectSet ExchangedSet(EffectSet effects) const;

  [[nodiscard]] const cutover::Plan& plan() const { return plan_; }
  [[nodiscard]] uint32_t shards() const { return static_cast<uint32_t>(plan_.sources.size()); }
  [[nodiscard]] size_t size() const { return packed_.size(); }
  // What the machine itself did wrong, or empty.
  [[nodiscard]] const std::string& broken() const { return broken_; }

 private:
  uint32_t Number(const cutover::State& state);
  [[nodiscard]] cutover::State Unpack(uint32_t number) const;
  [[nodiscard]] cutover::Event EventFor(const cutover::State& state,
                                        const MachineEvent& event) const;
  Move Ask(uint32_t number, const MachineEvent& event);
  void CheckEffects(const cutover::State& before, const cutover::Event& event,
                    const cutover::Transition& after);
  void CheckOldNews(const cutover::Event& event, const cutover::Transition& after);
  void CheckExchange(const cutover::State& before, const cutover::Event& event,
                     const cutover::Transition& after);
  void Break(absl::string_view what);

  const cutover::Plan plan_;
  const StepFunction step_;
  static constexpr size_t kPhases = 6;
  std::array<std::array<uint8_t, cutover::kEffectKinds>, kPhases> epochs_ = {};
  EffectSet per_shard_ = 0;  // effects with an instance for each shard
  absl::flat_hash_map<std::string, uint32_t> numbers_;
  std::vector<std::string> packed_;
  std::deque<MachineFacts> facts_;  // a reference stays good when others are added
  std::vector<uint32_t> exchanged_;
  absl::flat_hash_map<uint64_t, Move> moves_;
  std::string broken_;
};

}  // namespace sluice::explore
