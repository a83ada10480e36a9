// Carrying a repair out.

#include "coordinator/traffic/repair_command.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/traffic/checks.h"
#include "coordinator/traffic/diagnosis.h"
#include "coordinator/traffic/diagnosis_json.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::traffic {
namespace {

using workflow::GateState;
using workflow::StreamAction;

constexpr char kCommand[] = "repair";
// A command that was carried on may leave something to repair, once.
constexpr int kRoundsMax = 3;
constexpr absl::Duration kCallMax = absl::Seconds(10);
constexpr absl::Duration kCallMin = absl::Milliseconds(10);
constexpr absl::Duration kProxiesWait = absl::Seconds(2);
constexpr uint32_t kLockWaitMs = 1'000;
// Each waits for locks as long as that.
constexpr int kGateTries = 5;

workflow::CallBudget BudgetUntil(absl::Time deadline) {
  workflow::CallBudget budget;
  budget.timeout = std::clamp(deadline - absl::Now(), kCallMin, kCallMax);
  return budget;
}

workflow::AgentRef AgentOf(const cutover::Side& side) {
  return workflow::AgentRef::Primary(side.keyspace, side.shard);
}

const cutover::Side& SideOf(const Observation& seen, const Repair& repair) {
  return (repair.serving ? seen.serving() : seen.other()).at(repair.side).side;
}

std::vector<cutover::Side> SidesOf(const std::vector<SideReading>& readings) {
  std::vector<cutover::Side> sides;
  sides.reserve(readings.size());
  for (const SideReading& reading : readings) {
    sides.push_back(reading.side);
  }
  return sides;
}

// The living record, of which the missing stream is one.
workflow::WorkflowRecord* LivingRecord(cutover::Records& records) {
  if (!records.original.writes_switched) {
    return &records.original;
  }
  return records.reverse ? &*records.reverse : nullptr;
}

}  // namespace

absl::StatusOr<std::string> RepairCommand::Run(const admin::WorkflowRef& workflow,
                                               absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const Resolved found, Resolve(parts_.store, workflow));
  key_ = found.key();
  report_.workflow = key_;
  SLUICE_ASSIGN_OR_RETURN(exclusion_, Exclude(parts_.locks, key_, kCommand));
  SLUICE_ASSIGN_OR_RETURN(epoch_, store::NextId(parts_.store, workflow::kCommandEpochCounter));
  bool more = true;
  for (int round = 0; more && round < kRoundsMax; ++round) {
    SLUICE_ASSIGN_OR_RETURN(more, Round(deadline));
  }
  std::vector<Finding> findings;
  if (!report_.gone) {
    SLUICE_ASSIGN_OR_RETURN(const Observation after,
                            Observe(parts_, runner_, key_, kCommand, deadline));
    findings = Diagnose(after);
  }
  return RepairJson(report_, findings);
}

absl::StatusOr<bool> RepairCommand::Round(absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const Observation seen,
                          Observe(parts_, runner_, key_, kCommand, deadline));
  RepairPlan plan = PlanRepair(seen);
  report_.refusal = std::move(plan.refusal);
  report_.remains = std::move(plan.remains);
  bool more = false;
  for (const Repair& repair : plan.repairs) {
    RepairReport::Line line = {
        .what = repair.text, .irreversible = repair.irreversible, .result = "left out"};
    if (repair.irreversible && !yes_) {
      report_.left_out = true;
      report_.lines.push_back(std::move(line));
      continue;
    }
    const absl::Status status = Do(seen, repair, deadline);
    SLUICE_LOG(kInfo, "repair", {{"workflow", key_}, {"step", repair.text}, {"outcome", status}});
    line.result = status.ok() ? "done" : std::string(status.message());
    report_.lines.push_back(std::move(line));
    if (!status.ok()) {
      report_.failed = true;
      return false;
    }
    more = repair.kind == RepairKind::kResumeCommand || repair.kind == RepairKind::kForgetCommand;
  }
  return more && !report_.gone && runner_.Find(key_) == nullptr;
}

absl::Status RepairCommand::Do(const Observation& seen, const Repair& repair, absl::Time deadline) {
  if (repair.kind == RepairKind::kResumeCommand) {
    return ResumeCommand(seen, deadline);
  }
  if (repair.kind == RepairKind::kForgetCommand) {
    return ForgetCommand();
  }
  if (repair.kind == RepairKind::kRouteRules) {
    return RouteRules(seen);
  }
  const workflow::AgentRef agent = AgentOf(SideOf(seen, repair));
  switch (repair.kind) {
    case RepairKind::kWriteJournal:
      return parts_.agents.WriteJournal(agent,
                                        {.cutover_id = repair.cutover,
                                         .workflow = key_,
                                         .record = repair.record,
                                         .guard_database = {}},
                                        BudgetUntil(deadline));
    case RepairKind::kFreezeStream:
      return ControlStream(agent, repair, StreamAction::kFreeze, deadline);
    case RepairKind::kDeleteStream: {
      const absl::Status deleted = ControlStream(agent, repair, StreamAction::kDelete, deadline);
      return absl::IsNotFound(deleted) ? absl::OkStatus() : deleted;
    }
    case RepairKind::kThawStream:
      SLUICE_RETURN_IF_ERROR(ControlStream(agent, repair, StreamAction::kUnfreeze, deadline));
      return ControlStream(agent, repair, StreamAction::kStart, deadline);
    case RepairKind::kSetGate:
      return SetGate(seen, repair, deadline);
    case RepairKind::kPlaceStream:
      return parts_.agents.PlaceStream(agent, repair.stream, repair.position, StreamAction::kStart,
                                       epoch_, BudgetUntil(deadline));
    case RepairKind::kRecreateStream:
      return RecreateStream(seen, repair, deadline);
    default:
      return absl::InternalError("a repair that nobody knows");
  }
}

