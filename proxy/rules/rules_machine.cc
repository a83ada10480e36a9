// RulesMachine: the decisions.

#include "proxy/rules/rules_machine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"

namespace sluice::proxy {

using Kind = RulesEffect::Kind;

RulesEffects RulesMachine::Step(const RulesEvent& event) {
  const uint64_t acknowledged = acknowledged_;
  const uint64_t drained = drained_;
  const uint64_t refused = refused_epoch_;
  RulesEffects effects;
  std::visit([&](const auto& each) { On(each, effects); }, event);
  if (acknowledged != acknowledged_ || drained != drained_ || refused != refused_epoch_) {
    effects.push_back({.kind = Kind::kTell});
  }
  return effects;
}

Acknowledgement RulesMachine::acknowledgement() const {
  return {.have_epoch = acknowledged_,
          .drained_epoch = drained_,
          .refused_epoch = refused_epoch_,
          .refused_reason = refused_reason_,
          .held_statements = static_cast<uint32_t>(waiting_),
          .open_on_held = static_cast<uint32_t>(open_on_held_)};
}

absl::Time RulesMachine::NextLeaseEnd() const {
  absl::Time end = absl::InfiniteFuture();
  for (const Hold& hold : holds_.holds()) {
    end = std::min(end, lease_begin_ + hold.lease);
  }
  return end;
}

void RulesMachine::On(const SetOffered& event, RulesEffects& effects) {
  const EpochRules& rules = *event.rules;
  if (rules.epoch < epoch_) {
    Refuse(rules.epoch,
           absl::StrCat("epoch ", rules.epoch, " is older than ", epoch_,
                        ", which this proxy obeys; epochs only grow"),
           effects);
    return;
  }
  if (rules.epoch == epoch_ && epoch_ != 0) {  // heard twice, or not yet kept
    if (acknowledged_ < epoch_) {
      effects.push_back({.kind = Kind::kKeep, .number = epoch_});
    }
    return;
  }
  if (!event.broken.empty()) {
    Refuse(rules.epoch, event.broken, effects);
    return;
  }
  Obey(rules, event.now);
  effects.push_back({.kind = Kind::kObey, .number = epoch_});
  effects.push_back({.kind = Kind::kKeep, .number = epoch_});
}

void RulesMachine::Refuse(uint64_t epoch, std::string reason, RulesEffects& effects) {
  refused_epoch_ = epoch;
  refused_reason_ = std::move(reason);
  effects.push_back({.kind = Kind::kRefuse, .number = epoch});
}

void RulesMachine::Obey(const EpochRules& rules, absl::Time now) {
  epoch_ = rules.epoch;
  routes_ = rules.routes;
  holds_ = rules.holds;
  lease_begin_ = now;
  // Whoever hears of the new epoch hears of no refusal before it.
  refused_epoch_ = 0;
  refused_reason_.clear();
  open_on_held_ = 0;
  for (auto& [number, work] : open_) {
    work.on_held = !holds_.Of(work.touched).empty();
    open_on_held_ += work.on_held ? 1U : 0U;
  }
  Raise();
}

void RulesMachine::On(const SetKept& event, RulesEffects& /*effects*/) {
  kept_epoch_ = std::max(kept_epoch_, event.epoch);
  if (event.synced && event.epoch >= synced_epoch_) {
    synced_epoch_ = event.epoch;
    synced_routes_ = event.routes;
    // What is obeyed now is this epoch or a later one.
    acknowledged_ = std::max(acknowledged_, std::min(event.epoch, epoch_));
  }
  Raise();
}

void RulesMachine::On(const CoordinatorHeard& event, RulesEffects& /*effects*/) {
  lease_begin_ = std::max(lease_begin_, event.now);
}

void RulesMachine::On(const StatementAsks& event, RulesEffects& effects) {
  RulesEffect verdict = Judge(event);
  if (verdict.kind == Kind::kLetIn && !event.touched->tables.empty()) {
    verdict.number = Open(*event.touched);
  }
  effects.push_back(verdict);
}

RulesEffect RulesMachine::Judge(const StatementAsks& event) const {
  if (event.epoch != epoch_) {
    return {.kind = Kind::kPlanAnew};
  }
  const HoldTable::Indices holds = holds_.Of(*event.touched);
  if (holds.empty()) {
    return {.kind = Kind::kLetIn};
  }
  HoldTable::Indices entered;
  if (event.transaction != 0) {
    const auto found = open_.find(event.transaction);
    SLUICE_CHECK(found != open_.end());
    entered = holds_.Of(found->second.touched);
  }
  bool waits = false;
  for (const size_t index : holds) {
    if (event.now >= lease_begin_ + holds_.holds()[index].lease) {
      return {.kind = Kind::kLeaseOver};
    }
    waits = waits || std::find(entered.begin(), entered.end(), index) == entered.end();
  }
  if (!waits) {
    return {.kind = Kind::kLetIn};
  }
  if (event.now >= event.deadline) {
    return {.kind = Kind::kTooLong};
  }
  return {.kind = Kind::kWait, .until = std::min(event.deadline, NextLeaseEnd())};
}

void RulesMachine::On(const WorkEnds& event, RulesEffects& /*effects*/) {
  Close(event.work);
  Raise();
}

void RulesMachine::On(const WorkJoins& event, RulesEffects& /*effects*/) {
  const auto source = open_.find(event.work);
  const auto target = open_.find(event.into);
  SLUICE_CHECK(source != open_.end() && target != open_.end() && source != target);
  Work& into = target->second;
  for (std::string& table : source->second.touched.tables) {
    AddOnce(into.touched.tables, std::move(table));
  }
  for (std::string& place : source->second.touched.places) {
    AddOnce(into.touched.places, std::move(place));
  }
  open_on_held_ -= (source->second.on_held ? 1U : 0U) + (into.on_held ? 1U : 0U);
  open_.erase(source);
  into.on_held = !holds_.Of(into.touched).empty();
  open_on_held_ += into.on_held ? 1U : 0U;
  Raise();
}

void RulesMachine::On(const PlaceWanted& event, RulesEffects& effects) {
  if (waiting_ >= limits_.statements_max || event.bytes > limits_.bytes_max - waiting_bytes_) {
    effects.push_back({.kind = Kind::kBufferFull});
    return;
  }
  ++waiting_;
  waiting_bytes_ += event.bytes;
  effects.push_back({.kind = Kind::kTakePlace});
}

void RulesMachine::On(const PlaceLeft& event, RulesEffects& /*effects*/) {
  SLUICE_CHECK(waiting_ > 0 && waiting_bytes_ >= event.bytes);
  --waiting_;
  waiting_bytes_ -= event.bytes;
}

uint64_t RulesMachine::Open(const Touched& touched) {
  const uint64_t number = next_work_++;
  const bool on_held = !holds_.Of(touched).empty();
  open_on_held_ += on_held ? 1U : 0U;
  open_.emplace(number, Work{touched, on_held});
  return number;
}

void RulesMachine::Close(uint64_t work) {
  const auto found = open_.find(work);
  SLUICE_CHECK(found != open_.end());
  open_on_held_ -= found->second.on_held ? 1U : 0U;
  open_.erase(found);
}

void RulesMachine::Raise() {
  if (kept_epoch_ >= epoch_ && synced_epoch_ != 0 && synced_routes_ == routes_) {
    acknowledged_ = epoch_;
  }
  if (acknowledged_ == epoch_ && open_on_held_ == 0) {
    drained_ = epoch_;
  }
}

}  // namespace sluice::proxy
