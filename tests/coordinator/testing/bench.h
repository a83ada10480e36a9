// Bench: the coordinator's parts on a store in a temporary folder, with fake agents.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "coordinator/rules/rule_service.h"
#include "coordinator/store/sqlite_store.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/agents.h"
#include "coordinator/workflow/create_plan.h"
#include "coordinator/workflow/operation_lock.h"
#include "tests/coordinator/testing/fake_agent.h"
#include "tests/testing/temp_dir.h"

namespace sluice::testing {

class Bench {
 public:
  Bench();
  ~Bench();

  // Ends the coordinator's parts, as a kill would leave them, and starts them on the same store.
  void Restart();

  FakeAgent& AddAgent(const FakeAgentOptions& options);
  // Takes each agent's report, as if a second had passed.
  void Report();

  [[nodiscard]] workflow::Services services();

  TempDir dir;
  std::unique_ptr<store::Store> store;
  std::unique_ptr<topology::Topology> topology;
  std::unique_ptr<rules::RuleService> rules;
  std::unique_ptr<workflow::AgentPool> pool;
  workflow::OperationLocks locks;
  std::vector<std::unique_ptr<FakeAgent>> agents;

 private:
  void Open();
  void Close();
};

// Two unsharded keyspaces with one PRIMARY each; tables customer and corder in commerce.
class MoveBench : public Bench {
 public:
  MoveBench();
  FakeAgent& source;
  FakeAgent& target;
};

}  // namespace sluice::testing
