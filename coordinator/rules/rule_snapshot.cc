// RuleSnapshot: homes of tables, and the form for the proxies.

#include "coordinator/rules/rule_snapshot.h"

#include <utility>

#include "common/wire/wire.h"

namespace sluice::rules {

std::vector<store::TableHome> ComputeHomes(
    const std::map<std::string, std::set<std::string>>& tables_by_keyspace,
    const std::vector<store::TableHome>& explicit_homes) {
  std::map<std::string, std::string> homes;
  for (const auto& [keyspace, tables] : tables_by_keyspace) {
    for (const std::string& table : tables) {
      const auto [home, is_new] = homes.emplace(table, keyspace);
      if (!is_new) {
        home->second.clear();
      }
    }
  }
  for (const store::TableHome& home : explicit_homes) {
    const auto keyspace = tables_by_keyspace.find(home.keyspace);
    if (keyspace != tables_by_keyspace.end() && keyspace->second.contains(home.table)) {
      homes[home.table] = home.keyspace;
    }
  }
  std::vector<store::TableHome> result;
  result.reserve(homes.size());
  for (auto& [table, keyspace] : homes) {
    result.push_back({table, std::move(keyspace)});
  }
  return result;
}

void FillRuleSet(const RuleSnapshot& snapshot, schemas::RuleSet::Builder builder) {
  builder.setEpoch(snapshot.epoch);
  auto table_rules = builder.initTableRules(wire::Size(snapshot.rules.table_rules));
  for (unsigned i = 0; i < table_rules.size(); ++i) {
    table_rules[i].setFromTable(snapshot.rules.table_rules[i].from_table);
    table_rules[i].setToTable(snapshot.rules.table_rules[i].to_table);
  }
  auto shard_rules = builder.initShardRules(wire::Size(snapshot.rules.shard_rules));
  for (unsigned i = 0; i < shard_rules.size(); ++i) {
    shard_rules[i].setFromKeyspace(snapshot.rules.shard_rules[i].from_keyspace);
    shard_rules[i].setShard(snapshot.rules.shard_rules[i].shard);
    shard_rules[i].setToKeyspace(snapshot.rules.shard_rules[i].to_keyspace);
  }
  auto holds = builder.initHolds(wire::Size(snapshot.rules.holds));
  for (unsigned i = 0; i < holds.size(); ++i) {
    const store::Hold& hold = snapshot.rules.holds[i];
    holds[i].setCutoverId(hold.cutover_id);
    wire::Fill(holds[i].initTables(wire::Size(hold.tables)), hold.tables);
    holds[i].setLeaseMs(hold.lease_ms);
    wire::Fill(holds[i].initShards(wire::Size(hold.shards)), hold.shards);
  }
  auto tablets = builder.initTablets(wire::Size(snapshot.tablets));
  for (unsigned i = 0; i < tablets.size(); ++i) {
    const topology::TabletInfo& tablet = snapshot.tablets[i];
    tablets[i].setAlias(tablet.alias);
    tablets[i].setCell(tablet.cell);
    tablets[i].setKeyspace(tablet.keyspace);
    tablets[i].setShard(tablet.shard);
    tablets[i].setType(wire::WireOf(tablet.type));
    tablets[i].setHost(tablet.mysql_host);
    tablets[i].setPort(tablet.mysql_port);
    tablets[i].setDatabase(tablet.database);
    tablets[i].setServing(tablet.serving);
  }
  wire::Fill(builder.initKeyspaces(wire::Size(snapshot.keyspaces)), snapshot.keyspaces);
  auto homes = builder.initHomes(wire::Size(snapshot.homes));
  for (unsigned i = 0; i < homes.size(); ++i) {
    homes[i].setTable(snapshot.homes[i].table);
    homes[i].setKeyspace(snapshot.homes[i].keyspace);
  }
}

}  // namespace sluice::rules
