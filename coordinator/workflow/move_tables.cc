// MoveTables: the create command and its recovery.

#include "coordinator/workflow/move_tables.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/workflow/create_checks.h"
#include "coordinator/workflow/create_effects.h"
#include "coordinator/workflow/views.h"

namespace sluice::workflow {
namespace {

constexpr absl::Duration kUndoWithin = absl::Seconds(30);
constexpr absl::Duration kRecoverWithin = absl::Seconds(60);

bool IsUnfinished(const WorkflowRecord& record) {
  return record.phase == WorkflowPhase::kCreating ||
         (record.phase == WorkflowPhase::kActive &&
          (record.start_pending || record.update_pending));
}

bool MayPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsAborted(status);
}

}  // namespace

MoveTables::MoveTables(const Services& services, MoveTablesOptions options)
    : services_(services), options_(options) {}

MoveTables::~MoveTables() {
  Close();
}

void MoveTables::Start() {
  thread_ = std::jthread([this] { RecoverLoop(); });
}

void MoveTables::Close() {
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  if (thread_.joinable()) {
    thread_.join();
  }
}

void MoveTables::Poke() {
  const absl::MutexLock lock(&mutex_);
  work_ = true;
}

absl::StatusOr<std::string> MoveTables::Create(const CreateArgs& args, absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const OperationLocks::Guard guard,
                          services_.locks.TryLock(WorkflowKey(args.keyspace, args.name), "create"));
  SLUICE_ASSIGN_OR_RETURN(CreatePlan plan, PlanCreate(services_, args, deadline));
  WorkflowRecord& record = plan.record;
  if (args.dry_run) {
    return DryRunDocument(
        absl::StrCat("MoveTables create dry run results for workflow ", WorkflowKey(record)),
        DescribePlan(plan));
  }
  for (const std::string& note : NoteWhatStays(record.source_keyspace, plan.tables.front())) {
    SLUICE_LOG(kWarning, "a view is left behind",
               {{"workflow", WorkflowKey(record)}, {"reason", note}});
  }
  SLUICE_RETURN_IF_ERROR(RecordCreating(services_, record));
  SLUICE_LOG(kInfo, "workflow is being created", {{"workflow", WorkflowKey(record)}});
  const size_t at_once = args.parallelism != 0 ? args.parallelism : kShardsAtOnce;
  const absl::Status forward = CreateForward(services_, record, plan.tables, at_once, deadline);
  if (!forward.ok()) {
    return UndoAfter(record, forward, absl::Now() + kUndoWithin);
  }
  SLUICE_LOG(kInfo, "workflow created", {{"workflow", WorkflowKey(record)}});
  if (record.start_pending) {
    if (const absl::Status started = StartPending(services_, record, deadline); !started.ok()) {
      SLUICE_LOG(kWarning, "the streams could not be started yet; trying again",
                 {{"workflow", WorkflowKey(record)}, {"error", started}});
      Poke();
    }
  }
  // For an answer that says something of the streams, and not that they stand still where they have
  // been started: who believes that starts them once more, which says nothing to one that runs and
  // stops when it has copied.
  const bool started = record.options.auto_start && !record.start_pending;
  for (const StreamRecord& stream : record.streams) {
    services_.topology
        .AwaitStream(
            stream.id,
            [started](const topology::StreamInfo& heard) {
              return !started || heard.state != topology::StreamState::kStopped ||
                     !heard.message.empty();
            },
            std::min(deadline, absl::Now() + options_.first_report_within))
        .IgnoreError();
  }
  return StatusDocument(record, services_.topology, services_.rules);
}

absl::StatusOr<std::string> MoveTables::Update(const UpdateArgs& args, absl::Time deadline) {
  absl::StatusOr<std::string> answer = UpdateWorkflow(services_, args, deadline);
  if (!answer.ok()) {
    Poke();  // what is recorded and not sent yet
  }
  return answer;
}

