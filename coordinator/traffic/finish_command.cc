// Checks, the decision, and waiting for the end.

#include "coordinator/traffic/finish_command.h"

#include <algorithm>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/crash_point.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/gtid/gtid_set.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/traffic/checks.h"
#include "coordinator/traffic/switch_command.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::traffic {
namespace {

using workflow::GateState;
using workflow::WorkflowRecord;

// How long tables that are kept may wait for the last writes of the other side.
constexpr absl::Duration kDrainWait = absl::Seconds(30);

std::string CommandName(FinishKind kind) {
  switch (kind) {
    case FinishKind::kComplete:
      return "Complete";
    case FinishKind::kCancel:
      return "Cancel";
    case FinishKind::kDelete:
      return "Delete";
  }
  return "Complete";
}

// Kept tables stand under names that clients know, and are fed by nobody any more.
std::string WarningOf(const admin::FinishArgs& args, FinishKind kind,
                      const WorkflowRecord& original) {
  if (kind != FinishKind::kComplete || !args.keep_data || args.keep_routing_rules) {
    return "";
  }
  return absl::StrCat("the tables of keyspace ", original.source_keyspace,
                      " are kept under their names and take writes again: once its routing rules "
                      "are gone, whoever names that keyspace, or has it as his database, reads and "
                      "writes them, and no longer those of ",
                      original.target_keyspace, "; --rename-tables keeps the rows out of reach");
}

}  // namespace

cutover::StoredTeardown TeardownOf(const admin::FinishArgs& args, FinishKind kind) {
  return {.kind = kind == FinishKind::kComplete ? cutover::TeardownKind::kComplete
                                                : cutover::TeardownKind::kCancel,
          .keep_data = args.keep_data,
          .keep_routing_rules = args.keep_routing_rules,
          .rename_tables = args.rename_tables,
          .epoch = 0};
}

CommandReply EndOf(FinishKind kind, absl::string_view workflow) {
  CommandReply reply;
  reply.summary = absl::StrCat(CommandName(kind), " was successful for workflow ", workflow);
  reply.current_state = "Workflow Not Found";
  return reply;
}

absl::Status FinishCommand::Refused(absl::string_view reason) const {
  const std::string key = workflow::WorkflowKey(args_.workflow.keyspace, args_.workflow.name);
  return WithSubject(
      absl::FailedPreconditionError(absl::StrCat("cannot ",
                                                 kind_ == FinishKind::kComplete ? "complete"
                                                 : kind_ == FinishKind::kCancel ? "cancel"
                                                                                : "delete",
                                                 " workflow ", key, ": ", reason)),
      key);
}

absl::StatusOr<std::string> FinishCommand::Run(absl::Time deadline) {
  if (args_.keep_data && args_.rename_tables) {
    return absl::InvalidArgumentError(
        "--keep-data and --rename-tables exclude each other: the one leaves the tables under their "
        "names, the other makes them _<table>_old");
  }
  SLUICE_ASSIGN_OR_RETURN(const Resolved found, Resolve(parts_.store, args_.workflow));
  if (found.by_reverse_name) {
    return Refused(
        absl::StrCat("it is the reverse of ", found.key(),
                     "; its tables are those of the side that was moved from. Complete or "
                     "cancel ",
                     found.key(), " instead"));
  }
  SLUICE_ASSIGN_OR_RETURN(
      exclusion_,
      Exclude(parts_.locks, found.key(), kind_ == FinishKind::kComplete ? "complete" : "cancel"));
  SLUICE_RETURN_IF_ERROR(parts_.store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(records_, cutover::ReadRecords(reader, found.key()));
    return absl::OkStatus();
  }));
  SLUICE_RETURN_IF_ERROR(CheckPhase(records_.original));
  SLUICE_RETURN_IF_ERROR(kind_ == FinishKind::kComplete ? CheckComplete() : CheckCancel());
  SLUICE_RETURN_IF_ERROR(CheckEnds());
  if (args_.dry_run) {
    return DryRun();
  }
  CommandReply reply = EndOf(kind_, found.key());
  reply.warning = WarningOf(args_, kind_, records_.original);
  reply.start_state = parts_.rules.TrafficState(records_.original);
  const Direction direction = DirectionOf(records_, false);
  SLUICE_ASSIGN_OR_RETURN(
      const std::vector<ShardFacts> dropped,
      FactsOf(parts_, kind_ == FinishKind::kComplete ? direction.from : direction.to, false));
  if (kind_ != FinishKind::kComplete) {
    SLUICE_RETURN_IF_ERROR(MoveReadsBack(parts_, runner_, records_, exclusion_, deadline));
  } else if (args_.keep_data || args_.rename_tables) {
    const std::string behind = DrainReverse(std::min(deadline, absl::Now() + kDrainWait));
    absl::StrAppend(&reply.warning, reply.warning.empty() || behind.empty() ? "" : ". ", behind);
  }
  SLUICE_RETURN_IF_ERROR(Decide());
  const std::shared_ptr<Teardown> teardown =
      adopt_(records_, teardown_, std::exchange(exclusion_, nullptr));
  SLUICE_RETURN_IF_ERROR(teardown->Await(deadline));
  for (const ShardFacts& shard : dropped) {
    reply.details.push_back({.tablet = shard.tablet, .deleted = true});
  }
  return ToJson(reply);
}

