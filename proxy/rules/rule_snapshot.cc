// RuleSnapshot: from the wire's form, with checks.

#include "proxy/rules/rule_snapshot.h"

#include <algorithm>
#include <utility>

#include "absl/hash/hash.h"
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
  const absl::Status typed = routing::CheckFromType(from);
  return typed.ok()
             ? typed
             : absl::InvalidArgumentError(absl::StrCat("rule of '", from, "': ", typed.message()));
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

std::string ServingKey(absl::string_view keyspace, absl::string_view shard,
                       routing::TabletType type) {
  return absl::StrCat(keyspace, "/", shard, "@", static_cast<int>(type));
}

// Of all that says where statements go.
uint64_t HashOfRoutes(schemas::RuleSet::Reader set, const std::vector<Tablet>& tablets,
                      const std::vector<std::string>& keyspaces) {
  uint64_t hash = absl::HashOf(keyspaces, set.getTableRules().size(), set.getShardRules().size());
  for (const auto rule : set.getTableRules()) {
    hash = absl::HashOf(hash, Str(rule.getFromTable()), Str(rule.getToTable()));
  }
  for (const auto rule : set.getShardRules()) {
    hash = absl::HashOf(hash, Str(rule.getFromKeyspace()), Str(rule.getShard()),
                        Str(rule.getToKeyspace()));
  }
  for (const auto home : set.getHomes()) {
    hash = absl::HashOf(hash, Str(home.getTable()), Str(home.getKeyspace()));
  }
  for (const Tablet& tablet : tablets) {
    hash = absl::HashOf(hash, tablet.alias, tablet.keyspace, tablet.shard, tablet.type, tablet.host,
                        tablet.port, tablet.database, tablet.cell, tablet.serving);
  }
  return hash;
}

}  // namespace

std::string NameOf(const Place& place) {
  return absl::StrCat(place.keyspace, "/", place.shard);
}

absl::StatusOr<std::shared_ptr<const RuleSnapshot>> RuleSnapshot::Create(
    schemas::RuleSet::Reader set, absl::string_view cell) {
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
  std::shared_ptr<RuleSnapshot> snapshot(new RuleSnapshot(set.getEpoch(), rules, cell));
  snapshot->keyspaces_.assign(keyspaces.begin(), keyspaces.end());
  std::sort(snapshot->keyspaces_.begin(), snapshot->keyspaces_.end());
  snapshot->keyspace_set_ = std::move(keyspaces);
  SLUICE_RETURN_IF_ERROR(snapshot->ReadTopology(set));
  SLUICE_RETURN_IF_ERROR(snapshot->ReadShardRules(set));
  SLUICE_RETURN_IF_ERROR(snapshot->ReadHolds(set));
  snapshot->Index();
  snapshot->routes_ = HashOfRoutes(set, snapshot->tablets_, snapshot->keyspaces_);
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
  for (const auto item : set.getHomes()) {
    homes_.emplace(Str(item.getTable()), Str(item.getKeyspace()));
  }
  return absl::OkStatus();
}

absl::Status RuleSnapshot::ReadShardRules(schemas::RuleSet::Reader set) {
  for (const auto item : set.getShardRules()) {
    const Place from{Str(item.getFromKeyspace()), Str(item.getShard())};
    const std::string to = Str(item.getToKeyspace());
    if (from.keyspace.empty() || from.shard.empty()) {
      return absl::InvalidArgumentError(
          absl::StrCat("a shard rule of '", NameOf(from), "': keyspace or shard is missing"));
    }
    if (!HasKeyspace(to)) {
      return absl::InvalidArgumentError(absl::StrCat("the shard rule of ", NameOf(from),
                                                     " leads to unknown keyspace '", to, "'"));
    }
    if (!shard_rules_.emplace(NameOf(from), to).second) {
      return absl::InvalidArgumentError(absl::StrCat("two shard rules for ", NameOf(from)));
    }
    const Place there{to, from.shard};
    const auto back = shard_rules_.find(NameOf(there));
    if (to != from.keyspace && back != shard_rules_.end() && back->second == from.keyspace) {
      return absl::InvalidArgumentError(absl::StrCat("the shard rules of ", NameOf(from), " and ",
                                                     NameOf(there), " lead to each other"));
    }
    ruled_places_.insert(NameOf(from));
    ruled_places_.insert(NameOf(there));
    shards_[from.keyspace].push_back(from.shard);
  }
  return absl::OkStatus();
}

void RuleSnapshot::Index() {
  for (const Tablet& tablet : tablets_) {
    shards_[tablet.keyspace].push_back(tablet.shard);
    if (tablet.serving) {
      serving_[ServingKey(tablet.keyspace, tablet.shard, tablet.type)].push_back(&tablet);
    }
  }
  for (auto& [keyspace, shards] : shards_) {
    std::sort(shards.begin(), shards.end());
    shards.erase(std::unique(shards.begin(), shards.end()), shards.end());
  }
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
    for (const auto shard : item.getShards()) {
      std::string name = Str(shard);
      const size_t slash = name.find('/');
      if (slash == std::string::npos || slash == 0 || slash + 1 == name.size()) {
        return absl::InvalidArgumentError(absl::StrCat("hold ", hold.cutover_id, ": '", name,
                                                       "' is not of the form keyspace/shard"));
      }
      hold.shards.push_back(std::move(name));
    }
    holds_.push_back(std::move(hold));
  }
  return absl::OkStatus();
}

bool RuleSnapshot::HasKeyspace(absl::string_view keyspace) const {
  return keyspace_set_.contains(keyspace);
}

const std::vector<std::string>& RuleSnapshot::ShardsOf(absl::string_view keyspace) const {
  static const std::vector<std::string> kNone;
  const auto found = shards_.find(keyspace);
  return found == shards_.end() ? kNone : found->second;
}

std::optional<std::string> RuleSnapshot::HomeOf(absl::string_view table) const {
  const auto found = homes_.find(table);
  return found == homes_.end() ? std::nullopt : std::optional<std::string>(found->second);
}

Place RuleSnapshot::ServedAt(const Place& place) const {
  if (shard_rules_.empty()) {
    return place;
  }
  const auto found = shard_rules_.find(NameOf(place));
  return found == shard_rules_.end() ? place : Place{found->second, place.shard};
}

bool RuleSnapshot::HasShardRule(const Place& place) const {
  return !ruled_places_.empty() && ruled_places_.contains(NameOf(place));
}

const std::vector<const Tablet*>& RuleSnapshot::Serving(const Place& place,
                                                        routing::TabletType type) const {
  static const std::vector<const Tablet*> kNone;
  const auto found = serving_.find(ServingKey(place.keyspace, place.shard, type));
  return found == serving_.end() ? kNone : found->second;
}

}  // namespace sluice::proxy
