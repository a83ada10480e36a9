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

  [[nodiscard]] std::string alias() const { return cell + "-" + std::to_string(uid); }
  // The MySQL schema of the shard: vt_<keyspace>, and the shard where it is not the only one.
  [[nodiscard]] std::string database() const;
};

struct Topology {
  std::vector<TabletSpec> tablets;
  int proxies = 1;

  [[nodiscard]] std::vector<std::string> Keyspaces() const;  // in order of appearance
  [[nodiscard]] std::vector<std::string> Shards(const std::string& keyspace) const;
  [[nodiscard]] const TabletSpec* PrimaryOf(const TabletSpec& replica) const;
};

// proxies = 1
// [[tablet]]
// uid = 100; keyspace = "commerce"; type = "PRIMARY"; shard = "0"; cell = "zone1"   (last two:
// defaults) INVALID_ARGUMENT names the key or tablet that is wrong: an unknown key, a uid twice, a
// shard without a PRIMARY or with two.
absl::StatusOr<Topology> ParseTopology(const std::string& toml_text);
absl::StatusOr<Topology> LoadTopology(const std::string& path);

}  // namespace sluice::cluster
