// RuleSnapshot: from the wire's form, with checks.

#include "proxy/rule_snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"

namespace sluice::proxy {
namespace {

using wire::Str;
using wire::TypeOf;

absl::Status CheckFrom(const std::string& from) {
  const size_t at = from.find('@');
  const absl::string_view name = absl::string_view(from).substr(0, at);
  const size_t dot = name.find('.');
  const bool malformed = name.empty() || dot == 0 || dot == name.size() - 1 ||
                         (dot != absl::string_view::npos && name.find('.', dot + 1) != dot &&
                          name.find('.', dot + 1) != absl::string_view::npos);
  if (malformed) {
    return absl::InvalidArgumentError(absl::StrCat("rule of '", from, "': not a table name"));
  }
  if (at != std::string::npos && !routing::ParseTabletType(from.substr(at + 1)).ok()) {
    return absl::InvalidArgumentError(absl::StrCat("rule of '", from, "': unknown tablet type"));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<routing::TableRule>> ReadRules(
    schemas::RuleSet::Reader set, const absl::flat_hash_set<std::string>& keyspaces) {
  std::vector<routing::TableRule> rules;
  absl::flat_hash_set<std::string> seen;
  rules.reserve(set.getTableRules().size());
  for (const auto item : set.getTableRules()) {
    routing::TableRule rule{Str(item.getFromTable()), Str(item.getToTable())};
    SLUICE_RETURN_IF_ERROR(CheckFrom(rule.from_table));
    if (!seen.insert(rule.from_table).second) {
      return absl::InvalidArgumentError(absl::StrCat("two rules for '", rule.from_table, "'"));
    }
    const size_t dot = rule.to_table.find('.');
    if (!rule.to_table.empty()) {
      if (dot == std::string::npos || dot == 0 || dot + 1 == rule.to_table.size()) {
        return absl::InvalidArgumentError(absl::StrCat("rule of '", rule.from_table, "': '",
                                                       rule.to_table, "' is not keyspace.table"));
      }
      if (!keyspaces.contains(rule.to_table.substr(0, dot))) {
        return absl::InvalidArgumentError(absl::StrCat(
            "rule of '", rule.from_table, "': unknown keyspace in '", rule.to_table, "'"));
      }
    }
    rules.push_back(std::move(rule));
  }
  return rules;
}

}  // namespace

absl::StatusOr<std::shared_ptr<const RuleSnapshot>> RuleSnapshot::Create(
    schemas::RuleSet::Reader set) {
  if (set.getEpoch() == 0) {
    return absl::InvalidArgumentError("a rule set without an epoch");
  }
  absl::flat_hash_set<std::string> keyspaces;
  for (const auto keyspace : set.getKeyspaces()) {
    keyspaces.insert(Str(keyspace));
  }
  for (const auto tablet : set.getTablets()) {
    keyspaces.insert(Str(tablet.getKeyspace()));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<routing::TableRule> rules, ReadRules(set, keyspaces));
  std::shared_ptr<RuleSnapshot> snapshot(new RuleSnapshot(set.getEpoch(), rules));
  snapshot->keyspaces_.assign(keyspaces.begin(), keyspaces.end());
  std::sort(snapshot->keyspaces_.begin(), snapshot->keyspaces_.end());
  snapshot->keyspace_set_ = std::move(keyspaces);
  SLUICE_RETURN_IF_ERROR(snapshot->ReadTopology(set));
  SLUICE_RETURN_IF_ERROR(snapshot->ReadHolds(set));
  return std::shared_ptr<const RuleSnapshot>(std::move(snapshot));
}

absl::Status RuleSnapshot::ReadTopology(schemas::RuleSet::Reader set) {
  absl::flat_hash_set<std::string> aliases;
  for (const auto item : set.getTablets()) {
    Tablet tablet{Str(item.getAlias()),    Str(item.getKeyspace()), Str(item.getShard()),
                  TypeOf(item.getType()),  Str(item.getHost()),     item.getPort(),
                  Str(item.getDatabase()), Str(item.getCell()),     item.getServing()};
    if (!aliases.insert(tablet.alias).second) {
      return absl::InvalidArgumentError(absl::StrCat("tablet ", tablet.alias, " is listed twice"));
    }
    if (tablet.serving && (tablet.host.empty() || tablet.port == 0 || tablet.database.empty())) {
      return absl::InvalidArgumentError(
          absl::StrCat("tablet ", tablet.alias, " serves but has no address or database"));
    }
    tablets_.push_back(std::move(tablet));
  }
  for (const auto item : set.getShardRules()) {
    const std::string to = Str(item.getToKeyspace());
    if (!HasKeyspace(to)) {
      return absl::InvalidArgumentError(
          absl::StrCat("a shard rule to unknown keyspace '", to, "'"));
    }
    const auto [position, is_new] = shard_rules_.emplace(
        absl::StrCat(Str(item.getFromKeyspace()), "/", Str(item.getShard())), to);
    if (!is_new) {
      return absl::InvalidArgumentError(absl::StrCat("two shard rules for ", position->first));
    }
  }
  for (const auto item : set.getHomes()) {
    homes_.emplace(Str(item.getTable()), Str(item.getKeyspace()));
  }
  return absl::OkStatus();
}

absl::Status RuleSnapshot::ReadHolds(schemas::RuleSet::Reader set) {
  for (const auto item : set.getHolds()) {
    Hold hold;
    hold.cutover_id = Str(item.getCutoverId());
    hold.lease = absl::Milliseconds(item.getLeaseMs());
    for (const auto table : item.getTables()) {
      std::string name = Str(table);
      if (!absl::StrContains(name, '.')) {
        return absl::InvalidArgumentError(absl::StrCat("hold ", hold.cutover_id, ": '", name,
                                                       "' is not of the form keyspace.table"));
      }
      hold.tables.push_back(std::move(name));
    }
    holds_.push_back(std::move(hold));
  }
  return absl::OkStatus();
}

bool RuleSnapshot::HasKeyspace(absl::string_view keyspace) const {
  return keyspace_set_.contains(keyspace);
}

std::vector<std::string> RuleSnapshot::ShardsOf(absl::string_view keyspace) const {
  std::vector<std::string> shards;
  for (const Tablet& tablet : tablets_) {
    if (tablet.keyspace == keyspace) {
      shards.push_back(tablet.shard);
    }
  }
  std::sort(shards.begin(), shards.end());
  shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  return shards;
}

std::optional<std::string> RuleSnapshot::HomeOf(absl::string_view table) const {
  const auto found = homes_.find(table);
  return found == homes_.end() ? std::nullopt : std::optional<std::string>(found->second);
}

std::string RuleSnapshot::ShardKeyspace(const std::string& keyspace,
                                        const std::string& shard) const {
  if (shard_rules_.empty()) {
    return keyspace;
  }
  const auto found = shard_rules_.find(absl::StrCat(keyspace, "/", shard));
  return found == shard_rules_.end() ? keyspace : found->second;
}

std::vector<const Tablet*> RuleSnapshot::Serving(absl::string_view keyspace,
                                                 absl::string_view shard,
                                                 routing::TabletType type) const {
  std::vector<const Tablet*> serving;
  for (const Tablet& tablet : tablets_) {
    if (tablet.serving && tablet.type == type && tablet.keyspace == keyspace &&
        tablet.shard == shard) {
      serving.push_back(&tablet);
    }
  }
  return serving;
}

}  // namespace sluice::proxy
