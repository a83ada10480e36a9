// Views: the JSON documents of show, status and the lists.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/store/store.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/record.h"

namespace sluice::workflow {

// What the documents are made of.
struct ViewSources {
  store::Store& store;
  const topology::Topology& topology;
  const rules::RuleService& rules;
};

struct WorkflowQuery {
  std::string keyspace;
  std::string name;
  std::vector<std::string> shards;  // of the target; only their streams are shown; empty: all
};

// Shapes: coordinator/README.md. NOT_FOUND names an unknown workflow, keyspace or shard.
absl::StatusOr<std::string> ShowWorkflow(const ViewSources& from, const WorkflowQuery& query);
// `under_way`: what a cutover is at; empty when there is none.
absl::StatusOr<std::string> WorkflowStatus(const ViewSources& from, const WorkflowQuery& query,
                                           const std::string& under_way = "");
// The same document from a record at hand, for the answers of create, start and stop.
std::string StatusDocument(const WorkflowRecord& record, const topology::Topology& topology,
                           const rules::RuleService& rules, const std::string& under_way = "");
absl::StatusOr<std::string> ListWorkflowsJson(const ViewSources& from, const std::string& keyspace);
// {"summary":…,"dry_run_results":[…]}.
std::string DryRunDocument(const std::string& summary, const std::vector<std::string>& lines);
// {"summary":…,"details":[{"tablet":…,"changed":true}]}.
std::string UpdateDocument(const WorkflowRecord& record, const std::vector<std::string>& tablets);
// {"summary":…,"throttled":…,"reason":…,"workflows":[{"workflow":…,"reason":…}]}: the switch for
// all, and the workflows that are throttled by hand.
absl::StatusOr<std::string> ThrottleDocument(store::Store& store,
                                             const topology::Topology& topology);
std::string ListTabletsJson(const topology::Topology& topology);
std::string ListKeyspacesJson(const topology::Topology& topology);
absl::StatusOr<std::string> ShowKeyspaceJson(const topology::Topology& topology,
                                             const std::string& name);
std::string ListProxiesJson(const rules::RuleService& rules);
// `number`: only that one of them, the first is 1; 0: all.
std::string CutoverAttemptsJson(const std::vector<store::CutoverAttempt>& attempts,
                                uint32_t number = 0);

}  // namespace sluice::workflow
