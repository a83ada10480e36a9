// CreatePlan: what a MoveTables create will do, found out without changing anything.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/store/store.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/agents.h"
#include "coordinator/workflow/operation_lock.h"
#include "coordinator/workflow/record.h"

namespace sluice::workflow {

// What the commands work with; all of it outlives them.
struct Services {
  store::Store& store;
  const topology::Topology& topology;
  rules::RuleService& rules;
  Agents& agents;
  OperationLocks& locks;
};

struct CreateArgs {
  std::string keyspace;  // target
  std::string name;
  std::string source_keyspace;
  std::vector<std::string> tables;
  bool all_tables = false;
  std::vector<std::string> exclude_tables;
  std::vector<std::string> source_shards;         // not empty: a partial workflow, of these
  std::vector<routing::TabletType> source_types;  // empty: REPLICA, else PRIMARY
  bool auto_start = true;
  bool stop_after_copy = false;
  stream::StreamOptions stream;  // its target_time_zone is not looked at
  uint32_t parallelism = 0;      // shards that are prepared at once; 0: kShardsAtOnce
  bool dry_run = false;
};

// Tables by stream, in the order of the record's streams.
using TablesByStream = std::vector<std::vector<TableDescription>>;

struct CreatePlan {
  WorkflowRecord record;  // its streams have no ids yet
  TablesByStream tables;
};

// Every check of a create. Errors name the thing and the remedy; nothing is changed by then.
absl::StatusOr<CreatePlan> PlanCreate(const Services& services, const CreateArgs& args,
                                      absl::Time deadline);

// The tables of a workflow as its sources define them now.
absl::StatusOr<TablesByStream> DescribeSources(const Services& services,
                                               const WorkflowRecord& record, absl::Time deadline);

// One line for each thing that the plan will do, for a dry run.
std::vector<std::string> DescribePlan(const CreatePlan& plan);

}  // namespace sluice::workflow
