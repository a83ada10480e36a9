// Each effect: its request, its time limit, and what its answer means.

#include "coordinator/cutover/agent_effects.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::cutover {
namespace {

using workflow::CallBudget;
using workflow::GateState;
using workflow::StreamAction;

// What the target's counters are raised above the source's before anybody is held, so that they
// seldom have to be raised again while clients wait.
constexpr uint64_t kCounterMargin = 1'000;
constexpr absl::Duration kCallMax = absl::Seconds(5);
constexpr absl::Duration kTableMax = absl::Milliseconds(50);  // of a rename with thousands of them
constexpr absl::Duration kCallMin = absl::Milliseconds(100);
constexpr absl::Duration kProxiesWait = absl::Seconds(2);
constexpr absl::Duration kAgentWait = absl::Seconds(5);
// What a hold outlives the cutover's own time by, so that undoing finds it still standing.
constexpr uint32_t kLeaseMarginMs = 10'000;

CallBudget BudgetUntil(absl::Time deadline, absl::Duration at_most = kCallMax) {
  CallBudget budget;
  budget.timeout = std::clamp(deadline - absl::Now(), kCallMin, at_most);
  return budget;
}

EffectOutcome Ok(std::string message = {}, std::string value = {}) {
  return {.result = Result::kOk, .message = std::move(message), .value = std::move(value)};
}

void RemoveHold(store::RuleState& rules, const std::string& cutover_id) {
  std::erase_if(rules.holds,
                [&](const store::Hold& hold) { return hold.cutover_id == cutover_id; });
}

std::string DelaysText(const std::vector<rules::ProxyDelay>& delays) {
  return absl::StrJoin(delays, "; ", [](std::string* out, const rules::ProxyDelay& delay) {
    absl::StrAppend(out, "proxy ", delay.id, ": ", delay.reason);
  });
}

// What became of an epoch in each proxy.
std::vector<ProxyPart> PartsOf(const rules::RuleService& rules, uint64_t epoch,
                               rules::ProxyProgress progress, absl::Time started,
                               const std::vector<rules::ProxyDelay>& delays) {
  std::vector<ProxyPart> parts;
  for (const rules::ProxyArrival& arrival : rules.Arrivals(epoch, progress)) {
    // It may have been there before it was waited for.
    const absl::Time from = std::min(started, arrival.at);
    if (arrival.at != absl::InfinitePast()) {
      parts.push_back(
          {.proxy = arrival.id, .started = from, .took = arrival.at - from, .detail = {}});
    }
  }
  for (const rules::ProxyDelay& delay : delays) {
    parts.push_back({.proxy = delay.id,
                     .started = started,
                     .took = absl::Now() - started,
                     .detail = delay.reason});
  }
  return parts;
}

}  // namespace

EffectOutcome OutcomeOf(const absl::Status& status) {
  EffectOutcome outcome = {
      .result = Result::kFailed, .message = std::string(status.message()), .value = {}};
  switch (status.code()) {
    case absl::StatusCode::kOk:
      outcome.result = Result::kOk;
      break;
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kResourceExhausted:
      outcome.result = Result::kRetry;
      break;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kInternal:
      outcome.result = Result::kUnknown;
      break;
    default:
      break;
  }
  return outcome;
}

std::vector<std::string> HeldTables(const Plan& plan) {
  std::vector<std::string> names;
  for (const std::string& table : plan.tables) {
    names.push_back(absl::StrCat(plan.sources.front().keyspace, ".", table));
    names.push_back(absl::StrCat(plan.targets.front().keyspace, ".", table));
  }
  return names;
}

std::vector<std::string> HeldShards(const Plan& plan) {
  std::vector<std::string> names;
  for (const std::vector<Side>* sides : {&plan.sources, &plan.targets}) {
    for (const Side& side : *sides) {
      names.push_back(absl::StrCat(side.keyspace, "/", side.shard));
    }
  }
  return names;
}

