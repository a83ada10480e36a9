// AgentConfig: the agent's settings, read from a TOML file.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"
#include "common/routing/target.h"

namespace sluice::agent {

// One shard that the mysqld holds; to the cluster it is a tablet of its own.
struct ShardConfig {
  uint32_t uid = 0;
  std::string keyspace;
  std::string shard;
  routing::TabletType type = routing::TabletType::kUnknown;
  std::string database;  // the MySQL schema of the shard
};

struct AgentConfig {
  std::string cell;
  std::vector<ShardConfig> shards;  // at least one; uid, database and place are each unique
  std::string listen;               // tcp://host:port; port 0 picks a free one
  std::string advertise_url;        // where others dial this agent; empty: the bound listen URL
  std::string coordinator;          // tcp://host:port
  mysql::ConnectionOptions mysql;
  std::string mysql_advertise_host;   // where proxies dial mysqld
  uint16_t mysql_advertise_port = 0;  // 0: the port that mysqld itself says

  // "zone1-100".
  [[nodiscard]] std::string AliasOf(const ShardConfig& shard) const;
  // What the agent as a whole is called in logs: the alias of its first shard.
  [[nodiscard]] std::string name() const { return AliasOf(shards.front()); }
  // The index of the shard that the database holds; nullopt when it is none of this agent's.
  [[nodiscard]] std::optional<size_t> FindDatabase(absl::string_view database) const;
  [[nodiscard]] std::vector<std::string> Databases() const;
  // "vt_a (zone1-100), vt_b (zone1-101)", for errors.
  [[nodiscard]] std::string DescribeDatabases() const;
};

// Reads the file, and the option file or password file that it names (relative to its own folder).
// Errors name the file and every key that is wrong, missing or unknown, at once.
absl::StatusOr<AgentConfig> LoadAgentConfig(const std::string& path);

}  // namespace sluice::agent
