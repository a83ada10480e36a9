// MachineTable: canonical forms, and what is checked of every step besides where it leads.

#include "integration/explore/machine_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace sluice::explore {
namespace {

using cutover::Effect;
using cutover::EffectKind;
using cutover::Event;
using cutover::Phase;
using cutover::Plan;
using cutover::Progress;
using cutover::Slot;
using cutover::State;
using cutover::Transition;

constexpr uint32_t kUnknown = 0xFFFFFFFFU;

uint32_t BitNumber(const Effect& effect) {
  return static_cast<uint32_t>(effect.kind) * kShardsMax + effect.index;
}

// Attempts count only where an unknown outcome may be taken as a failure.
bool CountsAttempts(const State& state) {
  return state.phase == Phase::kPreparing && cutover::FenceBegun(state);
}

void MakeCanonical(State& state) {
  const bool counts = CountsAttempts(state);
  for (Slot& slot : state.slots) {
    slot.message.clear();
    slot.effect.attempt = counts && slot.progress == Progress::kIssued
                              ? std::min(slot.effect.attempt, cutover::kUnknownAttemptsMax)
                              : 1;
  }
  std::sort(state.slots.begin(), state.slots.end(),
            [](const Slot& a, const Slot& b) { return BitNumber(a.effect) < BitNumber(b.effect); });
  state.failure.clear();
  state.locks_not_granted = false;
}

std::string Pack(const State& state) {
  std::string packed;
  packed.push_back(static_cast<char>(state.phase));
  packed.push_back(static_cast<char>(state.slots.size()));
  for (const Slot& slot : state.slots) {
    packed.push_back(static_cast<char>(BitNumber(slot.effect)));
    packed.push_back(static_cast<char>(slot.effect.attempt));
    packed.push_back(static_cast<char>(slot.progress));
  }
  for (const std::string& position : state.positions) {
    packed.push_back(position.empty() ? '-' : position.front());
  }
  return packed;
}

MachineFacts FactsOf(const State& state) {
  MachineFacts facts;
  facts.phase = state.phase;
  facts.finished = state.finished();
  facts.undone_when_recovered = cutover::UndoneWhenRecovered(state);
  for (const Slot& slot : state.slots) {
    if (slot.progress == Progress::kIssued) {
      facts.waiting |= BitOf(slot.effect.kind, slot.effect.index);
    }
  }
  for (size_t i = 0; i < state.positions.size(); ++i) {
    facts.positions.at(i) = state.positions[i].empty() ? '\0' : state.positions[i].front();
  }
  return facts;
}

bool SameForm(State a, State b) {
  MakeCanonical(a);
  MakeCanonical(b);
  return Pack(a) == Pack(b);
}

const Slot* Find(const State& state, const Effect& effect) {
  const auto found = std::find_if(state.slots.begin(), state.slots.end(), [&](const Slot& slot) {
    return slot.effect.kind == effect.kind && slot.effect.index == effect.index;
  });
  return found == state.slots.end() ? nullptr : &*found;
}

}  // namespace

MachineTable::MachineTable(Plan plan, StepFunction step, const EpochFunction& epoch_of)
    : plan_(std::move(plan)), step_(std::move(step)) {
  SLUICE_CHECK(plan_.sources.size() <= kShardsMax && ValidatePlan(plan_).ok());
  for (uint32_t bit = 0; bit < cutover::kEffectKinds * kShardsMax; ++bit) {
    if (cutover::InstancesOf(plan_, KindOf(bit)) > 0 &&
        cutover::SideOf(plan_, {.kind = KindOf(bit), .index = 0, .attempt = 1}) != nullptr) {
      per_shard_ |= EffectSet{1} << bit;
    }
  }
  State root;
  root.plan = plan_;
  Number(root);
  // Nothing of a state but its phase is looked at.
  for (size_t phase = 0; phase < kPhases; ++phase) {
    root.phase = static_cast<Phase>(phase);
    for (uint16_t kind = 0; kind < cutover::kEffectKinds; ++kind) {
      epochs_.at(phase).at(kind) =
          static_cast<uint8_t>(epoch_of(root, static_cast<EffectKind>(kind)));
    }
  }
}

uint32_t MachineTable::Number(const State& state) {
  const auto [found, is_new] =
      numbers_.try_emplace(Pack(state), static_cast<uint32_t>(packed_.size()));
  if (is_new) {
    packed_.push_back(found->first);
    facts_.push_back(FactsOf(state));
    exchanged_.push_back(kUnknown);
  }
  return found->second;
}

State MachineTable::Unpack(uint32_t number) const {
  const std::string& packed = packed_[number];
  State state;
  state.plan = plan_;
  state.phase = static_cast<Phase>(packed[0]);
  size_t at = 2;
  for (const size_t end = at + 3 * static_cast<size_t>(packed[1]); at < end; at += 3) {
    const auto bit = static_cast<uint8_t>(packed[at]);
    state.slots.push_back({.effect = {.kind = KindOf(bit),
                                      .index = IndexOf(bit),
                                      .attempt = static_cast<uint8_t>(packed[at + 1])},
                           .progress = static_cast<Progress>(packed[at + 2]),
                           .message = {}});
  }
  for (; at < packed.size(); ++at) {
    state.positions.push_back(packed[at] == '-' ? std::string() : std::string(1, packed[at]));
  }
  return state;
}

EffectSet MachineTable::ExchangedSet(EffectSet effects) const {
  constexpr EffectSet kFirst = 0x5555555555555555U;
  const EffectSet shards = effects & per_shard_;
  return (effects & ~per_shard_) | ((shards & kFirst) << 1U) | ((shards >> 1U) & kFirst);
}

