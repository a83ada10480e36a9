// RuleService: the shard routing rules as operators read and write them.

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/routing/shard_rules.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/workflow/move_rules.h"
#include "coordinator/workflow/record.h"

namespace sluice::rules {
namespace {

using routing::ShardRule;

absl::Status Unknown(const ShardRule& rule, absl::string_view why) {
  return absl::NotFoundError(
      absl::StrCat("shard routing rule ", routing::ShardRuleText(rule), ": ", why));
}

// The rules about shards that a workflow reads from or writes to, sorted.
std::set<std::string> RulesAbout(const std::vector<ShardRule>& rules,
                                 const workflow::WorkflowRecord& record) {
  std::set<std::string> shards(record.source_shards.begin(), record.source_shards.end());
  shards.insert(record.target_shards.begin(), record.target_shards.end());
  const std::set<std::string> keyspaces = {record.source_keyspace, record.target_keyspace};
  std::set<std::string> about;
  for (const ShardRule& rule : rules) {
    if (shards.contains(rule.shard) &&
        (keyspaces.contains(rule.from_keyspace) || keyspaces.contains(rule.to_keyspace))) {
      about.insert(routing::ShardRuleText(rule));
    }
  }
  return about;
}

absl::Status CheckWorkflows(store::StoreReader& reader, const std::vector<ShardRule>& before,
                            const std::vector<ShardRule>& after) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<workflow::WorkflowRecord> workflows,
                          reader.ListWorkflows());
  for (const workflow::WorkflowRecord& record : workflows) {
    if (RulesAbout(before, record) != RulesAbout(after, record)) {
      const std::string key = workflow::OperationKey(record);
      return WithSubject(
          absl::FailedPreconditionError(absl::StrCat(
              "these rules change the routing of shards that workflow ", key, " moves (",
              absl::StrJoin(record.source_shards, ", "),
              "); keep the rules of those as they are (getshardroutingrules), or complete or "
              "cancel it first")),
          key);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status RuleService::CheckShards(const std::vector<ShardRule>& rules) const {
  for (const ShardRule& rule : rules) {
    for (const std::string& name : {rule.from_keyspace, rule.to_keyspace}) {
      const absl::StatusOr<store::KeyspaceRecord> keyspace = topology_.FindKeyspace(name);
      if (!keyspace.ok()) {
        return Unknown(rule, keyspace.status().message());
      }
      if (std::find(keyspace->shards.begin(), keyspace->shards.end(), rule.shard) ==
          keyspace->shards.end()) {
        return Unknown(rule, absl::StrCat("keyspace ", name, " has no shard ", rule.shard,
                                          "; it has ", absl::StrJoin(keyspace->shards, ", ")));
      }
    }
  }
  return absl::OkStatus();
}

std::vector<ShardRule> RuleService::ShardRules() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return snapshot_ == nullptr ? std::vector<ShardRule>() : snapshot_->rules.shard_rules;
}

std::string RuleService::GetShardRoutingRulesJson() const {
  return routing::ShardRulesToJson(ShardRules());
}

absl::StatusOr<std::string> RuleService::ApplyShardRoutingRules(const std::string& json,
                                                                bool dry_run) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<ShardRule> rules, routing::ParseShardRulesJson(json));
  SLUICE_RETURN_IF_ERROR(CheckShards(rules));
  if (dry_run) {
    const std::vector<ShardRule> before = ShardRules();
    SLUICE_RETURN_IF_ERROR(store_.Read(
        [&](store::StoreReader& reader) { return CheckWorkflows(reader, before, rules); }));
  } else {
    const absl::StatusOr<uint64_t> epoch =
        Change([&](store::StoreTransaction& transaction, store::RuleState& state) -> absl::Status {
          SLUICE_RETURN_IF_ERROR(CheckWorkflows(transaction, state.shard_rules, rules));
          state.shard_rules = rules;
          return absl::OkStatus();
        });
    SLUICE_RETURN_IF_ERROR(epoch.status());
  }
  return routing::ShardRulesToJson(rules);
}

std::string RuleService::TrafficState(const workflow::WorkflowRecord& record) const {
  if (!workflow::IsPartial(record)) {
    return workflow::TrafficStateText(record);
  }
  const absl::StatusOr<store::KeyspaceRecord> keyspace =
      topology_.FindKeyspace(record.source_keyspace);
  return workflow::TrafficStateText(
      record,
      keyspace.ok() && workflow::ShardsElsewhere(record, keyspace->shards, ShardRules()).empty());
}

}  // namespace sluice::rules
