// Transactions of a cutover.

#include "coordinator/cutover/ledger.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::cutover {
namespace {

store::CutoverAttempt AttemptOf(const StoredCutover& cutover) {
  store::CutoverAttempt attempt;
  attempt.id = cutover.state.plan.id;
  attempt.workflow = cutover.state.plan.workflow;
  attempt.direction = cutover.state.plan.reversal ? "reverse" : "forward";
  attempt.started_us = cutover.started_us;
  return attempt;
}

absl::Status AppendSteps(store::StoreTransaction& transaction, const Plan& plan,
                         const Steps& steps) {
  for (const store::CutoverStep& step : steps) {
    SLUICE_RETURN_IF_ERROR(transaction.AppendCutoverStep(plan.id, step));
  }
  return absl::OkStatus();
}

// The state of this very cutover, if it is the one that stands in the store.
absl::StatusOr<std::optional<StoredCutover>> ReadOwn(store::StoreReader& reader, const Plan& plan) {
  SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> bytes,
                          reader.FindCutoverState(plan.workflow));
  if (!bytes) {
    return std::optional<StoredCutover>();
  }
  SLUICE_ASSIGN_OR_RETURN(StoredOperation operation, DecodeOperation(*bytes));
  auto* cutover = std::get_if<StoredCutover>(&operation);
  if (cutover == nullptr || cutover->state.plan.id != plan.id) {
    return std::optional<StoredCutover>();
  }
  return std::optional<StoredCutover>(std::move(*cutover));
}

}  // namespace

absl::StatusOr<Records> ReadRecords(store::StoreReader& reader, absl::string_view workflow_key) {
  const auto [keyspace, name] = SplitKey(workflow_key);
  SLUICE_ASSIGN_OR_RETURN(std::optional<workflow::WorkflowRecord> original,
                          reader.FindWorkflow(keyspace, name));
  if (!original) {
    return absl::NotFoundError(absl::StrCat("workflow ", workflow_key, " does not exist"));
  }
  Records records;
  SLUICE_ASSIGN_OR_RETURN(
      records.reverse,
      reader.FindWorkflow(original->source_keyspace, workflow::ReverseName(original->name)));
  if (records.reverse && records.reverse->reverse_of != workflow_key) {
    records.reverse.reset();
  }
  records.original = *std::move(original);
  return records;
}

absl::Status Ledger::Begin(const StoredCutover& cutover) {
  return store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
    const std::string& key = cutover.state.plan.workflow;
    SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> present,
                            transaction.FindCutoverState(key));
    if (present) {
      return absl::FailedPreconditionError(
          absl::StrCat("an earlier command on ", key, " has not ended yet"));
    }
    SLUICE_RETURN_IF_ERROR(transaction.PutCutoverState(key, EncodeOperation(cutover)));
    return transaction.PutCutoverAttempt(AttemptOf(cutover));
  });
}

absl::Status Ledger::Save(const StoredCutover& cutover, const Steps& steps) {
  return store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
    SLUICE_RETURN_IF_ERROR(
        transaction.PutCutoverState(cutover.state.plan.workflow, EncodeOperation(cutover)));
    return AppendSteps(transaction, cutover.state.plan, steps);
  });
}

absl::Status Ledger::Commit(const StoredCutover& after, const Steps& steps) {
  const Plan& plan = after.state.plan;
  return store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<StoredCutover> present, ReadOwn(transaction, plan));
    if (!present) {
      return absl::FailedPreconditionError(
          absl::StrCat("cutover ", plan.id, " is not the one that is under way"));
    }
    if (present->state.phase != Phase::kPreparing) {
      return absl::OkStatus();
    }
    SLUICE_ASSIGN_OR_RETURN(Records records, ReadRecords(transaction, plan.workflow));
    SLUICE_ASSIGN_OR_RETURN(records,
                            ApplyCommit(plan, std::move(records), absl::ToUnixMillis(absl::Now())));
    SLUICE_RETURN_IF_ERROR(transaction.PutWorkflow(records.original));
    if (records.reverse) {
      SLUICE_RETURN_IF_ERROR(transaction.PutWorkflow(*records.reverse));
    }
    SLUICE_RETURN_IF_ERROR(transaction.PutCutoverState(plan.workflow, EncodeOperation(after)));
    return AppendSteps(transaction, plan, steps);
  });
}

absl::StatusOr<bool> Ledger::IsCommitted(const Plan& plan) {
  bool committed = false;
  SLUICE_RETURN_IF_ERROR(store_.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<StoredCutover> present, ReadOwn(reader, plan));
    committed = present &&
                (present->state.phase == Phase::kCommitted || present->state.phase == Phase::kDone);
    return absl::OkStatus();
  }));
  return committed;
}

absl::Status Ledger::Finish(const StoredCutover& cutover, const Steps& steps, int64_t now_us) {
  const State& state = cutover.state;
  return store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
    store::CutoverAttempt attempt = AttemptOf(cutover);
    attempt.finished_us = now_us;
    attempt.result = state.phase == Phase::kDone ? std::string("committed")
                                                 : absl::StrCat("rolled back: ", state.failure);
    // First: the attempt is new where its beginning could not be stored.
    SLUICE_RETURN_IF_ERROR(transaction.PutCutoverAttempt(attempt));
    SLUICE_RETURN_IF_ERROR(AppendSteps(transaction, state.plan, steps));
    return transaction.DeleteCutoverState(state.plan.workflow);
  });
}

}  // namespace sluice::cutover
