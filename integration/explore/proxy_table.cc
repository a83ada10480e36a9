// ProxyTable: events of the search as events of the machine.

#include "integration/explore/proxy_table.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

namespace sluice::explore {
namespace {

using proxy::RulesEffect;
using proxy::RulesMachine;
using Type = ProxyEvent::Type;

constexpr absl::Duration kLease = absl::Seconds(10);

absl::Time At(uint8_t leases) {
  return absl::UnixEpoch() + absl::Hours(1) + leases * kLease;
}

const proxy::Touched& Moving() {
  static const proxy::Touched touched = {.tables = {"commerce.t"}, .places = {"commerce/-80"}};
  return touched;
}

proxy::EpochRules RulesOf(const ProxyEvent& event) {
  std::vector<proxy::Hold> holds;
  if (event.rules == Rules::kHold) {
    holds.push_back({.cutover_id = "c1",
                     .tables = {"commerce.t", "customer.t"},
                     .shards = {"commerce/-80", "customer/-80"},
                     .lease = kLease});
  }
  return {.epoch = event.epoch,
          .routes = RoutesOf(event.rules),
          .holds = proxy::HoldTable(std::move(holds))};
}

RulesEffect AskOf(RulesMachine& machine, uint64_t epoch, uint64_t transaction, uint8_t now) {
  return machine
      .Step(proxy::StatementAsks{.epoch = epoch,
                                 .touched = &Moving(),
                                 .transaction = transaction,
                                 .now = At(now),
                                 .deadline = absl::InfiniteFuture()})
      .front();
}

}  // namespace

uint64_t RoutesOf(Rules rules) {
  return rules == Rules::kNew ? 2 : 1;
}

ProxyTable::ProxyTable() {
  Number(RulesMachine(proxy::BufferLimits{}), 0);
}

uint32_t ProxyTable::Number(const RulesMachine& machine, uint64_t work) {
  const proxy::Acknowledgement said = machine.acknowledgement();
  std::vector<uint32_t>& alike = alike_[absl::StrCat(
      machine.epoch(), "/", said.have_epoch, "/", said.drained_epoch, "/", said.refused_epoch, "/",
      said.open_on_held, "/", work, "/", absl::FormatTime(machine.NextLeaseEnd()))];
  for (const uint32_t number : alike) {
    if (machines_[number] == machine) {
      return number;
    }
  }
  const auto number = static_cast<uint32_t>(machines_.size());
  alike.push_back(number);
  machines_.push_back(machine);
  works_.push_back(work);
  said_.push_back(said);
  return number;
}

ProxyStep ProxyTable::Feed(uint32_t state, const ProxyEvent& event) {
  const uint64_t key = (uint64_t{state} << 32U) | (static_cast<uint64_t>(event.type) << 24U) |
                       (uint64_t{event.epoch} << 16U) |
                       (static_cast<uint64_t>(event.rules) << 12U) |
                       (event.synced ? uint64_t{1} << 8U : 0) | event.now;
  if (const auto found = steps_.find(key); found != steps_.end()) {
    return found->second;
  }
  RulesMachine machine = machines_[state];
  uint64_t work = works_[state];
  ProxyStep step;
  switch (event.type) {
    case Type::kOffered: {
      const proxy::EpochRules rules = RulesOf(event);
      for (const RulesEffect& effect :
           machine.Step(proxy::SetOffered{&rules, std::string(), At(event.now)})) {
        step.obeys = step.obeys || effect.kind == RulesEffect::Kind::kObey;
        step.keeps = step.keeps || effect.kind == RulesEffect::Kind::kKeep;
      }
      break;
    }
    case Type::kKept:
      machine.Step(proxy::SetKept{event.epoch, RoutesOf(event.rules), event.synced});
      break;
    case Type::kHeard:
      machine.Step(proxy::CoordinatorHeard{At(event.now)});
      break;
    case Type::kBegin:
      work = AskOf(machine, event.epoch, 0, event.now).number;
      break;
    case Type::kEnd:
      machine.Step(proxy::WorkEnds{work});
      work = 0;
      break;
  }
  step.next = Number(machine, work);
  steps_.emplace(key, step);
  return step;
}

ProxyVerdict ProxyTable::Ask(uint32_t state, uint8_t planned_epoch, uint8_t now) {
  const uint64_t key = (uint64_t{state} << 32U) | (uint64_t{planned_epoch} << 8U) | now;
  if (const auto found = verdicts_.find(key); found != verdicts_.end()) {
    return found->second;
  }
  const auto let_in = [&](uint64_t transaction) {
    RulesMachine machine = machines_[state];
    return AskOf(machine, planned_epoch, transaction, now).kind == RulesEffect::Kind::kLetIn;
  };
  ProxyVerdict verdict;
  verdict.lets_in_new = let_in(0);
  verdict.lets_in_transaction = works_[state] != 0 && let_in(works_[state]);
  verdicts_.emplace(key, verdict);
  return verdict;
}

}  // namespace sluice::explore
