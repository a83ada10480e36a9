// Dispatch of the commands, recovery, start and stop of streams.

#include "coordinator/traffic/traffic_service.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/traffic/checks.h"
#include "coordinator/traffic/diagnosis.h"
#include "coordinator/traffic/diagnosis_json.h"
#include "coordinator/traffic/finish_command.h"
#include "coordinator/traffic/repair_command.h"
#include "coordinator/traffic/switch_command.h"
#include "coordinator/workflow/views.h"

namespace sluice::traffic {
namespace {

constexpr absl::Duration kControlTimeout = absl::Seconds(30);
// What an answer needs to be there before nobody waits for it any more.
constexpr absl::Duration kAnswerMargin = absl::Seconds(1);

// One transaction on the record that a command named.
absl::Status SetStartPending(store::Store& store, const workflow::WorkflowRecord& record,
                             bool pending) {
  return store.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(std::optional<workflow::WorkflowRecord> now,
                            transaction.FindWorkflow(record.keyspace, record.name));
    if (!now) {
      return absl::NotFoundError(
          absl::StrCat("workflow ", workflow::WorkflowKey(record), " does not exist"));
    }
    now->start_pending = pending;
    return transaction.PutWorkflow(*now);
  });
}

}  // namespace

TrafficService::TrafficService(const Dependencies& parts, TrafficOptions options)
    : parts_(parts),
      options_(options),
      ledger_(parts_.store),
      effects_(parts_.agents, parts_.rules, parts_.topology, releases_),
      runner_(ledger_, effects_, options_.cutover) {}

TrafficService::~TrafficService() {
  Close();
}

void TrafficService::Close() {
  releases_.Close();
  strays_.reset();
  runner_.Stop();
  std::vector<std::shared_ptr<Teardown>> teardowns;
  {
    const absl::MutexLock lock(&mutex_);
    teardowns.swap(teardowns_);
  }
  for (const std::shared_ptr<Teardown>& teardown : teardowns) {
    teardown->Stop();
  }
}

absl::Status TrafficService::Recover() {
  std::vector<std::pair<std::string, std::string>> states;
  SLUICE_RETURN_IF_ERROR(parts_.store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(states, reader.ListCutoverStates());
    return absl::OkStatus();
  }));
  std::vector<std::string> unreadable;
  for (const auto& [key, bytes] : states) {
    const absl::Status status = RecoverOne(key, bytes);
    if (!status.ok()) {
      SLUICE_LOG(kError, "command not recovered", {{"workflow", key}, {"reason", status}});
      unreadable.push_back(absl::StrCat(key, ": ", status.message()));
    }
  }
  strays_ = std::make_unique<StrayWatch>(parts_, options_.stray_interval);
  return unreadable.empty() ? absl::OkStatus()
                            : absl::DataLossError(absl::StrJoin(unreadable, "; "));
}

absl::Status TrafficService::RecoverOne(const std::string& key, const std::string& bytes) {
  SLUICE_ASSIGN_OR_RETURN(cutover::StoredOperation operation, cutover::DecodeOperation(bytes));
  SLUICE_ASSIGN_OR_RETURN(Exclusion exclusion,
                          Exclude(parts_.locks, key, "recovery of an earlier command"));
  if (auto* cutover = std::get_if<cutover::StoredCutover>(&operation)) {
    SLUICE_LOG(kInfo, "going on with a cutover",
               {{"workflow", key},
                {"cutover", cutover->state.plan.id},
                {"phase", cutover::PhaseName(cutover->state.phase)}});
    runner_.Resume(std::move(*cutover), std::move(exclusion));
    return absl::OkStatus();
  }
  cutover::Records records;
  SLUICE_RETURN_IF_ERROR(parts_.store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(records, cutover::ReadRecords(reader, key));
    return absl::OkStatus();
  }));
  SLUICE_LOG(kInfo, "going on with the end of a workflow",
             {{"workflow", key}, {"phase", workflow::WorkflowPhaseName(records.original.phase)}});
  Adopt(std::move(records), std::get<cutover::StoredTeardown>(operation), std::move(exclusion));
  return absl::OkStatus();
}

