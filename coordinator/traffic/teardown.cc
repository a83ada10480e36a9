// The steps of complete and cancel.

#include "coordinator/traffic/teardown.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/parallel.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/ledger.h"
#include "coordinator/traffic/checks.h"
#include "coordinator/workflow/move_rules.h"

namespace sluice::traffic {
namespace {

using cutover::Records;
using cutover::Side;
using cutover::StoredTeardown;
using cutover::TeardownKind;
using workflow::AgentRef;
using workflow::DropMode;
using workflow::GateState;
using workflow::WorkflowPhase;

constexpr absl::Duration kAgentWait = absl::Seconds(5);
constexpr size_t kShardsAtOnce = 16;
// One request's share of many tables; the agent answers in time how many are done, which is shown,
// and the next request goes on. A single large table may take longer than any of them.
constexpr absl::Duration kDropSlice = absl::Seconds(10);
// Definitions of thousands of tables.
constexpr absl::Duration kDescribeTimeout = absl::Minutes(5);

bool WaitingCures(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kResourceExhausted:
      return true;
    default:
      return false;
  }
}

absl::Status PutPhase(store::StoreTransaction& transaction, Records records, TeardownKind kind) {
  const WorkflowPhase phase =
      kind == TeardownKind::kComplete ? WorkflowPhase::kCompleting : WorkflowPhase::kCancelling;
  records.original.phase = phase;
  records.original.start_pending = false;
  SLUICE_RETURN_IF_ERROR(transaction.PutWorkflow(records.original));
  if (!records.reverse) {
    return absl::OkStatus();
  }
  records.reverse->phase = phase;
  records.reverse->start_pending = false;
  return transaction.PutWorkflow(*records.reverse);
}

}  // namespace

DropMode ModeOf(const StoredTeardown& teardown) {
  if (teardown.keep_data) {
    return DropMode::kKeep;
  }
  return teardown.rename_tables ? DropMode::kRenameOld : DropMode::kDrop;
}

absl::Status DecideTeardown(store::Store& store, const Records& records,
                            const StoredTeardown& teardown) {
  const std::string key = workflow::WorkflowKey(records.original);
  const std::string bytes = cutover::EncodeOperation(teardown);
  absl::Status decided =
      store.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
        SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> present,
                                transaction.FindCutoverState(key));
        if (present) {
          return absl::FailedPreconditionError(
              absl::StrCat("an earlier command on ", key, " has not ended yet"));
        }
        SLUICE_ASSIGN_OR_RETURN(Records now, cutover::ReadRecords(transaction, key));
        if (now != records) {
          return absl::AbortedError(absl::StrCat("workflow ", key, " has changed meanwhile"));
        }
        SLUICE_RETURN_IF_ERROR(PutPhase(transaction, std::move(now), teardown.kind));
        return transaction.PutCutoverState(key, bytes);
      });
  if (decided.ok()) {
    return decided;
  }
  // A failed answer does not say that nothing was kept. The epoch makes the bytes this decision's.
  bool kept = false;
  const absl::Status read = store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<std::string> present, reader.FindCutoverState(key));
    kept = present == bytes;
    return absl::OkStatus();
  });
  return read.ok() && kept ? absl::OkStatus() : decided;
}

Teardown::Teardown(const Dependencies& parts, Records records, StoredTeardown teardown,
                   Exclusion exclusion, TeardownOptions options)
    : parts_(parts),
      records_(std::move(records)),
      teardown_(teardown),
      options_(options),
      direction_(DirectionOf(records_, false)),
      key_(workflow::WorkflowKey(records_.original)),
      exclusion_(std::move(exclusion)) {
  driver_ = std::jthread([this] { Drive(); });
}

Teardown::~Teardown() {
  Stop();
}

void Teardown::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (driver_.joinable()) {
    driver_.join();
  }
}

bool Teardown::over() const {
  const absl::MutexLock lock(&mutex_);
  return over_ || stopped_;
}

bool Teardown::IsOf(absl::string_view workflow, StoredTeardown teardown) const {
  teardown.epoch = teardown_.epoch;
  return key_ == workflow && teardown_ == teardown;
}

absl::Status Teardown::Await(absl::Time deadline) const {
  const absl::MutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(absl::Condition(this, &Teardown::Settled), deadline);
  if (over_) {
    return absl::OkStatus();
  }
  const std::string what = absl::StrCat(completing() ? "complete" : "cancel", " of workflow ", key_,
                                        " has begun and goes on by itself");
  if (!failure_.ok()) {
    return Annotate(failure_, what);
  }
  return stopped_ ? absl::CancelledError(absl::StrCat("the coordinator is stopping; ", what))
                  : absl::DeadlineExceededError(absl::StrCat(what, "; it is at: ", at_));
}

