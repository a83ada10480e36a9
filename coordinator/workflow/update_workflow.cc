// UpdateWorkflow: the record first, then its streams.

#include "coordinator/workflow/update_workflow.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/tuning/tuning.h"
#include "coordinator/workflow/create_checks.h"
#include "coordinator/workflow/views.h"

namespace sluice::workflow {
namespace {

constexpr absl::Duration kStreamMax = absl::Seconds(20);

absl::Status CheckServes(const WorkflowRecord& record) {
  if (record.phase == WorkflowPhase::kActive) {
    return absl::OkStatus();
  }
  const std::string key = WorkflowKey(record);
  return WithSubject(
      absl::FailedPreconditionError(absl::StrCat(
          "workflow ", key, " is ", WorkflowPhaseName(record.phase),
          record.phase == WorkflowPhase::kFrozen ? ": its reverse is at work, update that" : "")),
      key);
}

absl::Status Apply(const UpdateArgs& args, WorkflowRecord& record) {
  WorkflowOptions& options = record.options;
  options.source_types = args.source_types.value_or(options.source_types);
  options.stream.cells = args.cells.value_or(options.stream.cells);
  options.stream.on_ddl = args.on_ddl.value_or(options.stream.on_ddl);
  record.throttled = args.throttled.value_or(record.throttled);
  SLUICE_ASSIGN_OR_RETURN(options.stream.tuning,
                          stream::MergeTuning(options.stream.tuning, args.tuning));
  return CheckStreamOptions(options.stream);
}

}  // namespace

absl::StatusOr<std::string> UpdateWorkflow(const Services& services, const UpdateArgs& args,
                                           absl::Time deadline) {
  if (args.empty()) {
    return absl::InvalidArgumentError("no configuration options specified to update");
  }
  SLUICE_RETURN_IF_ERROR(services.topology.FindKeyspace(args.keyspace).status());
  SLUICE_ASSIGN_OR_RETURN(const WorkflowRecord found,
                          store::GetWorkflow(services.store, args.keyspace, args.name));
  SLUICE_ASSIGN_OR_RETURN(const OperationLocks::Guard guard,
                          services.locks.TryLock(OperationKey(found), "update"));
  // Read again: before the lock another command may have changed it.
  SLUICE_ASSIGN_OR_RETURN(WorkflowRecord record,
                          store::GetWorkflow(services.store, args.keyspace, args.name));
  SLUICE_RETURN_IF_ERROR(CheckServes(record));
  SLUICE_RETURN_IF_ERROR(Apply(args, record));
  record.update_pending = true;
  SLUICE_RETURN_IF_ERROR(services.store.Transaction(
      [&](store::StoreTransaction& transaction) { return transaction.PutWorkflow(record); }));
  SLUICE_CRASH_POINT("update_recorded");
  SLUICE_LOG(kInfo, "workflow is being updated", {{"workflow", WorkflowKey(record)}});
  absl::StatusOr<std::string> answer = SendUpdate(services, record, deadline);
  if (!answer.ok()) {
    return Annotate(answer.status(),
                    "the options are recorded, and the streams get them as soon as possible");
  }
  return answer;
}

absl::StatusOr<std::string> SendUpdate(const Services& services, WorkflowRecord& record,
                                       absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch,
                          store::NextId(services.store, kCommandEpochCounter));
  absl::Status status;
  std::vector<std::string> tablets;
  for (const StreamRecord& stream : record.streams) {
    CallBudget budget;
    budget.timeout = std::clamp(deadline - absl::Now(), absl::Milliseconds(1), kStreamMax);
    const absl::StatusOr<topology::StreamInfo> updated =
        services.agents.UpdateStream(AgentRef::Primary(record.target_keyspace, stream.target_shard),
                                     {.stream_id = stream.id,
                                      .source_types = record.options.source_types,
                                      .options = record.options.stream,
                                      .throttled = record.throttled,
                                      .epoch = epoch},
                                     budget);
    status.Update(updated.status());
    const auto primary = services.topology.PrimaryOf(record.target_keyspace, stream.target_shard);
    tablets.push_back(primary.ok() ? primary->alias : stream.target_shard);
  }
  SLUICE_RETURN_IF_ERROR(status);
  SLUICE_CRASH_POINT("update_sent");
  record.update_pending = false;
  SLUICE_RETURN_IF_ERROR(services.store.Transaction(
      [&](store::StoreTransaction& transaction) { return transaction.PutWorkflow(record); }));
  return UpdateDocument(record, tablets);
}

}  // namespace sluice::workflow
