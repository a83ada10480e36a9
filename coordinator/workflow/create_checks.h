// What a move must not begin with: checks over the descriptions of its tables. Pure.

#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/store/records.h"
#include "coordinator/workflow/agents.h"
#include "coordinator/workflow/record.h"

namespace sluice::workflow {

struct TableSelection {
  std::string source_keyspace;
  std::vector<std::string> tables;
  bool all_tables = false;
  std::vector<std::string> exclude_tables;
};

// INVALID_ARGUMENT names two options that exclude each other.
absl::Status CheckStreamOptions(const stream::StreamOptions& options);

// INVALID_ARGUMENT unless exactly one of tables and all_tables is given; names what is twice.
absl::Status CheckSelection(const TableSelection& selection);

// The tables to move, sorted, out of the tables that the source has (views are not among `existing`
// when it was asked for everything). NOT_FOUND "table(s) not found in source keyspace commerce: x",
// also for an excluded one; FAILED_PRECONDITION when nothing is left.
absl::StatusOr<std::vector<std::string>> SelectTables(
    const TableSelection& selection, const std::vector<TableDescription>& existing);

// FAILED_PRECONDITION names the table and the remedy: a view, a trigger, no usable unique key, a
// foreign key that leaves the set or whose cascades are not in the binlog, a closed gate that
// another workflow left. allow_no_key and drop_foreign_keys of the options allow what they say; a
// key by which a table that stays would change one that has moved is never allowed.
absl::Status CheckSourceTables(const std::string& keyspace,
                               const std::vector<TableDescription>& tables,
                               const stream::StreamOptions& options = {});

// FAILED_PRECONDITION names a table and its foreign keys that cascade, where the binlog of the
// target, which the way back reads, does not hold the rows that a cascade changes. `source` and
// `target` are descriptions of the same tables.
absl::Status CheckCascadesOfTarget(const std::string& keyspace,
                                   const std::vector<TableDescription>& source,
                                   const std::vector<TableDescription>& target);

// A line for each thing that does not move with the tables: views, which fail where they stand once
// writes are switched, events and routines that name them, foreign keys that leave them.
std::vector<std::string> NoteWhatStays(const std::string& keyspace,
                                       const std::vector<TableDescription>& tables);

// ALREADY_EXISTS "non-empty tables found in target keyspace(customer): corder", or names tables
// that stand there empty or behind a gate.
absl::Status CheckTargetTables(const std::string& keyspace,
                               const std::vector<TableDescription>& tables);

// ALREADY_EXISTS names the workflow that has the name, or the reverse's; FAILED_PRECONDITION names
// the table, or the shard, and the workflow that moves it already, or the one that a partial
// workflow can't stand beside.
absl::Status CheckOtherWorkflows(const WorkflowRecord& record,
                                 const std::vector<WorkflowRecord>& others);

// The shards of a move, in the order of the keyspace: those named, or all when none is.
// INVALID_ARGUMENT names one that is twice, NOT_FOUND one that the keyspace does not have.
absl::StatusOr<std::vector<std::string>> SelectShards(const store::KeyspaceRecord& keyspace,
                                                      const std::vector<std::string>& named);

// FAILED_PRECONDITION names the tables of this shard that a partial workflow leaves out: what is
// routed is the whole shard. `existing` is all that the shard has.
absl::Status CheckWholeShard(const WorkflowRecord& record, const std::string& shard,
                             const std::vector<TableDescription>& existing);

// FAILED_PRECONDITION names tables of the target keyspace that nobody would reach once those of its
// shards that are not switched are routed to the source. `standing`: its tables by shard.
absl::Status CheckTargetIsFree(const WorkflowRecord& record,
                               const std::map<std::string, std::set<std::string>>& standing,
                               const std::vector<routing::ShardRule>& rules);

// FAILED_PRECONDITION names a rule of an operator that sends a table of the move somewhere else, or
// one about shards of its keyspaces that does not fit the move.
absl::Status CheckExistingRules(const WorkflowRecord& record, const store::RuleState& rules);

}  // namespace sluice::workflow