std::vector<Teardown::Step> Teardown::Steps() const {
  if (completing()) {
    return {{"complete.delete_reverse", &Teardown::DeleteReverseStreams},
            {"complete.drop_tables", &Teardown::DropTables},
            {"complete.remove_rules", &Teardown::RemoveRules},
            {"complete.delete_forward", &Teardown::DeleteForwardStreams},
            {"complete.release_gates", &Teardown::ReleaseGates},
            {"complete.forget", &Teardown::Forget}};
  }
  return {{"cancel.delete_streams", &Teardown::DeleteAllStreams},
          {"cancel.drop_tables", &Teardown::DropTables},
          {"cancel.remove_rules", &Teardown::RemoveRules},
          {"cancel.release_gates", &Teardown::ReleaseGates},
          {"cancel.forget", &Teardown::Forget}};
}

void Teardown::Drive() {
  bool all = true;
  for (const Step& step : Steps()) {
    if (!RunStep(step)) {
      all = false;
      break;
    }
  }
  exclusion_.reset();
  const absl::MutexLock lock(&mutex_);
  over_ = all;
  stopped_ = !all;
}

// False when the coordinator stops first.
bool Teardown::RunStep(const Step& step) {
  SLUICE_CRASH_POINT(step.crash_point);
  absl::Duration delay = options_.retry_min;
  for (;;) {
    const absl::Status status = (this->*step.run)();
    if (status.ok()) {
      const absl::MutexLock lock(&mutex_);
      failure_ = absl::OkStatus();
      return true;
    }
    Note(step, status);
    if (!Pause(delay)) {
      return false;
    }
    // Who ran out of time has waited already, and may have come further.
    delay = absl::IsDeadlineExceeded(status) ? options_.retry_min
                                             : std::min(delay * 2, options_.retry_max);
  }
}

// Where it hangs is for those who wait and for those who ask later.
void Teardown::Note(const Step& step, const absl::Status& status) {
  if (absl::IsDeadlineExceeded(status)) {
    SLUICE_LOG(kInfo, "teardown step goes on",
               {{"workflow", key_}, {"step", step.crash_point}, {"reason", status}});
  } else {
    SLUICE_LOG(kWarning, "teardown step failed",
               {{"workflow", key_}, {"step", step.crash_point}, {"reason", status}});
  }
  const std::string message = absl::StrCat(step.crash_point, ": ", status.message());
  bool changed = false;
  {
    const absl::MutexLock lock(&mutex_);
    changed = at_ != message;
    at_ = message;
    failure_ = WaitingCures(status) ? absl::OkStatus() : status;
  }
  if (!changed) {
    return;
  }
  const absl::Status noted =
      parts_.store.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
        SLUICE_ASSIGN_OR_RETURN(Records now, cutover::ReadRecords(transaction, key_));
        now.original.message = message;
        return transaction.PutWorkflow(now.original);
      });
  if (!noted.ok()) {
    SLUICE_LOG(kWarning, "reason not stored", {{"workflow", key_}, {"reason", noted}});
  }
}

// False when the coordinator stops.
bool Teardown::Pause(absl::Duration delay) {
  const absl::MutexLock lock(&mutex_);
  return !mutex_.AwaitWithTimeout(absl::Condition(&stopping_), delay);
}

absl::Status Teardown::DeleteStreams(const std::string& workflow, const std::vector<Side>& sides) {
  return ForEachAtOnce(sides.size(), kShardsAtOnce, [&](size_t i) -> absl::Status {
    const Side& side = sides[i];
    SLUICE_RETURN_IF_ERROR(
        parts_.topology.AwaitPrimary(side.keyspace, side.shard, absl::Now() + kAgentWait).status());
    const AgentRef agent = AgentRef::Primary(side.keyspace, side.shard);
    // What the agent has counts, not what the records say: a late request may have left more.
    SLUICE_ASSIGN_OR_RETURN(const std::vector<topology::StreamInfo> streams,
                            parts_.agents.ListStreams(agent, workflow, {}));
    for (const topology::StreamInfo& stream : streams) {
      absl::Status status =
          parts_.agents
              .ControlStream(agent, stream.id, workflow::StreamAction::kDelete, teardown_.epoch, {})
              .status();
      if (!status.ok() && !absl::IsNotFound(status)) {
        return status;
      }
    }
    return absl::OkStatus();
  });
}

absl::Status Teardown::DeleteReverseStreams() {
  return DeleteStreams(workflow::WorkflowKey(records_.original.source_keyspace,
                                             workflow::ReverseName(records_.original.name)),
                       direction_.from);
}

absl::Status Teardown::DeleteForwardStreams() {
  return DeleteStreams(key_, direction_.to);
}

absl::Status Teardown::DeleteAllStreams() {
  SLUICE_RETURN_IF_ERROR(DeleteForwardStreams());
  return DeleteReverseStreams();
}

