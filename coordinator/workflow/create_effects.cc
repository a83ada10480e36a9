// The effects of a MoveTables create, forward and back.

#include "coordinator/workflow/create_effects.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/base/status_macros.h"
#include "coordinator/workflow/create_checks.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::workflow {
namespace {

constexpr absl::Duration kPrepareMax = absl::Minutes(10);  // thousands of CREATE TABLEs
constexpr absl::Duration kStreamMax = absl::Seconds(20);
constexpr absl::Duration kDropMax = absl::Minutes(10);

CallBudget Budget(absl::Time deadline, absl::Duration most) {
  CallBudget budget;
  budget.timeout = std::clamp(deadline - absl::Now(), absl::Milliseconds(1), most);
  return budget;
}

AgentRef TargetOf(const WorkflowRecord& record, const StreamRecord& stream) {
  return AgentRef::Primary(record.target_keyspace, stream.target_shard);
}

StreamSpec SpecOf(const WorkflowRecord& record, const StreamRecord& stream) {
  StreamSpec spec;
  spec.id = stream.id;
  spec.workflow = WorkflowKey(record);
  spec.source_keyspace = record.source_keyspace;
  spec.source_shard = stream.source_shard;
  spec.source_database = stream.source_database;
  spec.target_keyspace = record.target_keyspace;
  spec.target_shard = stream.target_shard;
  spec.target_database = stream.target_database;
  spec.tables = record.tables;
  spec.source_types = record.options.source_types;
  spec.stop_after_copy = record.options.stop_after_copy;
  spec.workflow_type = record.type;
  spec.throttled = record.throttled;
  spec.options = record.options.stream;
  return spec;
}

absl::Status UnlessNotFound(absl::Status status) {
  return absl::IsNotFound(status) ? absl::OkStatus() : std::move(status);
}

}  // namespace

absl::Status RecordCreating(const Services& services, WorkflowRecord& record) {
  WorkflowRecord written;
  const absl::Status status =
      services.store.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
        written = record;
        SLUICE_ASSIGN_OR_RETURN(const std::vector<WorkflowRecord> others,
                                transaction.ListWorkflows());
        SLUICE_RETURN_IF_ERROR(CheckOtherWorkflows(written, others));
        written.phase = WorkflowPhase::kCreating;
        for (StreamRecord& stream : written.streams) {
          SLUICE_ASSIGN_OR_RETURN(stream.id, transaction.NextId(kStreamIdCounter));
        }
        return transaction.PutWorkflow(written);
      });
  SLUICE_RETURN_IF_ERROR(status);
  record = std::move(written);
  SLUICE_CRASH_POINT("create_recorded");
  return absl::OkStatus();
}

absl::Status CreateForward(const Services& services, WorkflowRecord& record,
                           const TablesByStream& tables, size_t at_once, absl::Time deadline) {
  const size_t count = record.streams.size();
  absl::Status status = ForEachAtOnce(count, at_once, [&](size_t i) -> absl::Status {
    const StreamRecord& stream = record.streams[i];
    SLUICE_RETURN_IF_ERROR(services.agents.PrepareTarget(
        TargetOf(record, stream), WorkflowKey(record), stream.target_database, tables[i],
        Budget(deadline, kPrepareMax)));
    SLUICE_CRASH_POINT("create_prepared");
    return absl::OkStatus();
  });
  SLUICE_RETURN_IF_ERROR(status);
  status = ForEachAtOnce(count, at_once, [&](size_t i) -> absl::Status {
    const StreamRecord& stream = record.streams[i];
    SLUICE_RETURN_IF_ERROR(services.agents.CreateStream(TargetOf(record, stream),
                                                        SpecOf(record, stream), /*start=*/false,
                                                        Budget(deadline, kStreamMax)));
    SLUICE_CRASH_POINT("create_stream_created");
    return absl::OkStatus();
  });
  SLUICE_RETURN_IF_ERROR(status);
  WorkflowRecord active = record;
  active.phase = WorkflowPhase::kActive;
  active.start_pending = record.options.auto_start;
  active.message.clear();
  SLUICE_ASSIGN_OR_RETURN(const store::KeyspaceRecord keyspace,
                          services.topology.FindKeyspace(record.source_keyspace));
  const absl::StatusOr<uint64_t> epoch = services.rules.Change(
      [&](store::StoreTransaction& transaction, store::RuleState& rules) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(CheckExistingRules(active, rules));
        RouteMove(active, rules);
        if (IsPartial(active)) {
          rules.shard_rules = routing::WithDefaults(std::move(rules.shard_rules),
                                                    ShardMoveOf(active), keyspace.shards);
        }
        return transaction.PutWorkflow(active);
      });
  SLUICE_RETURN_IF_ERROR(epoch.status());
  record = std::move(active);
  SLUICE_CRASH_POINT("create_active");
  return absl::OkStatus();
}

absl::Status DecideToUndo(const Services& services, WorkflowRecord& record,
                          const absl::Status& why) {
  record.undoing = true;
  record.message = absl::StrCat("create is being undone: ", why.message());
  return services.store.Transaction(
      [&](store::StoreTransaction& transaction) { return transaction.PutWorkflow(record); });
}

absl::Status UndoCreate(const Services& services, const WorkflowRecord& record,
                        absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch,
                          store::NextId(services.store, kCommandEpochCounter));
  SLUICE_RETURN_IF_ERROR(
      ForEachAtOnce(record.streams.size(), kShardsAtOnce, [&](size_t i) -> absl::Status {
        const StreamRecord& stream = record.streams[i];
        return UnlessNotFound(services.agents
                                  .ControlStream(TargetOf(record, stream), stream.id,
                                                 StreamAction::kDelete, epoch,
                                                 Budget(deadline, kStreamMax))
                                  .status());
      }));
  SLUICE_CRASH_POINT("create_undo_streams");
  SLUICE_RETURN_IF_ERROR(
      ForEachAtOnce(record.streams.size(), kShardsAtOnce, [&](size_t i) -> absl::Status {
        const StreamRecord& stream = record.streams[i];
        DropRequest request;
        request.workflow = WorkflowKey(record);
        request.database = stream.target_database;
        request.tables = record.tables;
        request.mode = DropMode::kDrop;
        request.epoch = epoch;
        return UnlessNotFound(
            services.agents
                .DropTables(TargetOf(record, stream), request, Budget(deadline, kDropMax))
                .status());
      }));
  SLUICE_CRASH_POINT("create_undo_tables");
  // The rules were never written: they and phase active are one commit.
  return services.store.Transaction([&](store::StoreTransaction& transaction) {
    return transaction.DeleteWorkflow(record.keyspace, record.name);
  });
}

absl::Status StartPending(const Services& services, WorkflowRecord& record, absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch,
                          store::NextId(services.store, kCommandEpochCounter));
  SLUICE_RETURN_IF_ERROR(ForEachAtOnce(record.streams.size(), kShardsAtOnce, [&](size_t i) {
    const StreamRecord& stream = record.streams[i];
    return services.agents
        .ControlStream(TargetOf(record, stream), stream.id, StreamAction::kStart, epoch,
                       Budget(deadline, kStreamMax))
        .status();
  }));
  record.start_pending = false;
  return services.store.Transaction(
      [&](store::StoreTransaction& transaction) { return transaction.PutWorkflow(record); });
}

}  // namespace sluice::workflow
