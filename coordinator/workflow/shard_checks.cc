// What a move must not begin with: other workflows, rules, and the shards of a partial one.

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/workflow/create_checks.h"

namespace sluice::workflow {
namespace {

constexpr char kReservedPrefix[] = "_sluice_";

absl::Status Refused(absl::string_view why) {
  return absl::FailedPreconditionError(why);
}

absl::Status CheckNames(const WorkflowRecord& record, const WorkflowRecord& other) {
  const std::string reverse = ReverseName(record.name);
  if (other.keyspace == record.keyspace && other.name == record.name) {
    return absl::AlreadyExistsError(
        absl::StrCat("workflow ", record.name, " already exists in keyspace ", record.keyspace));
  }
  if (other.keyspace == record.source_keyspace && other.name == reverse) {
    return absl::AlreadyExistsError(
        absl::StrCat("workflow ", reverse, " already exists in keyspace ", other.keyspace,
                     "; the reverse of ", record.name, " needs that name"));
  }
  return absl::OkStatus();
}

absl::Status CheckTables(const WorkflowRecord& record, const WorkflowRecord& other) {
  const std::set<std::string> tables(record.tables.begin(), record.tables.end());
  for (const std::string& table : other.tables) {
    if (tables.contains(table)) {
      return Refused(absl::StrCat("table ", table, " is moved by workflow ", OperationKey(other),
                                  " already; complete or cancel that one first"));
    }
  }
  return absl::OkStatus();
}

// One of the two is partial, and they have a keyspace in common.
absl::Status CheckShards(const WorkflowRecord& record, const WorkflowRecord& other) {
  // Of a reverse workflow the one that can be completed or cancelled.
  const std::string key = OperationKey(other);
  if (IsPartial(record) != IsPartial(other)) {
    return Refused(absl::StrCat(
        "workflow ", key, " moves ", IsPartial(other) ? "shards" : "tables", " between keyspaces ",
        other.source_keyspace, " and ", other.target_keyspace,
        "; what is moved shard by shard is routed with all of its keyspace, so the two can't be "
        "under way together: complete or cancel that one first"));
  }
  const routing::ShardMove move = ShardMoveOf(record);
  const routing::ShardMove others = ShardMoveOf(other);
  if (others != move) {
    return Refused(absl::StrCat("workflow ", key, " moves shards from keyspace ",
                                others.source_keyspace, " to ", others.target_keyspace,
                                "; until that is over, neither takes part in another move"));
  }
  for (const std::string& shard : record.source_shards) {
    const std::vector<std::string>& taken = other.source_shards;
    if (std::find(taken.begin(), taken.end(), shard) != taken.end()) {
      return Refused(absl::StrCat("shard ", shard, " is moved by workflow ", key,
                                  " already; complete or cancel that one first"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckTableRules(const WorkflowRecord& record,
                             const std::vector<routing::TableRule>& rules) {
  std::map<std::string, std::string> ours;
  for (const routing::TableRule& rule : routing::RulesOfMove(MoveRulesOf(record))) {
    ours.emplace(rule.from_table, rule.to_table);
  }
  for (const routing::TableRule& rule : rules) {
    const auto found = ours.find(rule.from_table);
    if (found != ours.end() && found->second != rule.to_table) {
      return Refused(absl::StrCat(
          "routing rule ", rule.from_table, " -> ",
          rule.to_table.empty() ? "nothing" : rule.to_table,
          " sends a table of the move elsewhere; remove it with applyroutingrules first"));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckShardRules(const WorkflowRecord& record,
                             const std::vector<routing::ShardRule>& rules) {
  const routing::ShardMove move = ShardMoveOf(record);
  const std::set<std::string> keyspaces = {move.source_keyspace, move.target_keyspace};
  for (const routing::ShardRule& rule : rules) {
    if (!keyspaces.contains(rule.from_keyspace) && !keyspaces.contains(rule.to_keyspace)) {
      continue;
    }
    const std::string name = absl::StrCat("shard routing rule ", routing::ShardRuleText(rule));
    if (!IsPartial(record)) {
      return Refused(absl::StrCat(name,
                                  " stands in the way of a move of tables; end the move shard by "
                                  "shard, or remove it with applyshardroutingrules first"));
    }
    if (!routing::IsOfMove(rule, move)) {
      return Refused(absl::StrCat(name, " sends a shard of keyspaces ", move.source_keyspace,
                                  " and ", move.target_keyspace,
                                  " elsewhere; remove it with applyshardroutingrules first"));
    }
    const bool moved = rule.from_keyspace == move.source_keyspace;
    const std::vector<std::string>& shards = record.source_shards;
    if (moved && std::find(shards.begin(), shards.end(), rule.shard) != shards.end()) {
      return Refused(absl::StrCat("shard ", rule.shard, " is served by keyspace ",
                                  move.target_keyspace, " already (", name,
                                  "); leave it out of --source-shards"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckOtherWorkflows(const WorkflowRecord& record,
                                 const std::vector<WorkflowRecord>& others) {
  for (const WorkflowRecord& other : others) {
    if (absl::Status named = CheckNames(record, other); !named.ok()) {
      return named;
    }
  }
  const std::set<std::string> keyspaces = {record.source_keyspace, record.target_keyspace};
  for (const WorkflowRecord& other : others) {
    if (!keyspaces.contains(other.source_keyspace) && !keyspaces.contains(other.target_keyspace)) {
      continue;
    }
    const bool shards = IsPartial(record) || IsPartial(other);
    absl::Status status = shards ? CheckShards(record, other) : CheckTables(record, other);
    if (!status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> SelectShards(const store::KeyspaceRecord& keyspace,
                                                      const std::vector<std::string>& named) {
  if (named.empty()) {
    return keyspace.shards;
  }
  const std::set<std::string> known(keyspace.shards.begin(), keyspace.shards.end());
  std::set<std::string> wanted;
  for (const std::string& shard : named) {
    if (!known.contains(shard)) {
      return absl::NotFoundError(absl::StrCat("keyspace ", keyspace.name, " has no shard ", shard,
                                              " (--source-shards); it has ",
                                              absl::StrJoin(keyspace.shards, ", ")));
    }
    if (!wanted.insert(shard).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("shard ", shard, " is twice in --source-shards"));
    }
  }
  std::vector<std::string> shards;
  std::copy_if(keyspace.shards.begin(), keyspace.shards.end(), std::back_inserter(shards),
               [&](const std::string& shard) { return wanted.contains(shard); });
  return shards;
}

absl::Status CheckWholeShard(const WorkflowRecord& record, const std::string& shard,
                             const std::vector<TableDescription>& existing) {
  const std::set<std::string> moved(record.tables.begin(), record.tables.end());
  std::vector<std::string> left;
  for (const TableDescription& table : existing) {
    if (table.exists && !table.is_view && !absl::StartsWith(table.name, kReservedPrefix) &&
        !moved.contains(table.name)) {
      left.push_back(table.name);
    }
  }
  return left.empty()
             ? absl::OkStatus()
             : Refused(absl::StrCat("table(s) ", absl::StrJoin(left, ", "), " of shard ",
                                    record.source_keyspace, "/", shard,
                                    " would be left behind: a shard is routed as a whole, so all "
                                    "of its tables must move; say --all-tables, and no "
                                    "--exclude-tables"));
}

absl::Status CheckTargetIsFree(const WorkflowRecord& record,
                               const std::map<std::string, std::set<std::string>>& standing,
                               const std::vector<routing::ShardRule>& rules) {
  const routing::ShardMove move = ShardMoveOf(record);
  const std::set<std::string> shards(record.target_shards.begin(), record.target_shards.end());
  const std::set<std::string> moved(record.tables.begin(), record.tables.end());
  std::vector<std::string> lost;
  for (const auto& [shard, tables] : standing) {
    if (routing::GoesToTarget(rules, move, shard)) {
      continue;
    }
    for (const std::string& table : tables) {
      // CheckTargetTables says more of those that the move is about.
      if (!shards.contains(shard) || !moved.contains(table)) {
        lost.push_back(absl::StrCat(record.target_keyspace, "/", shard, " ", table));
      }
    }
  }
  return lost.empty()
             ? absl::OkStatus()
             : Refused(absl::StrCat("table(s) of the target keyspace would be out of reach: ",
                                    absl::StrJoin(lost, ", "),
                                    "; until a shard is switched, all that is meant for it goes to "
                                    "keyspace ",
                                    record.source_keyspace,
                                    ": move them elsewhere, or take another target"));
}

absl::Status CheckExistingRules(const WorkflowRecord& record, const store::RuleState& rules) {
  absl::Status status = CheckTableRules(record, rules.table_rules);
  return status.ok() ? CheckShardRules(record, rules.shard_rules) : status;
}

}  // namespace sluice::workflow