absl::Status FinishCommand::CheckComplete() const {
  const WorkflowRecord& original = records_.original;
  const TrafficTypes there = MovedTo(records_, false);
  if (!there.replica || !there.rdonly || !there.writes) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat(
            "cannot complete workflow because you have not yet switched all read and write traffic "
            "(workflow ",
            workflow::WorkflowKey(original), ": ", parts_.rules.TrafficState(original), ")")),
        workflow::WorkflowKey(original));
  }
  if (workflow::IsPartial(original)) {
    SLUICE_RETURN_IF_ERROR(CheckOtherShards());
  }
  const Direction direction = DirectionOf(records_, false);
  absl::Status gates =
      RequireGates(parts_, original, direction.to, {GateState::kOpen}, "the side that serves");
  if (gates.ok()) {
    gates = RequireClosed(parts_, original, direction.from, "the side that is to be dropped");
  }
  return gates.ok() ? gates : Refused(gates.message());
}

// The way back is given up only when the keyspace as a whole has moved.
absl::Status FinishCommand::CheckOtherShards() const {
  const WorkflowRecord& original = records_.original;
  SLUICE_ASSIGN_OR_RETURN(const store::KeyspaceRecord keyspace,
                          parts_.topology.FindKeyspace(original.source_keyspace));
  const std::vector<std::string> behind =
      workflow::ShardsElsewhere(original, keyspace.shards, parts_.rules.ShardRules());
  return behind.empty()
             ? absl::OkStatus()
             : Refused(absl::StrCat("shard(s) ", absl::StrJoin(behind, ", "), " of keyspace ",
                                    keyspace.name, " are still served by it; move them to ",
                                    original.target_keyspace,
                                    " too (movetables create --source-shards, switchtraffic)"));
}

absl::Status FinishCommand::CheckCancel() const {
  const WorkflowRecord& original = records_.original;
  if (original.writes_switched) {
    return Refused("writes are already switched; use reversetraffic first");
  }
  const Direction direction = DirectionOf(records_, false);
  absl::Status gates =
      RequireGates(parts_, original, direction.from, {GateState::kOpen}, "the side that serves");
  if (gates.ok()) {
    // Absent: nothing was prepared, or somebody dropped it by hand.
    gates = RequireGates(parts_, original, direction.to,
                         {GateState::kClosed, GateState::kReadable, GateState::kAbsent},
                         "the side that is to be dropped");
  }
  if (gates.ok() && args_.keep_data) {
    gates = CheckKeys();
  }
  return gates.ok() ? gates : Refused(gates.message());
}

// What an agent would refuse once the decision is stored would leave the workflow half ended.
absl::Status FinishCommand::CheckEnds() const {
  const Direction direction = DirectionOf(records_, false);
  const bool complete = kind_ == FinishKind::kComplete;
  absl::Status ends =
      RequireEnds(parts_, records_.original, complete ? direction.from : direction.to,
                  ModeOf(TeardownOf(args_, kind_)));
  if (ends.ok()) {
    ends = RequireEnds(parts_, records_.original, complete ? direction.to : direction.from,
                       workflow::DropMode::kKeep);
  }
  return ends.ok() ? ends : Refused(ends.message());
}

