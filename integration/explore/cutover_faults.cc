// CutoverModel: all single faults.

#include <bit>

#include "integration/explore/cutover_actions.h"
#include "integration/explore/cutover_model.h"
#include "integration/explore/late_requests.h"

namespace sluice::explore {

using cutover::EffectKind;
using cutover::Event;
using cutover::Phase;
using cutover::Result;

namespace {

MachineEvent OutcomeOf(uint32_t bit, Result result) {
  return {.type = Event::Type::kOutcome, .effect = bit, .result = result};
}

}  // namespace

void CutoverModel::Faults(const Node& node, Edges& edges) {
  // A coordinator may die when all is done and the store does not know it.
  if (!table_.facts(node.stored).finished) {
    Node next = node;
    CrashCoordinator(next);
    Emit(next, ActionOf(Deed::kCrashCoordinator), edges);
  }
  const MachineFacts& facts = table_.facts(node.memory);
  if (facts.finished) {
    return;
  }
  for (EffectSet set = facts.waiting; set != 0; set &= set - 1) {
    const auto bit = static_cast<uint32_t>(std::countr_zero(set));
    if (KindOf(bit) == EffectKind::kCommit) {
      FaultsOfCommit(node, bit, edges);
    } else {
      FaultsOfRequest(node, bit, edges);
    }
  }
  FaultsOfHosts(node, edges);
  FaultsOfStore(node, edges);
}

void CutoverModel::FaultsOfCommit(const Node& node, uint32_t bit, Edges& edges) {
  Node committed = node;
  if (table_.facts(node.stored).phase == Phase::kPreparing) {
    committed.stored = table_.Feed(node.memory, OutcomeOf(bit, Result::kOk)).next;
    Node failed = node;
    Tell(failed, OutcomeOf(bit, Result::kFailed));
    Emit(failed, ActionOf(Deed::kCommitFailed, bit), edges);
    Node lost = node;
    Tell(lost, OutcomeOf(bit, Result::kUnknown));
    Emit(lost, ActionOf(Deed::kCommitLost, bit), edges);
  }
  Node unknown = committed;
  Tell(unknown, OutcomeOf(bit, Result::kUnknown));
  Emit(unknown, ActionOf(Deed::kCommitUnknown, bit), edges);
  CrashCoordinator(committed);
  Emit(committed, ActionOf(Deed::kCommitThenCrash, bit), edges);
}

void CutoverModel::FaultsOfRequest(const Node& node, uint32_t bit, Edges& edges) {
  Node next = node;
  Tell(next, OutcomeOf(bit, Result::kUnknown));
  const uint32_t late = LateBit(bit);
  if ((node.executed >> bit & 1U) != 0 || late == 0) {
    Emit(next, ActionOf(Deed::kLoseAnswer, bit), edges);
  } else {
    next.late |= late;
    Emit(next, ActionOf(Deed::kGoLate, bit), edges);
    Node doubled = node;
    doubled.late |= late;
    Emit(doubled, ActionOf(Deed::kDouble, bit), edges);
  }
  if ((node.executed >> bit & 1U) == 0) {
    for (const Result result : {Result::kFailed, Result::kRetry}) {
      Node refused = node;
      Tell(refused, OutcomeOf(bit, result));
      const Deed deed = result == Result::kFailed ? Deed::kRefuse : Deed::kAskAgain;
      Emit(refused, ActionOf(deed, bit), edges);
    }
  }
}

// An agent dies, or its mysqld: with nothing under way, or in the middle of a gate's change.
void CutoverModel::FaultsOfHosts(const Node& node, Edges& edges) {
  const uint32_t hosts = 2 * table_.shards();
  for (uint32_t host = 0; host < hosts; ++host) {
    if ((node.down >> host & 1U) != 0) {
      continue;
    }
    const bool source = host % 2 == 0;
    Node down = node;
    down.down = static_cast<uint8_t>(node.down | (1U << host));
    Emit(down, ActionOf(Deed::kCrashMysqld, host), edges);
    if (source && node.shards.at(host / 2).reverse_deleted != 0) {
      Node forgetful = down;
      forgetful.shards.at(host / 2).reverse_deleted = 0;
      Emit(forgetful, ActionOf(Deed::kCrashAgent, host), edges);
    }
    const EffectSet waiting = table_.facts(node.memory).waiting & ~node.executed;
    for (EffectSet set = waiting; set != 0; set &= set - 1) {
      const auto bit = static_cast<uint32_t>(std::countr_zero(set));
      if (!IsGateChange(KindOf(bit)) || IndexOf(bit) != host / 2 ||
          (WhereOf(bit) == Where::kSource) != source) {
        continue;
      }
      for (const GateStop stop : {GateStop::kBehindIntent, GateStop::kBehindRename}) {
        Node halfway = down;
        if (ExecuteThere(halfway, bit, EpochsOf(node, bit)[0], stop) == Reply::kDone) {
          Emit(halfway, ActionOf(Deed::kCrashAgent, host, static_cast<uint32_t>(stop), bit + 1),
               edges);
        }
      }
    }
  }
  // Between the coordinator and a host, or between the two hosts of a shard.
  for (uint32_t cut = 1; node.cut == 0 && cut < 5 + table_.shards(); ++cut) {
    if (cut >= 5 || cut <= hosts) {
      Node next = node;
      next.cut = static_cast<uint8_t>(cut);
      Emit(next, ActionOf(Deed::kCut, cut), edges);
    }
  }
}

// The store refuses a state.
void CutoverModel::FaultsOfStore(const Node& node, Edges& edges) {
  const auto unstored = [&](const MachineEvent& event, uint32_t what) {
    if (!table_.Feed(node.memory, event).must_store) {
      return;
    }
    for (const bool kept : {false, true}) {
      Node next = node;
      if (TellUnstored(next, event, kept)) {
        Emit(next, ActionOf(Deed::kNotStored, what), edges);
      }
    }
  };
  const MachineFacts& facts = table_.facts(node.memory);
  for (EffectSet set = facts.waiting; set != 0; set &= set - 1) {
    const auto bit = static_cast<uint32_t>(std::countr_zero(set));
    if (Answerable(node, bit)) {
      unstored(AnswerOf(node, bit), bit + 1);
    }
  }
  if (facts.phase == Phase::kPreparing) {
    unstored({.type = Event::Type::kDeadline}, 0);
  }
}

}  // namespace sluice::explore