std::string JournalRecord(const State& state) {
  const Plan& plan = state.plan;
  const auto sides = [](const std::vector<Side>& list) {
    auto array = nlohmann::json::array();
    for (const Side& side : list) {
      array.push_back(
          {{"keyspace", side.keyspace}, {"shard", side.shard}, {"database", side.database}});
    }
    return array;
  };
  return nlohmann::json({{"cutover", plan.id},
                         {"workflow", plan.workflow},
                         {"direction", plan.reversal ? "reverse" : "forward"},
                         {"tables", plan.tables},
                         {"from", sides(plan.sources)},
                         {"to", sides(plan.targets)},
                         {"positions", state.positions},
                         {"epoch", plan.epoch}})
      .dump();
}

EffectOutcome AgentEffects::Run(const State& state, const Effect& effect, absl::Time deadline) {
  Job job = {.state = state,
             .plan = state.plan,
             .effect = effect,
             .side = SideOf(state.plan, effect),
             .agent = {},
             .deadline = deadline};
  switch (effect.kind) {
    case EffectKind::kHoldRules:
      return HoldRules(job);
    case EffectKind::kReleaseRules:
      return ReleaseRules(job);
    case EffectKind::kRouteRules:
      return RouteRules(job);
    case EffectKind::kAskProxies:
    case EffectKind::kAwaitProxies:
      return AwaitProxies();
    case EffectKind::kAwaitRelease:
      return AwaitRelease(job);
    default:
      break;
  }
  job.agent = workflow::AgentRef::Primary(job.side->keyspace, job.side->shard);
  if (deadline == absl::InfiniteFuture()) {
    // Nothing but this agent helps now; it may be restarting, or another one be promoted.
    const auto primary =
        topology_.AwaitPrimary(job.side->keyspace, job.side->shard, absl::Now() + kAgentWait);
    if (!primary.ok()) {
      return OutcomeOf(absl::UnavailableError(primary.status().message()));
    }
  }
  return RunAtAgent(job);
}

EffectOutcome AgentEffects::RunAtAgent(const Job& job) {
  const uint32_t index = job.effect.index;
  switch (job.effect.kind) {
    case EffectKind::kProbeGate:
      return ProbeGate(job);
    case EffectKind::kCheckStream:
      return CheckStream(job);
    case EffectKind::kCloseGate:
      return SetGate(job, job.plan.source_readable ? GateState::kReadable : GateState::kClosed);
    case EffectKind::kMakeReadable:
      return SetGate(job, GateState::kReadable);
    case EffectKind::kOpenGate:
    case EffectKind::kReopenGate:
      return SetGate(job, GateState::kOpen);
    case EffectKind::kCloseBehind:
    case EffectKind::kRestoreClosed:
      return SetGate(job, GateState::kClosed);
    case EffectKind::kSeal:
      return Seal(job);
    case EffectKind::kRaiseCounters:
      return RaiseCounters(job, kCounterMargin);
    case EffectKind::kSettleCounters:
      return RaiseCounters(job, 0);
    case EffectKind::kStopStream:
      return Control(job, job.plan.streams.at(index).forward_id, StreamAction::kStop);
    case EffectKind::kRestartStream:
      return Control(job, job.plan.streams.at(index).forward_id, StreamAction::kStart);
    case EffectKind::kFreezeForward:
      return Control(job, job.plan.streams.at(index).forward_id, StreamAction::kFreeze);
    case EffectKind::kDeleteReverse:
      return Control(job, job.plan.streams.at(index).reverse_id, StreamAction::kDelete);
    case EffectKind::kDeleteStale:
      return Control(job, job.plan.stale.at(index).id, StreamAction::kDelete);
    case EffectKind::kStartReverse:
      return StartReverse(job);
    case EffectKind::kPrepareReverse:
      return PrepareReverse(job);
    case EffectKind::kAwaitReplicas:
      return AwaitReplicas(job);
    case EffectKind::kJournalSource:
      return Journal(job);
    default:
      return {.result = Result::kFailed,
              .message = absl::StrCat(EffectName(job.effect.kind), " is not an agent's task"),
              .value = {}};
  }
}

