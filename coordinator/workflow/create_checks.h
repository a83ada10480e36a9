// What a move must not begin with: checks over the descriptions of its tables. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/routing/rules.h"
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
// the table and the workflow that moves it already.
absl::Status CheckOtherWorkflows(const WorkflowRecord& record,
                                 const std::vector<WorkflowRecord>& others);

// FAILED_PRECONDITION names a rule of an operator that sends a table of the move somewhere else.
absl::Status CheckExistingRules(const WorkflowRecord& record,
                                const std::vector<routing::TableRule>& rules);

}  // namespace sluice::workflow
