// GateBatch: changes of several gates of one mysqld that go in step.

#include "agent/gate/gate_batch.h"

#include <algorithm>
#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/check.h"

namespace sluice::gate {
namespace {

constexpr absl::string_view kRename = "RENAME TABLE ";
// Statements of a list whose parts, each of another gate, are a list too. All of them are atomic.
constexpr std::array kLists = {kRename, absl::string_view("DROP VIEW "),
                               absl::string_view("DROP TABLE ")};
// So that a wait for locks that is cut in halves comes to an end.
constexpr absl::Duration kBoundMin = absl::Milliseconds(20);

// Empty: a statement that stands alone.
absl::string_view ListOf(absl::string_view sql) {
  for (const absl::string_view list : kLists) {
    if (absl::StartsWith(sql, list)) {
      return list;
    }
  }
  return {};
}

// Who is behind goes first, so that the others have company when they go on; only looking after
// what has failed, and tidying, make nobody wait. A rename is what clients wait behind: everything
// that may be done before it is done before any of it.
int Order(const GateState& state, const GateEffect& effect) {
  switch (effect.kind) {
    case GateEffectKind::kReadRecord:
      return 0;
    case GateEffectKind::kLock:
      return 1;
    case GateEffectKind::kObserve:
      return state.phase == GatePhase::kAsking ? 14 : 2;
    case GateEffectKind::kWriteJournal:
      return 3;
    case GateEffectKind::kWriteIntent:
      return 4;
    case GateEffectKind::kRun:
      return state.holds_server ? 8 : absl::StartsWith(effect.sql, kRename) ? 6 : 5;
    case GateEffectKind::kLockServer:
      return 7;
    case GateEffectKind::kUnlockServer:
      return 9;
    case GateEffectKind::kVerify:
      return 10;
    case GateEffectKind::kWriteMarker:
      return 11;
    case GateEffectKind::kReadPosition:
      return 12;
    case GateEffectKind::kWriteOutcome:
      return 13;
    case GateEffectKind::kTakeBack:
      return 15;
    case GateEffectKind::kTidy:
      return 16;
  }
  return 16;
}

bool OfServer(const GateState& state) {
  return state.change.kind == GateKind::kServer || FencesServer(state.row);
}

// What is done to the server is done for all of them by one statement, and fails for all of them.
bool ConcernsServer(const GateState& state, const GateEffect& effect) {
  return effect.kind == GateEffectKind::kLockServer ||
         effect.kind == GateEffectKind::kUnlockServer ||
         (effect.kind == GateEffectKind::kRun && state.holds_server);
}

bool NoLocks(const absl::Status& status) {
  return absl::IsCancelled(status) || absl::IsAborted(status);
}

}  // namespace

GateBatch::GateBatch(std::vector<GateChange> changes) {
  members_.reserve(changes.size());
  for (GateChange& change : changes) {
    GateTransition transition = Begin(std::move(change));
    Member& member = members_.emplace_back();
    member.state = std::move(transition.state);
    member.effect = std::move(transition.effect);
  }
}

GateBatch::Turn GateBatch::TurnOf(size_t member) const {
  const Member& one = members_[member];
  const size_t round = (OfServer(one.state) ? 2U : 0U) + (one.held_up ? 1U : 0U);
  return {round, Order(one.state, *one.effect)};
}

// REQUIRES: it is the turn of both.
bool GateBatch::Joins(const Member& first, const Member& other) const {
  if (first.alone || other.alone || first.effect->kind != other.effect->kind) {
    return false;
  }
  if (first.effect->kind != GateEffectKind::kRun && first.effect->kind != GateEffectKind::kTidy) {
    return true;
  }
  if (ConcernsServer(first.state, *first.effect) || ConcernsServer(other.state, *other.effect)) {
    return first.state.holds_server == other.state.holds_server &&
           first.effect->sql == other.effect->sql;
  }
  const absl::string_view list = ListOf(first.effect->sql);
  return !list.empty() && list == ListOf(other.effect->sql);
}

// Several gates wait for half of what is left only, so that those whose tables nobody holds still
// have time when the others step back.
absl::Duration GateBatch::Bound(const std::vector<size_t>& members) const {
  absl::Duration left = absl::InfiniteDuration();
  for (const size_t i : members) {
    const Member& member = members_[i];
    left = std::min({left, member.left, member.effect->bound - member.waited});
  }
  const Member& first = members_[members.front()];
  const bool halve =
      members.size() > 1 && left / 2 >= kBoundMin && !ConcernsServer(first.state, *first.effect);
  return std::max(halve ? left / 2 : left, absl::ZeroDuration());
}

std::optional<JoinedEffect> GateBatch::Next() const {
  std::optional<Turn> turn;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].effect.has_value() && (!turn.has_value() || TurnOf(i) < *turn)) {
      turn = TurnOf(i);
    }
  }
  if (!turn.has_value()) {
    return std::nullopt;
  }
  JoinedEffect joined;
  for (size_t i = 0; i < members_.size(); ++i) {
    const Member& member = members_[i];
    if (!member.effect.has_value() || TurnOf(i) != *turn) {
      continue;
    }
    if (joined.members.empty()) {
      joined.kind = member.effect->kind;
      joined.sql = member.effect->sql;
    } else if (Joins(members_[joined.members.front()], member)) {
      if (!ConcernsServer(member.state, *member.effect)) {
        absl::StrAppend(&joined.sql, joined.sql.empty() ? "" : ", ",
                        member.effect->sql.substr(ListOf(member.effect->sql).size()));
      }
    } else {
      continue;
    }
    joined.members.push_back(i);
  }
  if (joined.kind == GateEffectKind::kRun || joined.kind == GateEffectKind::kLockServer) {
    joined.bound = Bound(joined.members);
  }
  return joined;
}