EffectOutcome AgentEffects::HoldRules(const Job& job) {
  const absl::Time started = absl::Now();
  const auto epoch =
      rules_.Change([&](store::StoreTransaction& /*transaction*/, store::RuleState& rules) {
        RemoveHold(rules, job.plan.id);
        rules.holds.push_back({.cutover_id = job.plan.id,
                               .tables = HeldTables(job.plan),
                               .lease_ms = job.plan.timeout_ms + kLeaseMarginMs,
                               .shards = HeldShards(job.plan)});
        return absl::OkStatus();
      });
  if (!epoch.ok()) {
    return OutcomeOf(epoch.status());
  }
  const absl::Time until =
      std::min(job.deadline, absl::Now() + absl::Milliseconds(job.plan.hold_ms));
  // Whoever has not drained by then meets the gate.
  const auto delays = rules_.AwaitProxies(*epoch, rules::ProxyProgress::kDrained, until);
  EffectOutcome outcome = Ok(DelaysText(delays));
  outcome.proxies = PartsOf(rules_, *epoch, rules::ProxyProgress::kDrained, started, delays);
  return outcome;
}

EffectOutcome AgentEffects::ReleaseRules(const Job& job) {
  return OutcomeOf(
      rules_
          .Change([&](store::StoreTransaction& /*transaction*/, store::RuleState& rules) {
            RemoveHold(rules, job.plan.id);
            return absl::OkStatus();
          })
          .status());
}

EffectOutcome AgentEffects::RouteRules(const Job& job) {
  return OutcomeOf(rules_
                       .Change([&](store::StoreTransaction& transaction,
                                   store::RuleState& rules) -> absl::Status {
                         SLUICE_ASSIGN_OR_RETURN(const Records records,
                                                 ReadRecords(transaction, job.plan.workflow));
                         workflow::RouteMove(records.original, rules);
                         RemoveHold(rules, job.plan.id);
                         return absl::OkStatus();
                       })
                       .status());
}

EffectOutcome AgentEffects::AwaitProxies() {
  const absl::Time started = absl::Now();
  const uint64_t epoch = rules_.epoch();
  const auto delays =
      rules_.AwaitProxies(epoch, rules::ProxyProgress::kObeyed, started + kProxiesWait);
  EffectOutcome outcome = Ok(DelaysText(delays));
  outcome.proxies = PartsOf(rules_, epoch, rules::ProxyProgress::kObeyed, started, delays);
  return outcome;
}

EffectOutcome AgentEffects::SetGate(const Job& job, GateState state) {
  workflow::GateChange change;
  change.workflow = job.plan.workflow;
  change.database = job.side->database;
  change.tables = job.plan.tables;
  change.state = state;
  change.epoch = EpochOf(job.state, job.effect.kind);
  change.lock_wait_ms = job.plan.lock_wait_ms;
  const bool closes = job.effect.kind == EffectKind::kCloseGate;
  const GatePlan how =
      closes && !job.plan.gates.empty() ? job.plan.gates.at(job.effect.index) : GatePlan();
  change.server = how.server;
  change.beside = how.beside;
  if (closes) {
    change.marker_id = absl::StrCat(job.plan.id, "/", job.effect.index);
  } else if (job.effect.kind == EffectKind::kOpenGate) {
    change.cutover_id = job.plan.id;
    change.journal = JournalOf(job.state);
  }
  const auto done = agents_.SetGate(
      job.agent, change,
      BudgetUntil(job.deadline, absl::Milliseconds(job.plan.lock_wait_ms) + kCallMax +
                                    static_cast<double>(change.tables.size()) * kTableMax));
  if (!done.ok()) {
    return OutcomeOf(done.status());
  }
  std::string remark =
      absl::StrCat(workflow::GateStateName(done->state), ", ", done->took_us, " us in mysqld");
  if (closes && !job.plan.gates.empty()) {
    absl::StrAppend(&remark, ", ", DescribeGate(how));
  } else if (!done->kept_by.empty()) {
    // Nothing is routed or released before the last of them has opened.
    absl::StrAppend(&remark, ", until the mysqld is opened by the gates of ",
                    absl::StrJoin(done->kept_by, ", "));
  }
  return Ok(std::move(remark));
}

