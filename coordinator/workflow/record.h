// WorkflowRecord: all that the coordinator knows durably of one workflow.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/routing/rules.h"
#include "common/routing/shard_rules.h"
#include "common/routing/target.h"
#include "common/stream/stream_options.h"

namespace sluice::workflow {

// The counter (StoreTransaction::NextId) of the epochs in setGate, controlStream and dropTables.
// Every command that touches gates or streams takes a new one, so an older command's late request
// is refused by the agents.
inline constexpr char kCommandEpochCounter[] = "command_epoch";
inline constexpr char kStreamIdCounter[] = "stream_id";

enum class WorkflowPhase {
  kCreating,    // effects of create under way; the recovery goes forward, or undoes
  kActive,      // streams exist; running or stopped by the operator
  kFrozen,      // the other direction is the living one
  kCompleting,  // goes forward only
  kCancelling,  // goes forward only
};

// "creating", "active", …
std::string WorkflowPhaseName(WorkflowPhase phase);

struct StreamRecord {
  uint64_t id = 0;
  std::string source_shard;
  std::string target_shard;
  std::string source_database;
  std::string target_database;
  friend bool operator==(const StreamRecord&, const StreamRecord&) = default;
};

struct WorkflowOptions {
  std::vector<routing::TabletType> source_types;  // in order of preference; never empty
  bool stop_after_copy = false;
  bool auto_start = true;
  stream::StreamOptions stream;
  friend bool operator==(const WorkflowOptions&, const WorkflowOptions&) = default;
};

// Lives in its target keyspace. A reverse workflow is a record of its own in the original source
// keyspace, with source and target exchanged.
struct WorkflowRecord {
  std::string keyspace;  // the same as target_keyspace
  std::string name;
  std::string type = "MoveTables";
  std::string sub_type = "None";
  std::string source_keyspace;
  std::string target_keyspace;
  std::vector<std::string> tables;  // sorted
  std::vector<std::string> source_shards;
  std::vector<std::string> target_shards;
  std::vector<StreamRecord> streams;
  WorkflowPhase phase = WorkflowPhase::kCreating;
  // Which traffic this workflow has moved from its source to its target.
  bool replica_switched = false;
  bool rdonly_switched = false;
  bool writes_switched = false;
  // Cells whose reads are not where replica_switched and rdonly_switched say; sorted. A cell that
  // is not named goes by the flag, so nobody need know which cells there are.
  std::vector<std::string> replica_exceptions;
  std::vector<std::string> rdonly_exceptions;
  WorkflowOptions options;
  std::string reverse_of;     // keyspace.name of the forward workflow; empty in a forward one
  int64_t created_at_ms = 0;  // since 1970
  // In kCreating: the decision to undo has been taken, there is no way forward any more.
  bool undoing = false;
  // The streams are to be started and that is not confirmed yet; the recovery starts them. Cleared
  // by start, stop and everything that takes the streams over.
  bool start_pending = false;
  // The streams are to get the options as they are here and that is not confirmed yet; the recovery
  // gives them. Cleared likewise.
  bool update_pending = false;
  std::string throttled;  // its copy waits, by hand, for this reason; empty: not
  std::string message;    // why it stands in its phase, for people; empty when all is well
  friend bool operator==(const WorkflowRecord&, const WorkflowRecord&) = default;
};

// "customer.commerce2customer": the key of a workflow everywhere.
std::string WorkflowKey(absl::string_view keyspace, absl::string_view name);
std::string WorkflowKey(const WorkflowRecord& record);
// The key under which commands on a workflow and on its reverse exclude each other: the forward
// one.
std::string OperationKey(const WorkflowRecord& record);
// "<name>_reverse"; for a name that has the ending already, the name without it.
std::string ReverseName(absl::string_view name);

// It moves whole shards, some of a keyspace's, and their reads and writes at once.
inline constexpr char kPartial[] = "Partial";
bool IsPartial(const WorkflowRecord& record);

// Moves reads of a type to the target or back to the source: those of these cells, or all of them
// (none named), those of cells that are yet to come included.
void MoveReplicaReads(bool to_target, const std::vector<std::string>& cells,
                      WorkflowRecord& record);
void MoveRdonlyReads(bool to_target, const std::vector<std::string>& cells, WorkflowRecord& record);
// Whether all reads of these cells (none named: of any) are at the target, or at the source.
bool AllReplicaReadsAre(bool at_target, const std::vector<std::string>& cells,
                        const WorkflowRecord& record);
bool AllRdonlyReadsAre(bool at_target, const std::vector<std::string>& cells,
                       const WorkflowRecord& record);

// The traffic as our users know it: "Reads Not Switched. Writes Not Switched", "All Reads Switched.
// Writes Switched", "Reads partially switched. All Replica Reads Switched. Rdonly not switched.
// Writes Not Switched", "Reads partially switched. Replica switched in cells: zone1. Rdonly not
// switched. Writes Not Switched". Of a partial workflow: "Reads partially switched, for shards:
// -80. Writes partially switched, for shards: -80"; with `whole_keyspace`, when the other shards
// are where its own are: "All Reads Switched. All Writes Switched".
std::string TrafficStateText(const WorkflowRecord& record, bool whole_keyspace = false);

// The table rules of this record's move, in the forward direction (a reverse record is turned
// round: its flags are those of the forward one, negated). Those of a partial workflow lead to the
// source always: its traffic goes by the rules of shards.
routing::MoveRules MoveRulesOf(const WorkflowRecord& record);
// The keyspaces of this record's move, in the forward direction.
routing::ShardMove ShardMoveOf(const WorkflowRecord& record);

// Leaves only the streams into these shards of the target in the record; all when none is named.
// NOT_FOUND names a shard that the workflow does not move.
absl::Status KeepStreamsOf(const std::vector<std::string>& shards, WorkflowRecord& record);

// Workflow names: letters, digits, '_', '-', 1 to 64 bytes. INVALID_ARGUMENT names it.
absl::Status ValidateWorkflowName(absl::string_view name);

}  // namespace sluice::workflow
