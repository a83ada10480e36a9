// What the rules say of a workflow at each of its moments. Pure.

#pragma once

#include <string>
#include <vector>

#include "coordinator/store/records.h"
#include "coordinator/workflow/record.h"

namespace sluice::workflow {

// Makes the table rules of the move what the record's flags say, and of a partial workflow the
// rules of its shards.
void RouteMove(const WorkflowRecord& record, store::RuleState& rules);

// The shards of the keyspace that the record's target does not serve. Meant for partial ones.
std::vector<std::string> ShardsElsewhere(const WorkflowRecord& record,
                                         const std::vector<std::string>& keyspace_shards,
                                         const std::vector<store::ShardRule>& rules);

// Whether the rules between the two keyspaces of a partial workflow may go: none of `living` moves
// shards between them, and one of the two serves every shard.
bool ShardMoveIsOver(const WorkflowRecord& record, const std::vector<WorkflowRecord>& living,
                     const std::vector<std::string>& keyspace_shards,
                     const std::vector<store::ShardRule>& rules);
// Removes them, table rules included, and makes `home` the home of the record's tables.
void EndShardMove(const WorkflowRecord& record, const std::string& home, store::RuleState& rules);

}  // namespace sluice::workflow