std::shared_ptr<Teardown> TrafficService::Adopt(cutover::Records records,
                                                cutover::StoredTeardown teardown,
                                                Exclusion exclusion) {
  auto adopted = std::make_shared<Teardown>(parts_, std::move(records), teardown,
                                            std::move(exclusion), options_.teardown);
  const absl::MutexLock lock(&mutex_);
  std::erase_if(teardowns_, [](const std::shared_ptr<Teardown>& each) { return each->over(); });
  teardowns_.push_back(adopted);
  return adopted;
}

absl::StatusOr<std::string> TrafficService::Switch(const admin::SwitchArgs& args,
                                                   absl::Time deadline) {
  return SwitchCommand(parts_, runner_, args, false).Run(deadline);
}

absl::StatusOr<std::string> TrafficService::Reverse(const admin::SwitchArgs& args,
                                                    absl::Time deadline) {
  return SwitchCommand(parts_, runner_, args, true).Run(deadline);
}

absl::StatusOr<std::string> TrafficService::Complete(const admin::FinishArgs& args,
                                                     absl::Time deadline) {
  return Finish(args, FinishKind::kComplete, deadline);
}

absl::StatusOr<std::string> TrafficService::Cancel(const admin::FinishArgs& args,
                                                   absl::Time deadline) {
  return Finish(args, FinishKind::kCancel, deadline);
}

absl::StatusOr<std::string> TrafficService::Delete(const admin::FinishArgs& args,
                                                   absl::Time deadline) {
  return Finish(args, FinishKind::kDelete, deadline);
}

FinishCommand::Adopt TrafficService::Adopter() {
  return [this](cutover::Records records, cutover::StoredTeardown teardown, Exclusion exclusion) {
    return Adopt(std::move(records), teardown, std::move(exclusion));
  };
}

absl::StatusOr<std::string> TrafficService::Finish(const admin::FinishArgs& args, FinishKind kind,
                                                   absl::Time deadline) {
  // Who says it again, because the connection was lost or a coordinator died, waits for the same
  // end.
  if (const std::shared_ptr<Teardown> running = FindTeardown(args, kind); running != nullptr) {
    SLUICE_RETURN_IF_ERROR(running->Await(deadline));
    return ToJson(EndOf(kind, workflow::WorkflowKey(args.workflow.keyspace, args.workflow.name)));
  }
  return FinishCommand(parts_, runner_, Adopter(), args, kind).Run(deadline);
}

std::shared_ptr<Teardown> TrafficService::FindTeardown(const admin::FinishArgs& args,
                                                       FinishKind kind) {
  const std::string key = workflow::WorkflowKey(args.workflow.keyspace, args.workflow.name);
  const absl::MutexLock lock(&mutex_);
  const auto found = std::find_if(teardowns_.begin(), teardowns_.end(), [&](const auto& each) {
    return !args.dry_run && each->IsOf(key, TeardownOf(args, kind)) && !each->over();
  });
  return found == teardowns_.end() ? nullptr : *found;
}

absl::StatusOr<std::string> TrafficService::Diagnose(const admin::WorkflowRef& workflow,
                                                     absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const Resolved found, Resolve(parts_.store, workflow));
  SLUICE_ASSIGN_OR_RETURN(
      const Observation seen,
      Observe(parts_, runner_, found.key(), /*own_command=*/"", deadline - kAnswerMargin));
  return DiagnosisJson(found.key(), parts_.rules.TrafficState(seen.records.original),
                       traffic::Diagnose(seen));
}

absl::StatusOr<std::string> TrafficService::Repair(const admin::WorkflowRef& workflow, bool yes,
                                                   absl::Time deadline) {
  return RepairCommand(parts_, runner_, Adopter(), yes).Run(workflow, deadline - kAnswerMargin);
}

