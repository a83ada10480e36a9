// Flags, phases and streams of the records after a commit.

#include "coordinator/cutover/records.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace sluice::cutover {
namespace {

using workflow::StreamRecord;
using workflow::WorkflowPhase;
using workflow::WorkflowRecord;

// A reverse record says the opposite of its original, always.
void MirrorFlags(Records& records) {
  if (!records.reverse) {
    return;
  }
  records.reverse->replica_switched = !records.original.replica_switched;
  records.reverse->rdonly_switched = !records.original.rdonly_switched;
  records.reverse->writes_switched = !records.original.writes_switched;
  records.reverse->replica_exceptions = records.original.replica_exceptions;
  records.reverse->rdonly_exceptions = records.original.rdonly_exceptions;
}

std::vector<StreamRecord> StreamsBackwards(const Plan& plan) {
  std::vector<StreamRecord> streams;
  for (const StreamPair& pair : plan.streams) {
    const Side& from = plan.targets.at(pair.target);
    const Side& to = plan.sources.at(pair.source);
    streams.push_back({.id = pair.reverse_id,
                       .source_shard = from.shard,
                       .target_shard = to.shard,
                       .source_database = from.database,
                       .target_database = to.database});
  }
  return streams;
}

WorkflowRecord NewReverse(const WorkflowRecord& original, const Plan& plan, int64_t now_ms) {
  WorkflowRecord reverse;
  std::tie(reverse.keyspace, reverse.name) = SplitKey(plan.backward);
  reverse.type = original.type;
  reverse.sub_type = original.sub_type;
  reverse.source_keyspace = original.target_keyspace;
  reverse.target_keyspace = original.source_keyspace;
  reverse.tables = original.tables;
  reverse.source_shards = original.target_shards;
  reverse.target_shards = original.source_shards;
  reverse.options.source_types = plan.source_types;
  reverse.options.stream = plan.reverse_options;
  reverse.reverse_of = workflow::WorkflowKey(original);
  reverse.created_at_ms = now_ms;
  return reverse;
}

}  // namespace

std::pair<std::string, std::string> SplitKey(absl::string_view key) {
  const size_t dot = key.find('.');
  if (dot == absl::string_view::npos) {
    return {std::string(), std::string(key)};
  }
  return {std::string(key.substr(0, dot)), std::string(key.substr(dot + 1))};
}

absl::StatusOr<Records> ApplyCommit(const Plan& plan, Records records, int64_t now_ms) {
  WorkflowRecord& original = records.original;
  if (workflow::WorkflowKey(original) != plan.workflow ||
      original.phase == WorkflowPhase::kCompleting ||
      original.phase == WorkflowPhase::kCancelling || original.tables != plan.tables) {
    return absl::FailedPreconditionError(
        absl::StrCat("workflow ", plan.workflow, " has changed since the cutover began"));
  }
  if (plan.kind == Kind::kReads) {
    if (plan.move_replica) {
      workflow::MoveReplicaReads(!plan.reversal, plan.cells, original);
    }
    if (plan.move_rdonly) {
      workflow::MoveRdonlyReads(!plan.reversal, plan.cells, original);
    }
    MirrorFlags(records);
    return records;
  }
  if (plan.reversal && !records.reverse) {
    return absl::FailedPreconditionError(
        absl::StrCat("workflow ", plan.forward, " does not exist any more"));
  }
  if (!records.reverse) {
    records.reverse = NewReverse(original, plan, now_ms);
  }
  WorkflowRecord& obeyed = plan.reversal ? *records.reverse : original;
  WorkflowRecord& living = plan.reversal ? original : *records.reverse;
  obeyed.phase = WorkflowPhase::kFrozen;
  obeyed.start_pending = false;
  living.phase = WorkflowPhase::kActive;
  living.start_pending = false;
  living.streams = StreamsBackwards(plan);
  original.writes_switched = !plan.reversal;
  if (workflow::IsPartial(original)) {
    workflow::MoveReplicaReads(!plan.reversal, {}, original);
    workflow::MoveRdonlyReads(!plan.reversal, {}, original);
  }
  MirrorFlags(records);
  return records;
}

}  // namespace sluice::cutover
