// CutoverModel: all that can happen without a fault.

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

int CutoverModel::Free(const Node& node, Edges& edges) {
  Best best;
  for (uint32_t host = 0; host < 2 * table_.shards(); ++host) {
    if ((node.down >> host & 1U) != 0) {
      Node next = node;
      next.down = static_cast<uint8_t>(node.down & ~(1U << host));
      EmitRanked(next, ActionOf(Deed::kRestart, static_cast<uint8_t>(host)), kRepair, edges, best);
    }
  }
  if (node.cut != 0) {
    Node next = node;
    next.cut = 0;
    EmitRanked(next, ActionOf(Deed::kHeal, node.cut), kRepair, edges, best);
  }
  FreeOfLate(node, edges);
  const MachineFacts& facts = table_.facts(node.memory);
  if (facts.finished) {
    return -1;
  }
  for (EffectSet set = facts.waiting; set != 0; set &= set - 1) {
    const auto bit = static_cast<uint32_t>(std::countr_zero(set));
    if (KindOf(bit) == EffectKind::kCommit) {
      FreeOfCommit(node, bit, edges, best);
    } else {
      FreeOfRequest(node, bit, edges, best);
    }
  }
  // The clock is no fault: it may strike at any moment, and ends what waits in vain.
  if (facts.phase == Phase::kPreparing) {
    Node next = node;
    Tell(next, {.type = Event::Type::kDeadline});
    EmitRanked(next, ActionOf(Deed::kDeadline), kTimeOut, edges, best);
  }
  return best.edge;
}

// The store and the coordinator's state change as one: nothing else runs in between.
void CutoverModel::FreeOfCommit(const Node& node, uint32_t bit, Edges& edges, Best& best) {
  Node next = node;
  if (table_.facts(node.stored).phase == Phase::kPreparing) {
    next.stored = table_.Feed(node.memory, OutcomeOf(bit, Result::kOk)).next;
  }
  Tell(next, OutcomeOf(bit, Result::kOk));
  EmitRanked(next, ActionOf(Deed::kCommit, bit), kExecutes, edges, best);
}

void CutoverModel::FreeOfRequest(const Node& node, uint32_t bit, Edges& edges, Best& best) {
  const EffectKind kind = KindOf(bit);
  if (OutOfReach(node, bit)) {
    Node next = node;
    Tell(next, OutcomeOf(bit, Result::kUnknown));
    Emit(next, ActionOf(Deed::kNoAnswer, bit), edges);
  }
  if (Answerable(node, bit)) {
    Node next = node;
    Tell(next, AnswerOf(node, bit));
    const Deed deed = Changes(kind) ? Deed::kAnswer : Deed::kCarryOut;
    return EmitRanked(next, ActionOf(deed, bit), kAnswers, edges, best);
  }
  if (!Up(node, bit) || !Changes(kind)) {
    return;
  }
  if (WhereOf(bit) == Where::kCoordinator) {
    Node next = node;
    ExecuteHere(next, bit);
    next.executed |= EffectSet{1} << bit;
    return EmitRanked(next, ActionOf(Deed::kExecute, bit), kExecutes, edges, best);
  }
  const std::array<uint8_t, 2> epochs = EpochsOf(node, bit);
  FreeOfExecution(node, bit, epochs[0], edges, best);
  if (epochs[1] != epochs[0]) {
    FreeOfExecution(node, bit, epochs[1], edges, best);
  }
}

void CutoverModel::FreeOfExecution(const Node& node, uint32_t bit, uint8_t epoch, Edges& edges,
                                   Best& best) {
  Node next = node;
  switch (ExecuteThere(next, bit, epoch)) {
    case Reply::kDone:
      next.executed |= EffectSet{1} << bit;
      return EmitRanked(next, ActionOf(Deed::kExecute, bit), kExecutes, edges, best);
    case Reply::kNothing:
      Tell(next, AnswerOf(next, bit));
      return EmitRanked(next, ActionOf(Deed::kCarryOut, bit), kAnswers, edges, best);
    case Reply::kRefused:
      Tell(next, OutcomeOf(bit, Result::kFailed));
      return EmitRanked(next, ActionOf(Deed::kRefuse, bit), kRefusal, edges, best);
    case Reply::kUnknown:
      Tell(next, OutcomeOf(bit, Result::kUnknown));
      return EmitRanked(next, ActionOf(Deed::kLoseAnswer, bit), kCannotTell, edges, best);
    case Reply::kWaits:
      return;
  }
}

void CutoverModel::FreeOfLate(const Node& node, Edges& edges) {
  for (uint32_t set = node.late; set != 0; set &= set - 1) {
    const uint32_t bit = EffectOfLate(static_cast<uint32_t>(std::countr_zero(set)));
    for (const uint8_t epoch : EpochsOf(node, bit)) {
      Node next = node;
      if (Up(node, bit) && ExecuteThere(next, bit, epoch) == Reply::kDone) {
        Emit(next, ActionOf(Deed::kArriveLate, bit), edges);
      }
    }
  }
}

}  // namespace sluice::explore
