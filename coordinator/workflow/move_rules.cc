// Rules of workflows, and what is left of them when the last one between two keyspaces has ended.

#include "coordinator/workflow/move_rules.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace sluice::workflow {
namespace {

// The tables that a move has rules for: also those of workflows that have ended. No operator needs
// a rule from target.t to source.t.
std::vector<std::string> TablesWithRules(const routing::ShardMove& move,
                                         const std::vector<routing::TableRule>& rules) {
  std::vector<std::string> tables;
  for (const routing::TableRule& rule : rules) {
    absl::string_view table = rule.to_table;
    if (absl::ConsumePrefix(&table, absl::StrCat(move.source_keyspace, ".")) &&
        rule.from_table == absl::StrCat(move.target_keyspace, ".", table)) {
      tables.emplace_back(table);
    }
  }
  return tables;
}

}  // namespace

void RouteMove(const WorkflowRecord& record, store::RuleState& rules) {
  const routing::MoveRules move = MoveRulesOf(record);
  rules.table_rules = routing::WithoutMove(std::move(rules.table_rules), move);
  for (routing::TableRule& rule : routing::RulesOfMove(move)) {
    rules.table_rules.push_back(std::move(rule));
  }
  if (IsPartial(record)) {
    const bool forward = record.reverse_of.empty();
    rules.shard_rules = routing::WithShardsAt(std::move(rules.shard_rules), ShardMoveOf(record),
                                              forward ? record.source_shards : record.target_shards,
                                              record.writes_switched == forward);
  }
}

std::vector<std::string> ShardsElsewhere(const WorkflowRecord& record,
                                         const std::vector<std::string>& keyspace_shards,
                                         const std::vector<store::ShardRule>& rules) {
  const routing::ShardMove there = {.source_keyspace = record.source_keyspace,
                                    .target_keyspace = record.target_keyspace};
  std::vector<std::string> elsewhere;
  for (const std::string& shard : keyspace_shards) {
    if (!routing::GoesToTarget(rules, there, shard)) {
      elsewhere.push_back(shard);
    }
  }
  return elsewhere;
}

bool ShardMoveIsOver(const WorkflowRecord& record, const std::vector<WorkflowRecord>& living,
                     const std::vector<std::string>& keyspace_shards,
                     const std::vector<store::ShardRule>& rules) {
  const routing::ShardMove move = ShardMoveOf(record);
  if (std::any_of(living.begin(), living.end(), [&](const WorkflowRecord& other) {
        return IsPartial(other) && ShardMoveOf(other) == move;
      })) {
    return false;
  }
  const auto moved = std::count_if(
      keyspace_shards.begin(), keyspace_shards.end(),
      [&](const std::string& shard) { return routing::GoesToTarget(rules, move, shard); });
  return moved == 0 || static_cast<size_t>(moved) == keyspace_shards.size();
}

void EndShardMove(const WorkflowRecord& record, const std::string& home, store::RuleState& rules) {
  const routing::ShardMove move = ShardMoveOf(record);
  routing::MoveRules tables = MoveRulesOf(record);
  for (std::string& table : TablesWithRules(move, rules.table_rules)) {
    tables.tables.push_back(std::move(table));
  }
  rules.table_rules = routing::WithoutMove(std::move(rules.table_rules), tables);
  rules.shard_rules = routing::WithoutShardMove(std::move(rules.shard_rules), move);
  const std::set<std::string> names(tables.tables.begin(), tables.tables.end());
  std::erase_if(rules.homes,
                [&](const store::TableHome& each) { return names.contains(each.table); });
  for (const std::string& table : names) {
    rules.homes.push_back({.table = table, .keyspace = home});
  }
}

}  // namespace sluice::workflow
