// Dependencies: the parts of the coordinator that traffic commands work with.

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/admin/traffic_api.h"
#include "coordinator/cutover/records.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/store/store.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/agents.h"
#include "coordinator/workflow/operation_lock.h"

namespace sluice::traffic {

// All of them outlive what holds this.
struct Dependencies {
  store::Store& store;
  topology::Topology& topology;
  rules::RuleService& rules;
  workflow::Agents& agents;
  workflow::OperationLocks& locks;
};

// A workflow found by either of its names.
struct Resolved {
  cutover::Records records;
  bool by_reverse_name = false;
  [[nodiscard]] std::string key() const { return workflow::WorkflowKey(records.original); }
};

// NOT_FOUND "workflow customer.x does not exist".
absl::StatusOr<Resolved> Resolve(store::Store& store, const admin::WorkflowRef& ref);

// The exclusion of other commands on a workflow, shared with what goes on in the background.
using Exclusion = std::shared_ptr<workflow::OperationLocks::Guard>;
absl::StatusOr<Exclusion> Exclude(workflow::OperationLocks& locks, const std::string& key,
                                  absl::string_view command);

}  // namespace sluice::traffic