absl::Status Teardown::DropTables() {
  // The proof, anew in every attempt: what is left serves. That nothing open is dropped is the
  // agent's own rule as well.
  SLUICE_RETURN_IF_ERROR(RequireGates(parts_, records_.original, serving(), {GateState::kOpen},
                                      "the side that serves"));
  return EndGates(leaving(), ModeOf(teardown_));
}

// The tables that serve belong to no workflow any more, so another one may take them.
absl::Status Teardown::ReleaseGates() {
  return EndGates(serving(), DropMode::kKeep);
}

absl::Status Teardown::EndGates(const std::vector<Side>& sides, DropMode mode) {
  return ForEachAtOnce(sides.size(), kShardsAtOnce, [&](size_t i) -> absl::Status {
    const Side& side = sides[i];
    SLUICE_RETURN_IF_ERROR(
        parts_.topology.AwaitPrimary(side.keyspace, side.shard, absl::Now() + kAgentWait).status());
    workflow::DropRequest request;
    request.workflow = key_;
    request.database = side.database;
    request.tables = records_.original.tables;
    request.mode = mode;
    request.epoch = teardown_.epoch;
    return parts_.agents
        .DropTables(AgentRef::Primary(side.keyspace, side.shard), request,
                    {.timeout = kDropSlice, .idempotency_id = {}})
        .status();
  });
}

// What stands on the side that serves, for the homes of the epoch that has no rules of the move.
absl::Status Teardown::NoteServingTables() {
  for (const Side& side : serving()) {
    SLUICE_ASSIGN_OR_RETURN(
        const topology::TabletInfo primary,
        parts_.topology.AwaitPrimary(side.keyspace, side.shard, absl::Now() + kAgentWait));
    SLUICE_ASSIGN_OR_RETURN(
        const std::vector<workflow::TableDescription> tables,
        parts_.agents.DescribeTables(AgentRef::Tablet(primary.alias), side.database,
                                     records_.original.tables,
                                     {.timeout = kDescribeTimeout, .idempotency_id = {}}));
    std::vector<std::string> open;
    for (const workflow::TableDescription& table : tables) {
      if (table.exists && !table.is_view) {
        open.push_back(table.name);
      }
    }
    parts_.topology.NoteTables(primary.alias, open);
  }
  return absl::OkStatus();
}

// Without rules a bare name goes to its home: that has to be known in the same epoch, or clients
// meet a gap.
absl::Status Teardown::RemoveRules() {
  if (completing() && teardown_.keep_routing_rules) {
    return absl::OkStatus();
  }
  SLUICE_RETURN_IF_ERROR(NoteServingTables());
  if (partial()) {
    return absl::OkStatus();  // in Forget
  }
  const std::string& home = serving().front().keyspace;
  return parts_.rules
      .Change([&](store::StoreTransaction& /*transaction*/, store::RuleState& rules) {
        const routing::MoveRules move = workflow::MoveRulesOf(records_.original);
        if (!teardown_.keep_routing_rules) {
          rules.table_rules = routing::WithoutMove(std::move(rules.table_rules), move);
        }
        for (const std::string& table : records_.original.tables) {
          std::erase_if(rules.homes,
                        [&](const store::TableHome& each) { return each.table == table; });
          rules.homes.push_back({.table = table, .keyspace = home});
        }
        return absl::OkStatus();
      })
      .status();
}

absl::Status Teardown::ForgetRecords(store::StoreTransaction& transaction) const {
  const workflow::WorkflowRecord& original = records_.original;
  if (records_.reverse) {
    SLUICE_RETURN_IF_ERROR(
        transaction.DeleteWorkflow(records_.reverse->keyspace, records_.reverse->name));
  }
  SLUICE_RETURN_IF_ERROR(transaction.DeleteWorkflow(original.keyspace, original.name));
  return transaction.DeleteCutoverState(key_);
}

absl::Status Teardown::Forget() {
  return partial() ? ForgetPartial()
                   : parts_.store.Transaction([&](store::StoreTransaction& transaction) {
                       return ForgetRecords(transaction);
                     });
}

// Workflows of other shards go by the same rules: they go with the last record, whichever ends
// last. While the two keyspaces each serve a shard they stay for good.
absl::Status Teardown::ForgetPartial() {
  const workflow::WorkflowRecord& original = records_.original;
  SLUICE_ASSIGN_OR_RETURN(const store::KeyspaceRecord keyspace,
                          parts_.topology.FindKeyspace(original.source_keyspace));
  return parts_.rules
      .Change([&](store::StoreTransaction& transaction, store::RuleState& rules) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(ForgetRecords(transaction));
        SLUICE_ASSIGN_OR_RETURN(const std::vector<workflow::WorkflowRecord> living,
                                transaction.ListWorkflows());
        if (!teardown_.keep_routing_rules &&
            workflow::ShardMoveIsOver(original, living, keyspace.shards, rules.shard_rules)) {
          workflow::EndShardMove(original, serving().front().keyspace, rules);
        }
        return absl::OkStatus();
      })
      .status();
}

}  // namespace sluice::traffic
