// Shard routing rules: which keyspace serves a shard while a keyspace is moved shard by shard, and
// their JSON forms. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::routing {

// What is meant for from_keyspace/shard goes to to_keyspace/shard, whatever the table.
struct ShardRule {
  std::string from_keyspace;
  std::string shard;
  std::string to_keyspace;
  friend bool operator==(const ShardRule&, const ShardRule&) = default;
};

// Reads {"rules":[{"from_keyspace":…,"to_keyspace":…,"shard":…}]}, camelCase too. INVALID_ARGUMENT
// names the rule and what is wrong: not JSON, a field that is missing, unknown or given in both
// spellings, a shard with two rules, one that leads to its own keyspace, or to a shard that another
// rule sends on (proxies follow one rule).
absl::StatusOr<std::vector<ShardRule>> ParseShardRulesJson(absl::string_view json);
// snake_case, sorted by keyspace and shard, two-space indented; {"rules": []} when empty.
std::string ShardRulesToJson(const std::vector<ShardRule>& rules);

// "ks2/-80 -> ks/-80".
std::string ShardRuleText(const ShardRule& rule);

// Two keyspaces of the same shards between which shards move.
struct ShardMove {
  std::string source_keyspace;
  std::string target_keyspace;
  friend bool operator==(const ShardMove&, const ShardMove&) = default;
};

// Whether the rule sends a shard from one keyspace of the move to the other.
bool IsOfMove(const ShardRule& rule, const ShardMove& move);
// Whether the rules send what is meant for the source's shard to the target.
bool GoesToTarget(const std::vector<ShardRule>& rules, const ShardMove& move,
                  absl::string_view shard);
// The rules with these shards served by the target, or by the source.
std::vector<ShardRule> WithShardsAt(std::vector<ShardRule> rules, const ShardMove& move,
                                    const std::vector<std::string>& shards, bool target);
// The rules, and one to the source for each of the shards of which the move has none.
std::vector<ShardRule> WithDefaults(std::vector<ShardRule> rules, const ShardMove& move,
                                    const std::vector<std::string>& shards);
std::vector<ShardRule> WithoutShardMove(std::vector<ShardRule> rules, const ShardMove& move);

}  // namespace sluice::routing