// Who sits on the tables is waited for while nobody waits for him.
EffectOutcome AgentEffects::ProbeGate(const Job& job) {
  const auto probed = agents_.ProbeGate(
      job.agent,
      {.workflow = job.plan.workflow,
       .database = job.side->database,
       .tables = job.plan.tables,
       .age_ms = job.plan.blocker_age_ms,
       .kill_after_ms = job.plan.kill_blockers_after_ms,
       .kill_rows_max = job.plan.kill_blockers_after_ms > 0 ? job.plan.kill_rows_max : 0},
      BudgetUntil(job.deadline));
  if (!probed.ok()) {
    return OutcomeOf(probed.status());
  }
  if (!probed->blockers.empty()) {
    return {.result = Result::kRetry,
            .message = absl::StrCat("the tables are used by ", probed->blockers),
            .value = {}};
  }
  return Ok(probed->killed.empty() ? std::string() : absl::StrCat("ended ", probed->killed));
}

// What it is behind, clients would wait for.
EffectOutcome AgentEffects::CheckStream(const Job& job) {
  const uint64_t id = job.plan.streams.at(job.effect.index).forward_id;
  const auto streams = agents_.ListStreams(job.agent, job.plan.forward, BudgetUntil(job.deadline));
  if (!streams.ok()) {
    return OutcomeOf(streams.status());
  }
  const auto found = std::find_if(streams->begin(), streams->end(),
                                  [id](const topology::StreamInfo& each) { return each.id == id; });
  if (found == streams->end() || found->state != topology::StreamState::kRunning) {
    return {.result = Result::kFailed,
            .message = absl::StrCat("stream ", id, " is not running"),
            .value = {}};
  }
  if (job.plan.max_lag_ms != kAnyLagMs &&
      (found->lag_ms < 0 || found->lag_ms > job.plan.max_lag_ms)) {
    return {.result = Result::kRetry,
            .message = absl::StrCat("stream ", id, " lags ", found->lag_ms, " ms"),
            .value = {}};
  }
  return Ok(absl::StrCat("lags ", found->lag_ms, " ms"));
}

EffectOutcome AgentEffects::RaiseCounters(const Job& job, uint64_t margin) {
  const StreamPair& pair = job.plan.streams.at(job.effect.index);
  const Side& from = job.plan.sources.at(pair.source);
  workflow::CounterQuery query = {.workflow = job.plan.workflow,
                                  .database = from.database,
                                  .tables = job.plan.tables,
                                  .at_least = {}};
  const auto counters = agents_.RaiseCounters(
      workflow::AgentRef::Primary(from.keyspace, from.shard), query, BudgetUntil(job.deadline));
  if (!counters.ok()) {
    return OutcomeOf(counters.status());
  }
  query.database = job.side->database;
  for (const uint64_t counter : *counters) {
    query.at_least.push_back(counter == 0 ? 0 : counter + margin);
  }
  return OutcomeOf(agents_.RaiseCounters(job.agent, query, BudgetUntil(job.deadline)).status());
}

EffectOutcome AgentEffects::AwaitRelease(const Job& job) {
  return OutcomeOf(releases_.Await(job.plan.id, job.deadline));
}

EffectOutcome AgentEffects::Seal(const Job& job) {
  const StreamPair& pair = job.plan.streams.at(job.effect.index);
  CallBudget budget;
  budget.timeout = std::max(job.deadline - absl::Now(), kCallMin);
  const auto reached = agents_.AwaitMarker(job.agent, pair.forward_id,
                                           absl::StrCat(job.plan.id, "/", pair.source), budget);
  if (reached.ok()) {
    return Ok(absl::StrCat("applied ", reached->applied), reached->gtid_executed);
  }
  EffectOutcome outcome = OutcomeOf(reached.status());
  outcome.message = absl::StrCat("failed to sync up replication between the source and target: ",
                                 outcome.message);
  return outcome;
}