void GateBatch::Forward(size_t index, const GateEvent& event) {
  Member& member = members_[index];
  GateTransition transition = Step(std::move(member.state), event);
  member.state = std::move(transition.state);
  member.effect = std::move(transition.effect);
  member.waited = absl::ZeroDuration();
  member.left = event.left;
  member.unseen = 0;
  member.alone = false;
}

// Nothing has changed. The bound counts as waited in full, which ends the repeats; a request whose
// time is up is told so.
void GateBatch::HoldUp(const JoinedEffect& effect, const BatchAnswer& answer) {
  const bool seen = std::any_of(answer.members.begin(), answer.members.end(),
                                [](const MemberAnswer& each) { return each.blocked; });
  for (size_t at = 0; at < effect.members.size(); ++at) {
    const MemberAnswer& own = answer.members[at];
    Member& member = members_[effect.members[at]];
    // Who can't be seen may have gone; else each gate finds out by itself.
    member.unseen += seen ? 0 : 1;
    member.alone = member.unseen > 1;
    member.waited += std::max(answer.waited, effect.bound);
    member.left = own.event.left;
    member.held_up = own.blocked;
    if (member.effect->bound <= member.waited || member.left <= absl::ZeroDuration()) {
      Forward(effect.members[at], own.event);
    }
  }
}

// Those who were not at work have lost their locks too, so what they know may be out of date.
void GateBatch::LoseOthers(const JoinedEffect& effect, const absl::Status& why) {
  for (size_t i = 0; i < members_.size(); ++i) {
    const Member& member = members_[i];
    const bool locked = member.effect.has_value() &&
                        member.effect->kind != GateEffectKind::kReadRecord &&
                        member.effect->kind != GateEffectKind::kLock;
    if (locked &&
        std::find(effect.members.begin(), effect.members.end(), i) == effect.members.end()) {
      GateEvent lost;
      lost.status = why;
      lost.left = member.left;
      Forward(i, lost);
    }
  }
}

void GateBatch::Answer(const JoinedEffect& effect, const BatchAnswer& answer) {
  SLUICE_CHECK(answer.members.size() == effect.members.size());
  if (answer.session_lost) {
    LoseOthers(effect, absl::UnavailableError("the session that held the gates was lost"));
  }
  const Member& first = members_[effect.members.front()];
  const bool joined = effect.members.size() > 1 && !ConcernsServer(first.state, *first.effect);
  if (joined && effect.kind == GateEffectKind::kRun &&
      NoLocks(answer.members.front().event.status)) {
    return HoldUp(effect, answer);
  }
  for (size_t at = 0; at < effect.members.size(); ++at) {
    const GateEvent& event = answer.members[at].event;
    // A lost session is lost for all; anything else may be somebody else's fault.
    if (joined && !event.status.ok() && !absl::IsUnavailable(event.status)) {
      Member& member = members_[effect.members[at]];
      member.alone = true;
      member.left = event.left;
      // Its lock is held by a session that does not end: the others need not wait for that.
      member.held_up = member.held_up || effect.kind == GateEffectKind::kLock;
      continue;
    }
    Forward(effect.members[at], event);
  }
}

}  // namespace sluice::gate
