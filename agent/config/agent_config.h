// AgentConfig: the agent's settings, read from a TOML file.

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"
#include "common/routing/target.h"

namespace sluice::agent {

struct AgentConfig {
  std::string cell;
  uint32_t uid = 0;
  std::string keyspace;
  std::string shard;
  routing::TabletType type = routing::TabletType::kUnknown;
  std::string database;       // the MySQL schema of the shard; vt_<keyspace>
  std::string listen;         // tcp://host:port; port 0 picks a free one
  std::string advertise_url;  // where others dial this agent; empty: the bound listen URL
  std::string coordinator;    // tcp://host:port
  mysql::ConnectionOptions mysql;
  std::string mysql_advertise_host;   // where proxies dial mysqld
  uint16_t mysql_advertise_port = 0;  // 0: the port that mysqld itself says

  // "zone1-100".
  [[nodiscard]] std::string alias() const;
};

// Reads the file, and the option file or password file that it names (relative to its own folder).
// Errors name the file and every key that is wrong, missing or unknown, at once.
absl::StatusOr<AgentConfig> LoadAgentConfig(const std::string& path);

}  // namespace sluice::agent
