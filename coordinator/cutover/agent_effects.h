// AgentEffects: the effects of a cutover as requests to agents and changes of the rules.

#pragma once

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "coordinator/cutover/effects.h"
#include "coordinator/cutover/releases.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/agents.h"

namespace sluice::cutover {

class AgentEffects : public Effects {
 public:
  // All of them outlive this.
  AgentEffects(workflow::Agents& agents, rules::RuleService& rules, topology::Topology& topology,
               Releases& releases)
      : agents_(agents), rules_(rules), topology_(topology), releases_(releases) {}

  EffectOutcome Run(const State& state, const Effect& effect, absl::Time deadline) override;

 private:
  // One effect with all that it works on.
  struct Job {
    const State& state;
    const Plan& plan;
    const Effect& effect;
    const Side* side;
    workflow::AgentRef agent;
    absl::Time deadline;
  };

  EffectOutcome RunAtAgent(const Job& job);
  EffectOutcome HoldRules(const Job& job);
  EffectOutcome ReleaseRules(const Job& job);
  EffectOutcome RouteRules(const Job& job);
  EffectOutcome AwaitProxies();
  EffectOutcome SetGate(const Job& job, workflow::GateState state);
  EffectOutcome AwaitRelease(const Job& job);
  EffectOutcome ProbeGate(const Job& job);
  EffectOutcome CheckStream(const Job& job);
  EffectOutcome RaiseCounters(const Job& job, uint64_t margin);
  EffectOutcome Seal(const Job& job);
  EffectOutcome Control(const Job& job, uint64_t stream, workflow::StreamAction action);
  EffectOutcome StartReverse(const Job& job);
  EffectOutcome PrepareReverse(const Job& job);
  EffectOutcome AwaitReplicas(const Job& job);
  EffectOutcome Journal(const Job& job);
  std::string JournalOf(const State& state);

  workflow::Agents& agents_;
  rules::RuleService& rules_;
  topology::Topology& topology_;
  Releases& releases_;

  // Of the last cutover that was committed: the same for each of its shards.
  absl::Mutex mutex_;
  std::string journal_of_ ABSL_GUARDED_BY(mutex_);  // cutover id
  std::string journal_ ABSL_GUARDED_BY(mutex_);
};

// The tables as a proxy may meet them: both keyspaces' spellings.
std::vector<std::string> HeldTables(const Plan& plan);
// The shards of both sides ("keyspace/shard"): statements that go to others do not wait.
std::vector<std::string> HeldShards(const Plan& plan);
// The commit record for the mysqlds.
std::string JournalRecord(const State& state);

}  // namespace sluice::cutover
