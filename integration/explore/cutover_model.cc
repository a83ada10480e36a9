// CutoverModel: the canonical form, what the coordinator is told, and the promises.

#include "integration/explore/cutover_model.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "integration/explore/late_requests.h"

namespace sluice::explore {

using cutover::EffectKind;
using cutover::Event;
using cutover::Phase;
using cutover::Result;

CutoverModel::CutoverModel(CutoverOptions options)
    : table_(std::move(options.plan), std::move(options.step), options.epoch_of),
      shards_(options.obey_any_epoch) {
  const cutover::Plan& plan = table_.plan();
  for (uint32_t i = 0; i < cutover::kEffectKinds; ++i) {
    const auto kind = static_cast<EffectKind>(i);
    if (cutover::InstancesOf(plan, kind) == 0) {
      continue;  // never asked for
    }
    const cutover::Side* side = cutover::SideOf(plan, {.kind = kind, .index = 0, .attempt = 1});
    if (side == nullptr) {
      where_.at(i) = Where::kCoordinator;
    } else if (kind == EffectKind::kRaiseCounters || kind == EffectKind::kSettleCounters) {
      where_.at(i) = Where::kBoth;  // reads the one and raises the other
    } else {
      where_.at(i) = side == plan.sources.data() ? Where::kSource : Where::kTarget;
    }
  }
}

CutoverNode CutoverModel::Root() {
  Node node;
  node.memory = node.stored = table_.root();
  // The first state is stored before the command is answered; where that fails nothing has begun.
  node.memory = node.stored = table_.Feed(node.memory, {.type = Event::Type::kBegin}).next;
  before_commit_ = node.memory;
  return node;
}

void CutoverModel::Emit(Node next, uint32_t action, Edges& edges) {
  bool exchanged = false;
  Canonicalize(next, exchanged);
  edges.push_back({.action = action, .exchanged = exchanged, .node = next});
}

void CutoverModel::EmitRanked(const Node& next, uint32_t action, Rank rank, Edges& edges,
                              Best& best) {
  if (rank < best.rank) {
    best = {.edge = static_cast<int>(edges.size()), .rank = rank};
  }
  Emit(next, action, edges);
}

bool CutoverModel::IsSpent(const Node& node, uint32_t bit, Reply reply) const {
  const bool refused = reply == Reply::kRefused;
  const bool nothing = reply == Reply::kNothing;
  switch (KindOf(bit)) {
    case EffectKind::kCloseGate:
      return refused || (nothing && Committed(node.stored));
    case EffectKind::kPrepareReverse:
      return nothing && Committed(node.stored);
    case EffectKind::kStopStream:
      return refused || (nothing && node.shards.at(IndexOf(bit)).forward_epoch > 1);
    case EffectKind::kReopenGate:
    case EffectKind::kOpenGate:
    case EffectKind::kRestartStream:
    case EffectKind::kFreezeForward:
    case EffectKind::kStartReverse:
      return nothing;
    default:
      return false;
  }
}

void CutoverModel::DropSpentRequests(Node& node) const {
  for (uint32_t set = node.late; set != 0; set &= set - 1) {
    const auto late = static_cast<uint32_t>(std::countr_zero(set));
    const uint32_t bit = EffectOfLate(late);
    bool spent = true;
    for (const uint8_t epoch : EpochsOf(node, bit)) {
      Node after = node;
      after.down = 0;
      spent = spent && IsSpent(node, bit, ExecuteThere(after, bit, epoch));
    }
    if (spent) {
      node.late &= ~(1U << late);
    }
  }
}

void CutoverModel::Canonicalize(Node& node, bool& exchanged) {
  DropSpentRequests(node);
  if (table_.shards() < kShardsMax) {
    return;
  }
  Node other = node;
  std::swap(other.shards[0], other.shards[1]);
  other.memory = table_.ExchangedState(node.memory);
  other.stored = table_.ExchangedState(node.stored);
  other.executed = table_.ExchangedSet(node.executed);
  other.late = ExchangedLate(node.late);
  other.down = static_cast<uint8_t>(((node.down & 3U) << 2U) | (node.down >> 2U));
  if (node.cut >= 5) {
    other.cut = static_cast<uint8_t>(11 - node.cut);
  } else if (node.cut > 0) {
    other.cut = static_cast<uint8_t>(((node.cut + 1U) % 4U) + 1U);
  }
  if (other.words() < node.words()) {
    node = other;
    exchanged = true;
  }
}

MachineTable::Move CutoverModel::Tell(Node& node, const MachineEvent& event, bool storing) {
  const MachineTable::Move move = table_.Feed(node.memory, event);
  node.memory = move.next;
  if (move.must_store && storing) {
    if (Committed(node.stored) && !Committed(move.next)) {
      node.commit_undone = 1;
    }
    node.stored = move.next;
  }
  // A repeated request is a new one.
  node.executed &= table_.facts(move.next).waiting & ~move.asked;
  GiveUpWhatIsOvertaken(node);
  return move;
}

bool CutoverModel::Committed(uint32_t state) const {
  const Phase phase = table_.facts(state).phase;
  return phase == Phase::kCommitted || phase == Phase::kDone;
}

void CutoverModel::GiveUpWhatIsOvertaken(Node& node) {
  if (table_.facts(node.memory).phase != Phase::kUndoing) {
    return;
  }
  for (EffectSet set = table_.facts(node.memory).waiting; set != 0; set &= set - 1) {
    const auto bit = static_cast<uint32_t>(std::countr_zero(set));
    switch (KindOf(bit)) {
      case EffectKind::kPrepareReverse:  // what takes these back waits for their answers
      case EffectKind::kHoldRules:
      case EffectKind::kDeleteReverse:
      case EffectKind::kReopenGate:
      case EffectKind::kRestartStream:
      case EffectKind::kReleaseRules:
      case EffectKind::kRestoreClosed:
        break;
      default:
        node.late |= (node.executed >> bit & 1U) == 0 ? LateBit(bit) : 0U;
        node.memory =
            table_
                .Feed(node.memory,
                      {.type = Event::Type::kOutcome, .effect = bit, .result = Result::kUnknown})
                .next;
        break;
    }
  }
  node.executed &= table_.facts(node.memory).waiting;
}

// The store says that it did not take the new state, and has `kept` it all the same or not. What
// Run makes of that: up to the commit nothing is begun without the store; behind it, and when
// undoing, what the store knows leads the same way. False where it doesn't: then nothing happens
// until the state is stored, which is a way of its own.
bool CutoverModel::TellUnstored(Node& node, const MachineEvent& event, bool kept) {
  const MachineTable::Move move = Tell(node, event, kept);
  if (table_.facts(move.next).phase == Phase::kPreparing) {
    for (EffectSet set = move.asked; set != 0; set &= set - 1) {
      Tell(node,
           {.type = Event::Type::kOutcome,
            .effect = static_cast<uint32_t>(std::countr_zero(set)),
            .result = Result::kFailed},
           false);
    }
  }
  return table_.facts(node.memory).phase != Phase::kUndoing ||
         table_.facts(node.stored).undone_when_recovered;
}

// What was sent goes on without it, and the next one begins with what is stored.
void CutoverModel::CrashCoordinator(Node& node) {
  for (EffectSet set = table_.facts(node.memory).waiting & ~node.executed; set != 0;
       set &= set - 1) {
    node.late |= LateBit(static_cast<uint32_t>(std::countr_zero(set)));
  }
  node.executed = 0;
  node.memory = node.stored;
  Tell(node, {.type = Event::Type::kRecovered});
}

MachineEvent CutoverModel::AnswerOf(const Node& node, uint32_t bit) const {
  const bool late = KindOf(bit) == EffectKind::kSeal && node.shards.at(IndexOf(bit)).seal_late != 0;
  return {.type = Event::Type::kOutcome, .effect = bit, .result = Result::kOk, .late = late};
}

bool CutoverModel::Changes(EffectKind kind) const {
  return ChangesShard(kind) || kind == EffectKind::kHoldRules ||
         kind == EffectKind::kReleaseRules || kind == EffectKind::kRouteRules;
}

bool CutoverModel::Answerable(const Node& node, uint32_t bit) const {
  return KindOf(bit) != EffectKind::kCommit &&
         (Changes(KindOf(bit)) ? (node.executed >> bit & 1U) != 0 : Up(node, bit));
}

namespace {

uint32_t HostsOf(uint32_t shard, bool source, bool target) {
  return ((source ? 1U : 0U) | (target ? 2U : 0U)) << (2 * shard);
}

}  // namespace

bool CutoverModel::Up(const Node& node, uint32_t bit) const {
  const Where where = WhereOf(bit);
  return where == Where::kCoordinator ||
         (node.down & HostsOf(IndexOf(bit), where != Where::kTarget, where != Where::kSource)) == 0;
}

bool CutoverModel::OutOfReach(const Node& node, uint32_t bit) const {
  const Where where = WhereOf(bit);
  if (where == Where::kCoordinator) {
    return false;
  }
  const uint32_t hosts = HostsOf(IndexOf(bit), where != Where::kTarget, where != Where::kSource);
  const uint32_t cut = node.cut >= 1 && node.cut <= 4 ? 1U << (node.cut - 1U) : 0U;
  return (hosts & (node.down | cut)) != 0;
}

Reply CutoverModel::ExecuteHere(Node& node, uint32_t bit) {
  const Rules before = node.rules;
  switch (KindOf(bit)) {
    case EffectKind::kHoldRules:
      node.rules = Rules::kHold;
      break;
    case EffectKind::kReleaseRules:
      node.rules = Rules::kOld;
      break;
    case EffectKind::kRouteRules:
      node.rules = Rules::kNew;
      break;
    default:
      return Reply::kNothing;
  }
  rule_changes_.at(static_cast<size_t>(before)).at(static_cast<size_t>(node.rules)) = true;
  return Reply::kDone;
}

Reply CutoverModel::ExecuteThere(Node& node, uint32_t bit, uint8_t epoch, GateStop stop) const {
  const uint32_t shard = IndexOf(bit);
  const Surroundings around = {.source_up = (node.down & HostsOf(shard, true, false)) == 0,
                               .target_up = (node.down & HostsOf(shard, false, true)) == 0,
                               .joined = node.cut != 5 + shard};
  return shards_.Execute({.kind = KindOf(bit),
                          .epoch = epoch,
                          .position = table_.facts(node.stored).positions.at(shard)},
                         node.shards.at(shard), around, stop);
}

std::array<uint8_t, 2> CutoverModel::EpochsOf(const Node& node, uint32_t bit) const {
  const uint8_t now = table_.EpochOf(node.memory, KindOf(bit));
  // What of the part up to the commit is asked for again behind it.
  const bool earlier = KindOf(bit) == EffectKind::kStopStream && Committed(node.stored);
  return {now, earlier ? table_.EpochOf(before_commit_, KindOf(bit)) : now};
}

std::string CutoverModel::JudgeRecords(const Node& node) const {
  const MachineFacts& stored = table_.facts(node.stored);
  const Phase phase = table_.facts(node.memory).phase;
  if (node.commit_undone != 0 ||
      (Committed(node.stored) && (phase == Phase::kUndoing || phase == Phase::kRolledBack))) {
    return "what is committed is undone";
  }
  if (Committed(node.stored)) {
    for (uint32_t i = 0; i < table_.shards(); ++i) {
      if (stored.positions.at(i) != kPositionInTime) {
        return stored.positions.at(i) == kPositionLate
                   ? "the committed position lies after the first write on the new side"
                   : "committed without a position for the way back";
      }
    }
  }
  const auto all = [&](auto holds) {
    return std::all_of(node.shards.begin(), node.shards.begin() + table_.shards(), holds);
  };
  if (node.rules == Rules::kNew &&
      !all([](const Shard& shard) { return shard.target.open == kAllTables; })) {
    return "proxies are sent to a new side that is not open";
  }
  if (node.rules == Rules::kOld &&
      !all([](const Shard& shard) { return shard.target.open == 0; })) {
    return "proxies are sent to the old side though the new one is open";
  }
  if (node.rules == Rules::kOld && !stored.finished &&
      !all([](const Shard& shard) { return shard.source.open == kAllTables; })) {
    return "a gate is closed to clients that nobody holds";
  }
  return {};
}

std::string CutoverModel::Judge(const Node& node) const {
  if (!table_.broken().empty()) {
    return table_.broken();
  }
  for (uint32_t i = 0; i < table_.shards(); ++i) {
    if (std::string wrong = ShardModel::Judge(node.shards.at(i)); !wrong.empty()) {
      return wrong;
    }
  }
  if (std::string wrong = JudgeRecords(node); !wrong.empty()) {
    return wrong;
  }
  const MachineFacts& facts = table_.facts(node.memory);
  if (!facts.finished) {
    return {};
  }
  const bool done = facts.phase == Phase::kDone;
  if (node.rules != (done ? Rules::kNew : Rules::kOld)) {
    return "the rules do not fit the outcome";
  }
  for (uint32_t i = 0; i < table_.shards(); ++i) {
    if (std::string wrong = ShardModel::JudgeEnd(node.shards.at(i), done); !wrong.empty()) {
      return wrong;
    }
  }
  return {};
}

}  // namespace sluice::explore