absl::StatusOr<std::string> TrafficService::Start(const admin::WorkflowRef& workflow,
                                                  const admin::Shards& shards,
                                                  absl::Time deadline) {
  return ControlStreams(workflow, shards, true, deadline);
}

absl::StatusOr<std::string> TrafficService::Stop(const admin::WorkflowRef& workflow,
                                                 const admin::Shards& shards, absl::Time deadline) {
  return ControlStreams(workflow, shards, false, deadline);
}

absl::StatusOr<std::string> TrafficService::ControlStreams(const admin::WorkflowRef& workflow,
                                                           const admin::Shards& shards, bool start,
                                                           absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const Resolved found, Resolve(parts_.store, workflow));
  SLUICE_ASSIGN_OR_RETURN(const Exclusion exclusion,
                          Exclude(parts_.locks, found.key(), start ? "start" : "stop"));
  // Read again: before the exclusion another command may have changed it.
  SLUICE_ASSIGN_OR_RETURN(workflow::WorkflowRecord record,
                          store::GetWorkflow(parts_.store, workflow.keyspace, workflow.name));
  SLUICE_RETURN_IF_ERROR(CheckPhase(record));
  const std::string key = workflow::WorkflowKey(record);
  if (record.phase == workflow::WorkflowPhase::kFrozen) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat(
            "workflow ", key, " is frozen: its writes are switched and its reverse is at work")),
        key);
  }
  SLUICE_RETURN_IF_ERROR(workflow::KeepStreamsOf(shards, record));
  if (!shards.empty() && record.start_pending) {
    // Its recovery knows of all streams or none.
    return WithSubject(
        absl::AbortedError(absl::StrCat("workflow ", key, " is being started; try again")), key);
  }
  SLUICE_RETURN_IF_ERROR(SetStartPending(parts_.store, record, start && shards.empty()));
  SLUICE_ASSIGN_OR_RETURN(const uint64_t epoch,
                          store::NextId(parts_.store, workflow::kCommandEpochCounter));
  absl::Status status;
  for (const workflow::StreamRecord& stream : record.streams) {
    workflow::CallBudget budget;
    budget.timeout = std::min(deadline - absl::Now(), kControlTimeout);
    status.Update(
        parts_.agents
            .ControlStream(workflow::AgentRef::Primary(record.target_keyspace, stream.target_shard),
                           stream.id,
                           start ? workflow::StreamAction::kStart : workflow::StreamAction::kStop,
                           epoch, budget)
            .status());
  }
  record.start_pending = false;
  SLUICE_RETURN_IF_ERROR(SetStartPending(parts_.store, record, false));
  SLUICE_RETURN_IF_ERROR(Annotate(status, absl::StrCat(start ? "starting " : "stopping ", key)));
  return workflow::StatusDocument(record, parts_.topology, parts_.rules);
}

std::string TrafficService::UnderWay(const admin::WorkflowRef& workflow) {
  const auto run = FindRun(workflow);
  if (!run.ok()) {
    return {};
  }
  const std::string waits = (*run)->WaitsFor();
  return absl::StrCat("a cutover is ", cutover::PhaseName((*run)->Current().phase),
                      waits.empty() ? "" : ", ", waits);
}

absl::StatusOr<std::shared_ptr<cutover::Run>> TrafficService::FindRun(
    const admin::WorkflowRef& workflow) {
  SLUICE_ASSIGN_OR_RETURN(const Resolved found, Resolve(parts_.store, workflow));
  std::shared_ptr<cutover::Run> run = runner_.Find(found.key());
  if (run == nullptr) {
    return WithSubject(absl::FailedPreconditionError(
                           absl::StrCat("no cutover of workflow ", found.key(), " is under way")),
                       found.key());
  }
  return run;
}