EffectOutcome AgentEffects::Control(const Job& job, uint64_t stream, StreamAction action) {
  const auto status = agents_.ControlStream(
      job.agent, stream, action, EpochOf(job.state, job.effect.kind), BudgetUntil(job.deadline));
  if (action == StreamAction::kDelete && absl::IsNotFound(status.status())) {
    return Ok("was gone");
  }
  return OutcomeOf(status.status());
}

EffectOutcome AgentEffects::StartReverse(const Job& job) {
  const StreamPair& pair = job.plan.streams.at(job.effect.index);
  const auto place = [&] {
    return agents_.PlaceStream(job.agent, pair.reverse_id, job.state.positions.at(pair.target),
                               job.plan.start_reverse ? StreamAction::kStart : StreamAction::kStop,
                               EpochOf(job.state, job.effect.kind), BudgetUntil(job.deadline));
  };
  absl::Status placed = place();
  if (absl::IsNotFound(placed)) {
    // A failover has lost what was prepared, and there is only the way forward.
    EffectOutcome created = PrepareReverse(job);
    if (created.result != Result::kOk) {
      return created;
    }
    placed = place();
  }
  return OutcomeOf(placed);
}

EffectOutcome AgentEffects::PrepareReverse(const Job& job) {
  const StreamPair& pair = job.plan.streams.at(job.effect.index);
  const Side& from = job.plan.targets.at(pair.target);
  workflow::StreamSpec spec;
  spec.id = pair.reverse_id;
  spec.workflow = job.plan.backward;
  spec.source_keyspace = from.keyspace;
  spec.source_shard = from.shard;
  spec.source_database = from.database;
  spec.target_keyspace = job.side->keyspace;
  spec.target_shard = job.side->shard;
  spec.target_database = job.side->database;
  spec.tables = job.plan.tables;
  spec.source_types = job.plan.source_types;
  spec.options = job.plan.reverse_options;
  spec.awaits_position = true;
  const absl::Status status =
      agents_.CreateStream(job.agent, spec, false, BudgetUntil(job.deadline));
  // The id is ours alone: whoever has it already has it from an earlier attempt.
  return absl::IsAlreadyExists(status) ? Ok("was there") : OutcomeOf(status);
}

EffectOutcome AgentEffects::AwaitReplicas(const Job& job) {
  const auto position = agents_.ReadPosition(job.agent, BudgetUntil(job.deadline));
  if (!position.ok()) {
    return OutcomeOf(position.status());
  }
  std::vector<std::string> waited;
  for (const topology::TabletInfo& tablet :
       topology_.TabletsOf(job.side->keyspace, job.side->shard)) {
    const bool wanted = (tablet.type == routing::TabletType::kReplica && job.plan.move_replica) ||
                        (tablet.type == routing::TabletType::kRdonly && job.plan.move_rdonly);
    if (!wanted || !tablet.serving) {
      continue;
    }
    CallBudget budget;
    budget.timeout = std::max(job.deadline - absl::Now(), kCallMin);
    const absl::Status status =
        agents_.AwaitPosition(workflow::AgentRef::Tablet(tablet.alias), *position, budget);
    if (!status.ok()) {
      return OutcomeOf(status);
    }
    waited.push_back(tablet.alias);
  }
  return Ok(absl::StrJoin(waited, ","));
}

// It names every shard, so it is made once. Nothing is journaled before the commit, and none of it
// changes after that.
std::string AgentEffects::JournalOf(const State& state) {
  const absl::MutexLock lock(&mutex_);
  if (journal_of_ != state.plan.id) {
    journal_ = JournalRecord(state);
    journal_of_ = state.plan.id;
  }
  return journal_;
}

EffectOutcome AgentEffects::Journal(const Job& job) {
  return OutcomeOf(agents_.WriteJournal(job.agent,
                                        {.cutover_id = job.plan.id,
                                         .workflow = job.plan.workflow,
                                         .record = JournalOf(job.state),
                                         .guard_database = job.side->database},
                                        BudgetUntil(job.deadline)));
}

}  // namespace sluice::cutover
