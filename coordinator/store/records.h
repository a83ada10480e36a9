// The rows of the store that are not workflows: keyspaces, tablets, rules, proxies, cutovers.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/routing/rules.h"
#include "common/routing/shard_rules.h"
#include "common/routing/target.h"

namespace sluice::store {

struct KeyspaceRecord {
  std::string name;
  std::vector<std::string> shards;  // sorted
  friend bool operator==(const KeyspaceRecord&, const KeyspaceRecord&) = default;
};

// The last registration of a tablet, and its health when that last changed what proxies see.
struct TabletRecord {
  std::string alias;  // zone1-200
  std::string cell;
  uint32_t uid = 0;
  std::string keyspace;
  std::string shard;
  std::string database;
  std::string agent_url;
  std::string mysql_host;
  uint16_t mysql_port = 0;
  routing::TabletType configured_type = routing::TabletType::kUnknown;
  routing::TabletType type = routing::TabletType::kUnknown;
  bool serving = false;
  uint64_t incarnation = 0;
  friend bool operator==(const TabletRecord&, const TabletRecord&) = default;
};

using ShardRule = routing::ShardRule;

// New statements on these tables ("keyspace.table", both spellings) wait in the proxies.
struct Hold {
  std::string cutover_id;
  std::vector<std::string> tables;
  uint32_t lease_ms = 0;
  std::vector<std::string> shards;  // "keyspace/shard", of both sides; empty: all shards
  friend bool operator==(const Hold&, const Hold&) = default;
};

// Where a bare table name goes that no rule names.
struct TableHome {
  std::string table;
  std::string keyspace;  // empty: ambiguous
  friend bool operator==(const TableHome&, const TableHome&) = default;
};

// What proxies obey, but for the topology.
struct RuleState {
  std::vector<routing::TableRule> table_rules;
  std::vector<ShardRule> shard_rules;
  std::vector<Hold> holds;
  // Explicit ones: they decide where several keyspaces have the table. At most one of a table.
  std::vector<TableHome> homes;
  friend bool operator==(const RuleState&, const RuleState&) = default;
};

struct ProxyRecord {
  std::string id;
  std::string address;
  uint64_t epoch = 0;  // the last one that it said it obeys
  int64_t last_heard_ms = 0;
  friend bool operator==(const ProxyRecord&, const ProxyRecord&) = default;
};

struct CutoverStep {
  std::string name;
  std::string shard;       // keyspace/shard; empty when it concerns all
  int64_t started_us = 0;  // since 1970
  int64_t took_us = 0;
  std::string detail;
  std::string proxy = {};  // not empty: this one's part of the step
  friend bool operator==(const CutoverStep&, const CutoverStep&) = default;
};

struct CutoverAttempt {
  std::string id;
  std::string workflow;   // keyspace.name
  std::string direction;  // "forward" or "reverse"
  std::string result;     // empty while it runs; "committed", "rolled back: <why>"
  int64_t started_us = 0;
  int64_t finished_us = 0;
  std::vector<CutoverStep> steps;
  friend bool operator==(const CutoverAttempt&, const CutoverAttempt&) = default;
};

}  // namespace sluice::store
