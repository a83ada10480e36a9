// Layout: everything that a cluster directory holds, and its cluster.json.

#pragma once

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integration/cluster/mysqld.h"
#include "integration/cluster/process.h"
#include "integration/cluster/topology.h"

namespace sluice::cluster {

// The tablets of one mysqld have the same ports.
struct TabletLayout {
  TabletSpec spec;
  uint16_t mysql_port = 0;
  uint16_t agent_port = 0;

  [[nodiscard]] std::string mysqld_name() const {
    return "mysqld-" + std::to_string(spec.server());
  }
  [[nodiscard]] std::string agent_name() const { return "agent-" + std::to_string(spec.server()); }
};

struct ProxyLayout {
  std::string name;  // proxy-1
  uint16_t port = 0;
  std::string cell;
};

struct ProcessLayout {
  std::vector<std::string> argv;
  ProcessId id;  // pid 0 while it is stopped
};

// A cluster as it stands in its directory:
//   cluster.json, secrets/ (mode 0700), logs/, store.sqlite, <name>.toml, mysqld-<uid>/
struct Layout {
  std::string directory;
  std::string bin_directory;
  Topology topology;
  Accounts accounts;
  std::string app_user = "app";  // what applications tell the proxies
  std::string app_password;
  uint16_t coordinator_port = 0;
  std::vector<TabletLayout> tablets;
  std::vector<ProxyLayout> proxies;
  std::map<std::string, ProcessLayout> processes;
  std::vector<std::string> mysqld_settings;  // not in cluster.json: every my.cnf has them

  [[nodiscard]] std::string coordinator_url() const;
  [[nodiscard]] std::string Path(const std::string& name) const { return directory + "/" + name; }
  [[nodiscard]] std::string LogOf(const std::string& name) const;
  [[nodiscard]] MysqldOptions MysqldOf(const TabletLayout& tablet) const;
  // One tablet for each mysqld, and all that are on the mysqld of one.
  [[nodiscard]] std::vector<TabletLayout> Servers() const;
  [[nodiscard]] std::vector<TabletLayout> TabletsOn(const TabletLayout& server) const;
};

// Picks ports and passwords; nothing is written yet.
absl::StatusOr<Layout> PlanLayout(const Topology& topology, const std::string& directory,
                                  const std::string& bin_directory);

// Writes the configuration files of coordinator, agents and proxies, and the secrets.
absl::Status WriteConfiguration(const Layout& layout);

// Copies a configuration file, each text on the left replaced by that on its right; `from` and `to`
// may be the same.
absl::Status RewriteFile(const std::string& from, const std::string& to,
                         const std::vector<std::pair<std::string, std::string>>& changes);

// The JSON that `sluice-cluster up` prints and cluster.json holds.
std::string LayoutToJson(const Layout& layout);
absl::Status SaveLayout(const Layout& layout);
absl::StatusOr<Layout> LoadLayout(const std::string& directory);

}  // namespace sluice::cluster
