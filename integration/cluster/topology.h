// Topology: which tablets and proxies a local cluster has, from a short TOML file.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/routing/target.h"

namespace sluice::cluster {

struct TabletSpec {
  std::string cell = "zone1";
  uint32_t uid = 0;
  std::string keyspace;
  std::string shard = "0";
  routing::TabletType type = routing::TabletType::kPrimary;
  // The uid of another tablet whose mysqld and agent are this one's too; 0: it has its own.
  uint32_t mysqld = 0;

  [[nodiscard]] uint32_t server() const { return mysqld == 0 ? uid : mysqld; }
  [[nodiscard]] bool owns_mysqld() const { return server() == uid; }
  [[nodiscard]] std::string alias() const { return cell + "-" + std::to_string(uid); }
  // The MySQL schema of the shard: vt_<keyspace>, and the shard where it is not the only one.
  [[nodiscard]] std::string database() const;
};

struct Topology {
  std::vector<TabletSpec> tablets;
  int proxies = 1;
  // Where they are, in order; those beyond are in the cell of the first tablet.
  std::vector<std::string> proxy_cells;

  [[nodiscard]] std::vector<std::string> Keyspaces() const;  // in order of appearance
  [[nodiscard]] std::vector<std::string> Shards(const std::string& keyspace) const;
  [[nodiscard]] const TabletSpec* PrimaryOf(const TabletSpec& replica) const;
};

// Names of that many key ranges of equal size: "-40", "40-80", "80-c0", "c0-"; of one: "0".
// REQUIRES: a power of two up to 65536.
std::vector<std::string> EqualShards(int count);

// proxies = 1
// proxy_cells = []
// [[tablet]]
// uid = 100; keyspace = "commerce"; type = "PRIMARY"; shard = "0"; cell = "zone1"; mysqld = 100
// (type and what follows it: defaults)
// INVALID_ARGUMENT names the key or tablet that is wrong: an unknown key, a uid twice, a shard
// without a PRIMARY or with two, a mysqld whose tablets can't be on one.
absl::StatusOr<Topology> ParseTopology(const std::string& toml_text);
absl::StatusOr<Topology> LoadTopology(const std::string& path);

}  // namespace sluice::cluster
