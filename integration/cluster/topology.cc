// Topology: reading and checking of the TOML file.

#include "integration/cluster/topology.h"

#include <toml++/toml.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::cluster {
namespace {

absl::StatusOr<TabletSpec> ReadTablet(const toml::table& table) {
  static const std::set<std::string> known = {"cell", "uid", "keyspace", "shard", "type", "mysqld"};
  for (const auto& [key, value] : table) {
    if (known.count(std::string(key.str())) == 0) {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown key \"", std::string(key.str()), "\" in [[tablet]]"));
    }
  }
  TabletSpec tablet;
  tablet.cell = table["cell"].value_or<std::string>("zone1");
  const auto uid = table["uid"].value_or<int64_t>(0);
  if (uid < 1 || uid > 1'000'000) {
    return absl::InvalidArgumentError("[[tablet]]: uid must be between 1 and 1000000");
  }
  tablet.uid = static_cast<uint32_t>(uid);
  tablet.keyspace = table["keyspace"].value_or<std::string>("");
  if (tablet.keyspace.empty()) {
    return absl::InvalidArgumentError(absl::StrCat("tablet ", uid, ": keyspace is missing"));
  }
  tablet.shard = table["shard"].value_or<std::string>("0");
  SLUICE_ASSIGN_OR_RETURN(tablet.type,
                          routing::ParseTabletType(table["type"].value_or<std::string>("PRIMARY")));
  const auto mysqld = table["mysqld"].value_or<int64_t>(int64_t{uid});
  if (mysqld < 1 || mysqld > 1'000'000) {
    return absl::InvalidArgumentError(
        absl::StrCat("tablet ", uid, ": mysqld must be the uid of a tablet"));
  }
  tablet.mysqld = static_cast<uint32_t>(mysqld);
  return tablet;
}

absl::Status CheckPrimaries(const Topology& topology) {
  std::set<uint32_t> uids;
  std::map<std::string, int> primaries;
  for (const TabletSpec& tablet : topology.tablets) {
    if (!uids.insert(tablet.uid).second) {
      return absl::InvalidArgumentError(absl::StrCat("uid ", tablet.uid, " stands twice"));
    }
    primaries[tablet.keyspace + "/" + tablet.shard] +=
        tablet.type == routing::TabletType::kPrimary ? 1 : 0;
  }
  for (const auto& [shard, count] : primaries) {
    if (count != 1) {
      return absl::InvalidArgumentError(
          absl::StrCat("shard ", shard, " needs one PRIMARY and has ", count));
    }
  }
  return absl::OkStatus();
}

// A mysqld is named by a tablet that it belongs to; all on it are in one cell and of one type, and
// replicate from one mysqld.
absl::Status CheckServers(const Topology& topology) {
  for (const TabletSpec& tablet : topology.tablets) {
    const auto owner = std::find_if(
        topology.tablets.begin(), topology.tablets.end(),
        [&](const TabletSpec& each) { return each.uid == tablet.server() && each.owns_mysqld(); });
    if (owner == topology.tablets.end()) {
      return absl::InvalidArgumentError(absl::StrCat("tablet ", tablet.uid, ": mysqld ",
                                                     tablet.server(),
                                                     " belongs to no tablet of that uid"));
    }
    if (owner->cell != tablet.cell || owner->type != tablet.type ||
        topology.PrimaryOf(*owner)->server() != topology.PrimaryOf(tablet)->server()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "tablets ", owner->uid, " and ", tablet.uid,
          " can't be on one mysqld: their cells, types or the mysqlds of their primaries differ"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> EqualShards(int count) {
  if (count <= 1) {
    return {"0"};
  }
  const int digits = count <= 256 ? 2 : 4;
  const int step = (digits == 2 ? 256 : 65536) / count;
  const auto bound = [&](int i) {
    return i == 0 || i == count
               ? std::string()
               : absl::StrCat(absl::Hex(i * step, digits == 2 ? absl::kZeroPad2 : absl::kZeroPad4));
  };
  std::vector<std::string> names;
  names.reserve(static_cast<size_t>(count));
  for (int i = 0; i < count; ++i) {
    names.push_back(bound(i) + "-" + bound(i + 1));
  }
  return names;
}

std::string TabletSpec::database() const {
  return shard == "0" || shard == "-" ? "vt_" + keyspace : "vt_" + keyspace + "_" + shard;
}

std::vector<std::string> Topology::Keyspaces() const {
  std::vector<std::string> names;
  for (const TabletSpec& tablet : tablets) {
    if (std::find(names.begin(), names.end(), tablet.keyspace) == names.end()) {
      names.push_back(tablet.keyspace);
    }
  }
  return names;
}

std::vector<std::string> Topology::Shards(const std::string& keyspace) const {
  std::vector<std::string> shards;
  for (const TabletSpec& tablet : tablets) {
    if (tablet.keyspace == keyspace &&
        std::find(shards.begin(), shards.end(), tablet.shard) == shards.end()) {
      shards.push_back(tablet.shard);
    }
  }
  return shards;
}

const TabletSpec* Topology::PrimaryOf(const TabletSpec& replica) const {
  for (const TabletSpec& tablet : tablets) {
    if (tablet.type == routing::TabletType::kPrimary && tablet.keyspace == replica.keyspace &&
        tablet.shard == replica.shard) {
      return &tablet;
    }
  }
  return nullptr;
}

absl::StatusOr<Topology> ParseTopology(const std::string& toml_text) {
  toml::table root;
  try {
    root = toml::parse(toml_text);
  } catch (const toml::parse_error& error) {
    return absl::InvalidArgumentError(absl::StrCat("not TOML: ", error.what()));
  }
  Topology topology;
  for (const auto& [key, value] : root) {
    if (key.str() != "tablet" && key.str() != "proxies" && key.str() != "proxy_cells") {
      return absl::InvalidArgumentError(
          absl::StrCat("unknown key \"", std::string(key.str()), "\""));
    }
  }
  const auto proxies = root["proxies"].value_or<int64_t>(1);
  if (proxies < 0 || proxies > 64) {
    return absl::InvalidArgumentError("proxies must be between 0 and 64");
  }
  topology.proxies = static_cast<int>(proxies);
  if (const toml::array* cells = root["proxy_cells"].as_array(); cells != nullptr) {
    for (const toml::node& cell : *cells) {
      topology.proxy_cells.push_back(cell.value_or<std::string>(""));
    }
  }
  if (topology.proxy_cells.size() > static_cast<size_t>(topology.proxies)) {
    return absl::InvalidArgumentError("proxy_cells names more cells than there are proxies");
  }
  const toml::array* tablets = root["tablet"].as_array();
  if (tablets == nullptr || tablets->empty()) {
    return absl::InvalidArgumentError("no [[tablet]]");
  }
  for (const toml::node& node : *tablets) {
    if (!node.is_table()) {
      return absl::InvalidArgumentError("[[tablet]] must be a table");
    }
    SLUICE_ASSIGN_OR_RETURN(TabletSpec tablet, ReadTablet(*node.as_table()));
    topology.tablets.push_back(std::move(tablet));
  }
  SLUICE_RETURN_IF_ERROR(CheckPrimaries(topology));
  SLUICE_RETURN_IF_ERROR(CheckServers(topology));
  return topology;
}

absl::StatusOr<Topology> LoadTopology(const std::string& path) {
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("topology ", path, " can't be read"));
  }
  std::stringstream text;
  text << file.rdbuf();
  absl::StatusOr<Topology> topology = ParseTopology(text.str());
  if (!topology.ok()) {
    return Annotate(topology.status(), path);
  }
  return topology;
}

}  // namespace sluice::cluster