// Whoever runs it shares the exclusion, and keeps it when this command ends first.
absl::Status RepairCommand::ResumeCommand(const Observation& seen, absl::Time deadline) {
  if (const cutover::StoredCutover* stored = StoredCutoverOf(seen); stored != nullptr) {
    const std::shared_ptr<cutover::Run> run = runner_.Resume(*stored, exclusion_);
    return run->AwaitHeld(deadline).status();
  }
  const auto& teardown = std::get<cutover::StoredTeardown>(*seen.operation);
  const std::shared_ptr<Teardown> run = adopt_(seen.records, teardown, exclusion_);
  SLUICE_RETURN_IF_ERROR(run->Await(deadline));
  report_.gone = true;
  return absl::OkStatus();
}

absl::Status RepairCommand::ForgetCommand() {
  return parts_.store.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(std::vector<store::CutoverAttempt> attempts,
                            transaction.ListCutoverHeads(key_));
    for (store::CutoverAttempt& attempt : attempts) {
      if (attempt.result.empty()) {
        attempt.result = "forgotten by a repair";
        attempt.finished_us = absl::ToUnixMicros(absl::Now());
        SLUICE_RETURN_IF_ERROR(transaction.PutCutoverAttempt(attempt));
      }
    }
    return transaction.DeleteCutoverState(key_);
  });
}

absl::Status RepairCommand::SetGate(const Observation& seen, const Repair& repair,
                                    absl::Time deadline) {
  if (repair.gate == GateState::kOpen) {
    // Once more, at the last moment: never two open sides.
    SLUICE_RETURN_IF_ERROR(RequireGates(parts_, seen.records.original, SidesOf(seen.other()),
                                        {GateState::kClosed, GateState::kReadable},
                                        "the side that does not serve"));
  }
  const cutover::Side& side = SideOf(seen, repair);
  workflow::GateChange change;
  change.workflow = key_;
  change.database = side.database;
  change.tables = seen.records.original.tables;
  change.state = repair.gate;
  change.epoch = epoch_;
  change.lock_wait_ms = kLockWaitMs;
  absl::Status status;
  for (int i = 0; i < kGateTries; ++i) {
    status = parts_.agents.SetGate(AgentOf(side), change, BudgetUntil(deadline)).status();
    if (!absl::IsAborted(status) || absl::Now() >= deadline) {
      break;
    }
  }
  return status;
}

absl::Status RepairCommand::ControlStream(const workflow::AgentRef& agent, const Repair& repair,
                                          StreamAction action, absl::Time deadline) {
  return parts_.agents.ControlStream(agent, repair.stream, action, epoch_, BudgetUntil(deadline))
      .status();
}

// Under another id, which is in the record before the stream is made: an agent takes none again
// that it has deleted.
absl::Status RepairCommand::RecreateStream(const Observation& seen, const Repair& repair,
                                           absl::Time deadline) {
  workflow::StreamSpec spec;
  const auto renumber = [&](store::StoreTransaction& transaction) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(cutover::Records records, cutover::ReadRecords(transaction, key_));
    workflow::WorkflowRecord* living = LivingRecord(records);
    if (living == nullptr) {
      return absl::AbortedError("the workflow has changed meanwhile");
    }
    SLUICE_ASSIGN_OR_RETURN(const uint64_t id, transaction.NextId(workflow::kStreamIdCounter));
    for (workflow::StreamRecord& stream : living->streams) {
      if (stream.id != repair.stream) {
        continue;
      }
      stream.id = id;
      spec.id = id;
      spec.workflow = workflow::WorkflowKey(*living);
      spec.source_keyspace = living->source_keyspace;
      spec.source_shard = stream.source_shard;
      spec.source_database = stream.source_database;
      spec.target_keyspace = living->target_keyspace;
      spec.target_shard = stream.target_shard;
      spec.target_database = stream.target_database;
      spec.tables = living->tables;
      spec.source_types = living->options.source_types;
      spec.options = living->options.stream;
    }
    return transaction.PutWorkflow(*living);
  };
  SLUICE_RETURN_IF_ERROR(parts_.store.Transaction(renumber));
  if (spec.id == 0) {
    return absl::AbortedError("the workflow has changed meanwhile");
  }
  spec.start_position = repair.position;
  return parts_.agents.CreateStream(AgentOf(SideOf(seen, repair)), spec, true,
                                    BudgetUntil(deadline));
}

absl::Status RepairCommand::RouteRules(const Observation& seen) {
  const std::vector<std::string> holds = HoldsLeftOver(seen);
  const absl::StatusOr<uint64_t> epoch = parts_.rules.Change(
      [&](store::StoreTransaction& transaction, store::RuleState& rules) -> absl::Status {
        SLUICE_ASSIGN_OR_RETURN(const cutover::Records records,
                                cutover::ReadRecords(transaction, key_));
        workflow::RouteMove(records.original, rules);
        std::erase_if(rules.holds, [&](const store::Hold& hold) {
          return std::find(holds.begin(), holds.end(), hold.cutover_id) != holds.end();
        });
        return absl::OkStatus();
      });
  SLUICE_RETURN_IF_ERROR(epoch.status());
  // Those that are late are among the findings.
  parts_.rules.AwaitProxies(*epoch, rules::ProxyProgress::kObeyed, absl::Now() + kProxiesWait);
  return absl::OkStatus();
}

}  // namespace sluice::traffic