// Tables that are kept must be whole: who deletes a stream forgets what it owes them.
absl::Status FinishCommand::CheckKeys() const {
  const WorkflowRecord& original = records_.original;
  for (const cutover::Side& side : DirectionOf(records_, false).to) {
    SLUICE_ASSIGN_OR_RETURN(
        const std::vector<topology::StreamInfo> streams,
        parts_.agents.ListStreams(workflow::AgentRef::Primary(side.keyspace, side.shard),
                                  workflow::WorkflowKey(original), {}));
    for (const topology::StreamInfo& stream : streams) {
      for (const topology::CopyProgress& copy : stream.copy) {
        if (!copy.keys_owed.empty()) {
          return absl::FailedPreconditionError(absl::StrCat(
              "table ", copy.table, " lacks its keys ", absl::StrJoin(copy.keys_owed, ", "),
              " until the copy is done; wait for that, or cancel without --keep-data"));
        }
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> FinishCommand::DryRun() {
  const Direction direction = DirectionOf(records_, false);
  SLUICE_ASSIGN_OR_RETURN(std::vector<ShardFacts> from, FactsOf(parts_, direction.from, false));
  SLUICE_ASSIGN_OR_RETURN(std::vector<ShardFacts> to, FactsOf(parts_, direction.to, false));
  const bool complete = kind_ == FinishKind::kComplete;
  const TrafficTypes there = SomeMovedTo(records_, false);
  FinishPreview preview = {.records = records_,
                           .dropping = complete ? from : to,
                           .forward = to,
                           .backward = records_.reverse ? from : std::vector<ShardFacts>(),
                           .reads_back = complete ? TrafficTypes()
                                                  : TrafficTypes{.replica = there.replica,
                                                                 .rdonly = there.rdonly,
                                                                 .writes = false},
                           .keep_data = args_.keep_data,
                           .keep_routing_rules = args_.keep_routing_rules,
                           .rename_tables = args_.rename_tables,
                           .rules_are_shared = false};
  if (workflow::IsPartial(records_.original)) {
    SLUICE_ASSIGN_OR_RETURN(preview.rules_are_shared, RulesAreShared());
  }
  CommandReply reply;
  const std::string key = workflow::WorkflowKey(records_.original);
  reply.summary = DryRunSummary(CommandName(kind_), key, absl::Now());
  reply.start_state = parts_.rules.TrafficState(records_.original);
  reply.current_state = reply.start_state;
  reply.warning = WarningOf(args_, kind_, records_.original);
  reply.dry_run_results = FinishLines(preview);
  return ToJson(reply);
}

// Whether the rules between the two keyspaces stay behind a partial workflow.
absl::StatusOr<bool> FinishCommand::RulesAreShared() const {
  const WorkflowRecord& original = records_.original;
  SLUICE_ASSIGN_OR_RETURN(const store::KeyspaceRecord keyspace,
                          parts_.topology.FindKeyspace(original.source_keyspace));
  SLUICE_ASSIGN_OR_RETURN(std::vector<WorkflowRecord> others, store::ListWorkflows(parts_.store));
  std::erase_if(others, [&](const WorkflowRecord& other) {
    return workflow::OperationKey(other) == workflow::WorkflowKey(original);
  });
  return !workflow::ShardMoveIsOver(original, others, keyspace.shards, parts_.rules.ShardRules());
}

// Tables that are kept should hold all that the other side was told. What keeps a stream from that
// is no reason to keep the workflow, but one to know of.
absl::Status FinishCommand::Drain(const workflow::StreamRecord& stream, absl::Time deadline) const {
  const auto running = parts_.topology.FindStream(stream.id);
  if (!running) {
    return absl::NotFoundError("no agent reports it");
  }
  if (running->state != topology::StreamState::kRunning) {
    return absl::FailedPreconditionError(
        absl::StrCat("it is ", topology::StreamStateName(running->state)));
  }
  SLUICE_ASSIGN_OR_RETURN(
      const std::string position,
      parts_.agents.ReadPosition(
          workflow::AgentRef::Primary(records_.reverse->source_keyspace, stream.source_shard), {}));
  SLUICE_ASSIGN_OR_RETURN(const gtid::GtidSet wanted, gtid::GtidSet::Parse(position));
  return parts_.topology
      .AwaitStream(
          stream.id,
          [&](const topology::StreamInfo& info) {
            const auto applied = gtid::GtidSet::Parse(info.position);
            return applied.ok() && applied->Contains(wanted);
          },
          deadline)
      .status();
}

std::string FinishCommand::DrainReverse(absl::Time deadline) const {
  std::vector<std::string> behind;
  for (const workflow::StreamRecord& stream :
       records_.reverse ? records_.reverse->streams : std::vector<workflow::StreamRecord>()) {
    const absl::Status drained = Drain(stream, deadline);
    if (!drained.ok()) {
      behind.push_back(absl::StrCat(records_.original.source_keyspace, "/", stream.target_shard,
                                    " (stream ", stream.id, ": ", drained.message(), ")"));
    }
  }
  return behind.empty() ? ""
                        : absl::StrCat(
                              "the kept tables may lack the last writes of the other "
                              "side in ",
                              absl::StrJoin(behind, ", "));
}

absl::Status FinishCommand::Decide() {
  // Reads may have moved back since.
  const std::string key = workflow::WorkflowKey(records_.original);
  SLUICE_RETURN_IF_ERROR(parts_.store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(records_, cutover::ReadRecords(reader, key));
    return absl::OkStatus();
  }));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch,
                          store::NextId(parts_.store, workflow::kCommandEpochCounter));
  teardown_ = TeardownOf(args_, kind_);
  teardown_.epoch = epoch;
  SLUICE_CRASH_POINT(kind_ == FinishKind::kComplete ? "complete.begin" : "cancel.begin");
  return DecideTeardown(parts_.store, records_, teardown_);
}

}  // namespace sluice::traffic