absl::Status MoveTables::UndoAfter(WorkflowRecord& record, const absl::Status& why,
                                   absl::Time deadline) {
  if (absl::IsCancelled(why)) {
    return why;  // this process stops; the next one goes on with the record as it is
  }
  SLUICE_LOG(kWarning, "create failed and is undone",
             {{"workflow", WorkflowKey(record)}, {"error", why}});
  absl::Status undone = DecideToUndo(services_, record, why);
  if (undone.ok()) {
    undone = UndoCreate(services_, record, deadline);
  }
  if (undone.ok()) {
    return why;
  }
  Poke();
  return absl::Status(why.code(), absl::StrCat(why.message(),
                                               " (undoing what was done goes on in the "
                                               "background: ",
                                               undone.message(), ")"));
}

absl::Status MoveTables::Recover(WorkflowRecord& record) {
  const absl::Time deadline = absl::Now() + kRecoverWithin;
  if (record.phase == WorkflowPhase::kActive) {
    if (record.update_pending) {
      SLUICE_RETURN_IF_ERROR(SendUpdate(services_, record, deadline).status());
    }
    return record.start_pending ? StartPending(services_, record, deadline) : absl::OkStatus();
  }
  if (record.undoing) {
    return UndoCreate(services_, record, deadline);
  }
  SLUICE_ASSIGN_OR_RETURN(const TablesByStream tables,
                          DescribeSources(services_, record, deadline));
  SLUICE_RETURN_IF_ERROR(CreateForward(services_, record, tables, kShardsAtOnce, deadline));
  return record.start_pending ? StartPending(services_, record, deadline) : absl::OkStatus();
}

bool MoveTables::RecoverOne(const WorkflowRecord& listed) {
  const std::string key = WorkflowKey(listed);
  const auto guard = services_.locks.TryLock(OperationKey(listed), "recovery of create");
  if (!guard.ok()) {
    return false;  // its own command is at it, or another one that will decide
  }
  absl::StatusOr<WorkflowRecord> record =
      store::GetWorkflow(services_.store, listed.keyspace, listed.name);
  if (!record.ok()) {
    return absl::IsNotFound(record.status());
  }
  if (!IsUnfinished(*record)) {
    return true;
  }
  const absl::Time since = met_.emplace(key, absl::Now()).first->second;
  absl::Status status = Recover(*record);
  const bool forward_failed = !status.ok() && record->phase == WorkflowPhase::kCreating &&
                              !record->undoing && !absl::IsCancelled(status);
  if (forward_failed && (!MayPass(status) || absl::Now() - since > options_.forward_within)) {
    status = UndoAfter(*record, status, absl::Now() + kUndoWithin);
    return false;  // the next round sees whether it is gone
  }
  if (!status.ok()) {
    SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "the create of a workflow can't be finished yet",
                     {{"workflow", key}, {"error", status}});
    return false;
  }
  met_.erase(key);
  SLUICE_LOG(kInfo, "the create of a workflow was finished by the recovery", {{"workflow", key}});
  return true;
}

bool MoveTables::RecoverAll() {
  const absl::StatusOr<std::vector<WorkflowRecord>> records = store::ListWorkflows(services_.store);
  if (!records.ok()) {
    SLUICE_LOG(kError, "the store can't be read", {{"error", records.status()}});
    return false;
  }
  bool all = true;
  for (const WorkflowRecord& record : *records) {
    if (IsUnfinished(record) && !RecoverOne(record)) {
      all = false;
    }
  }
  return all;
}

void MoveTables::RecoverLoop() {
  const auto wanted = [this] {
    mutex_.AssertReaderHeld();
    return closed_ || work_;
  };
  const auto closed = [this] {
    mutex_.AssertReaderHeld();
    return closed_;
  };
  while (true) {
    {
      const absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(&wanted));
      if (closed_) {
        return;
      }
      work_ = false;
    }
    if (RecoverAll()) {
      continue;
    }
    const absl::MutexLock lock(&mutex_);
    work_ = true;
    mutex_.AwaitWithTimeout(absl::Condition(&closed), options_.retry_every);
  }
}

}  // namespace sluice::workflow