absl::StatusOr<std::string> TrafficService::AwaitEnd(const cutover::Run& run,
                                                     absl::string_view command,
                                                     absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const cutover::State state, run.Await(deadline));
  const std::string& key = state.plan.workflow;
  const auto [keyspace, name] = cutover::SplitKey(key);
  SLUICE_ASSIGN_OR_RETURN(const Resolved found,
                          Resolve(parts_.store, {.keyspace = keyspace, .name = name}));
  CommandReply reply;
  reply.current_state = parts_.rules.TrafficState(found.records.original);
  const bool done = state.phase == cutover::Phase::kDone;
  if (command == "release" && !done) {
    return WithSubject(absl::AbortedError(absl::StrCat("the cutover of ", key,
                                                       " was rolled back: ", state.failure)),
                       key);
  }
  if (command == "abort" && done) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat(
            "the cutover of ", key, " was committed already; use reversetraffic to go back")),
        key);
  }
  reply.warning = LateProxies(state);
  reply.summary = done ? absl::StrCat("Cutover of workflow ", key, " was released and is done")
                       : absl::StrCat("Cutover of workflow ", key, " was rolled back");
  return ToJson(reply);
}

absl::StatusOr<std::string> TrafficService::CutoverRelease(const admin::WorkflowRef& workflow,
                                                           absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<cutover::Run> run, FindRun(workflow));
  const cutover::State state = run->Current();
  if (!cutover::WaitsForRelease(state)) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat(
            "the cutover of ", state.plan.workflow, " does not wait for a release; it is ",
            cutover::PhaseName(state.phase), ", ", run->WaitsFor())),
        state.plan.workflow);
  }
  // Hours may have gone by since the switch was checked.
  const absl::Status opening = CheckOpening(parts_, state.plan.workflow, state.plan.targets);
  if (!opening.ok()) {
    return WithSubject(
        absl::Status(opening.code(),
                     absl::StrCat(opening.message(), "; the cutover of ", state.plan.workflow,
                                  " still waits: release it when that is mended, or abort it")),
        state.plan.workflow);
  }
  releases_.Release(state.plan.id);
  return AwaitEnd(*run, "release", deadline);
}

absl::StatusOr<std::string> TrafficService::CutoverAbort(const admin::WorkflowRef& workflow,
                                                         absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(const std::shared_ptr<cutover::Run> run, FindRun(workflow));
  const cutover::State now = run->Current();
  // What is committed may wait for a server for long, and nobody can take it back.
  if (now.phase == cutover::Phase::kCommitted) {
    const std::string& key = now.plan.workflow;
    const std::string waits = run->WaitsFor();
    return WithSubject(absl::FailedPreconditionError(absl::StrCat(
                           "the cutover of ", key, " is committed and goes on to its end",
                           waits.empty() ? "" : ", ", waits,
                           "; it can't be taken back: use reversetraffic when it is done")),
                       key);
  }
  run->Abort("aborted by the operator");
  releases_.Cancel(now.plan.id);
  return AwaitEnd(*run, "abort", deadline);
}

absl::StatusOr<std::string> TrafficService::CutoverShow(const admin::WorkflowRef& workflow,
                                                        uint32_t attempt) {
  std::string key = workflow::WorkflowKey(workflow.keyspace, workflow.name);
  const absl::StatusOr<Resolved> found = Resolve(parts_.store, workflow);
  if (found.ok()) {
    key = found->key();
  } else if (!absl::IsNotFound(found.status())) {
    return found.status();
  }
  std::vector<store::CutoverAttempt> attempts;
  SLUICE_RETURN_IF_ERROR(parts_.store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(attempts, reader.ListCutoverAttempts(key));
    return absl::OkStatus();
  }));
  // Attempts outlive their workflow.
  if (attempts.empty() && !found.ok()) {
    return found.status();
  }
  for (store::CutoverAttempt& each : attempts) {
    if (each.result.empty()) {
      each.result = runner_.Describe(each.id);
    }
  }
  if (attempt > attempts.size()) {
    return WithSubject(absl::NotFoundError(absl::StrCat("of workflow ", key, " ", attempts.size(),
                                                        " cutovers are recorded; 1 is the newest")),
                       key);
  }
  return workflow::CutoverAttemptsJson(attempts, attempt);
}

}  // namespace sluice::traffic