uint32_t MachineTable::ExchangedState(uint32_t state) {
  if (exchanged_[state] == kUnknown) {
    State other = Unpack(state);
    for (Slot& slot : other.slots) {
      if ((per_shard_ & BitOf(slot.effect.kind, 0)) != 0) {
        slot.effect.index = 1 - slot.effect.index;
      }
    }
    if (other.positions.size() == kShardsMax) {
      std::swap(other.positions[0], other.positions[1]);
    }
    MakeCanonical(other);
    const uint32_t number = Number(other);
    exchanged_[state] = number;
    exchanged_[number] = state;
  }
  return exchanged_[state];
}

MachineTable::Move MachineTable::Feed(uint32_t state, const MachineEvent& event) {
  const uint64_t key = (uint64_t{state} << 16U) | (static_cast<uint64_t>(event.type) << 12U) |
                       (uint64_t{event.effect} << 4U) |
                       (static_cast<uint64_t>(event.result) << 1U) | (event.late ? 1U : 0U);
  const auto found = moves_.find(key);
  if (found != moves_.end()) {
    return found->second;
  }
  const Move move = Ask(state, event);
  moves_.emplace(key, move);
  return move;
}

Event MachineTable::EventFor(const State& state, const MachineEvent& event) const {
  switch (event.type) {
    case Event::Type::kBegin:
      return Event::Begin();
    case Event::Type::kDeadline:
      return Event::Deadline();
    case Event::Type::kAbort:
      return Event::Abort("a person's word");
    case Event::Type::kRecovered:
      return Event::Recovered();
    case Event::Type::kOutcome:
      break;
  }
  Effect effect = {.kind = KindOf(event.effect), .index = IndexOf(event.effect), .attempt = 1};
  if (const Slot* slot = Find(state, effect); slot != nullptr) {
    effect.attempt = slot->effect.attempt;
  }
  const bool seals = effect.kind == EffectKind::kSeal && event.result == cutover::Result::kOk;
  return Event::Outcome(
      effect, event.result, event.result == cutover::Result::kOk ? "" : "fault",
      seals ? std::string(1, event.late ? kPositionLate : kPositionInTime) : std::string());
}

MachineTable::Move MachineTable::Ask(uint32_t number, const MachineEvent& event) {
  const State before = Unpack(number);
  const Event told = EventFor(before, event);
  Transition after = step_(before, told);
  CheckEffects(before, told, after);
  if (event.type == Event::Type::kDeadline &&
      !SameForm(step_(before, Event::Abort("a person's word")).state, after.state)) {
    Break("a person's word and the deadline lead to different states");
  }
  CheckOldNews(told, after);
  if (shards() == kShardsMax) {
    CheckExchange(before, told, after);
  }
  Move move;
  for (const Effect& effect : after.effects) {
    move.asked |= BitOf(effect.kind, effect.index);
  }
  move.must_store = after.state.finished() || cutover::MustStore(after.state, after.effects);
  MakeCanonical(after.state);
  move.next = Number(after.state);
  return move;
}

// A search takes each slot that waits for a request under way. So each must have been asked for:
// anew by its step, or by an earlier one of the same process.
void MachineTable::CheckEffects(const State& before, const Event& event, const Transition& after) {
  for (const Slot& slot : after.state.slots) {
    if (slot.progress != Progress::kIssued) {
      continue;
    }
    const bool asked =
        std::find(after.effects.begin(), after.effects.end(), slot.effect) != after.effects.end();
    const Slot* earlier = Find(before, slot.effect);
    const bool under_way =
        event.type != Event::Type::kRecovered && earlier != nullptr && *earlier == slot;
    if (!asked && !under_way) {
      Break(absl::StrCat("the machine waits for ", EffectName(slot.effect.kind),
                         " without having asked for it"));
    }
  }
  for (const Effect& effect : after.effects) {
    const Slot* slot = Find(after.state, effect);
    if (slot == nullptr || slot->effect != effect || slot->progress != Progress::kIssued) {
      Break(absl::StrCat("the machine asks for ", EffectName(effect.kind),
                         " and does not wait for it"));
    }
  }
}

// An answer that comes twice, or belongs to an attempt that was given up, changes nothing.
void MachineTable::CheckOldNews(const Event& event, const Transition& after) {
  if (event.type != Event::Type::kOutcome) {
    return;
  }
  for (const cutover::Result result :
       {cutover::Result::kOk, cutover::Result::kUnknown, cutover::Result::kFailed}) {
    Event again = event;
    again.result = result;
    const Transition twice = step_(after.state, again);
    if (!twice.effects.empty() || !SameForm(twice.state, after.state)) {
      Break(absl::StrCat("an old answer to ", EffectName(event.effect.kind),
                         " is taken for a new one"));
    }
  }
}

// Shards may be exchanged in the search only because the machine treats them alike.
void MachineTable::CheckExchange(const State& before, const Event& event, const Transition& after) {
  const auto exchange = [&](State state) {
    MakeCanonical(state);
    return Unpack(ExchangedState(Number(state)));
  };
  Event other = event;
  if (event.type == Event::Type::kOutcome && (per_shard_ & BitOf(event.effect.kind, 0)) != 0) {
    other.effect.index = 1 - event.effect.index;
  }
  if (!SameForm(step_(exchange(before), other).state, exchange(after.state))) {
    Break("the machine does not treat the shards alike");
  }
}

void MachineTable::Break(absl::string_view what) {
  if (broken_.empty()) {
    broken_ = std::string(what);
  }
}

}  // namespace sluice::explore
