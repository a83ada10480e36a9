// Layout: ports, secrets and configuration files of a local cluster.

#include "integration/cluster/layout.h"

#include <nlohmann/json.hpp>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"

namespace sluice::cluster {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::string NewPassword() {
  std::array<unsigned char, 12> bytes{};
  RAND_bytes(bytes.data(), static_cast<int>(bytes.size()));
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
}

// The proxy's users file holds SHA256(SHA256(password)), as caching_sha2_password keeps it.
std::string PasswordHash(const std::string& password) {
  std::array<unsigned char, SHA256_DIGEST_LENGTH> first{};
  std::array<unsigned char, SHA256_DIGEST_LENGTH> second{};
  SHA256(reinterpret_cast<const unsigned char*>(password.data()), password.size(), first.data());
  SHA256(first.data(), first.size(), second.data());
  return absl::BytesToHexString(
      absl::string_view(reinterpret_cast<const char*>(second.data()), second.size()));
}

absl::Status WriteFile(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  if (!file) {
    return absl::InternalError(absl::StrCat("can't write ", path));
  }
  std::error_code error;
  fs::permissions(path, fs::perms::owner_read | fs::perms::owner_write, error);
  return absl::OkStatus();
}

std::string Quoted(const std::string& text) {
  return json(text).dump();
}

std::string ShardToml(const TabletLayout& tablet) {
  return absl::StrCat("uid = ", tablet.spec.uid, "\nkeyspace = ", Quoted(tablet.spec.keyspace),
                      "\nshard = ", Quoted(tablet.spec.shard),
                      "\ntype = ", Quoted(routing::TabletTypeName(tablet.spec.type)),
                      "\ndatabase = ", Quoted(tablet.spec.database()), "\n");
}

std::string AgentToml(const Layout& layout, const TabletLayout& server) {
  const std::vector<TabletLayout> tablets = layout.TabletsOn(server);
  std::string text = absl::StrCat("cell = ", Quoted(server.spec.cell), "\n");
  if (tablets.size() == 1) {
    absl::StrAppend(&text, ShardToml(server));
  }
  absl::StrAppend(
      &text, "listen = \"tcp://127.0.0.1:", server.agent_port,
      "\"\ncoordinator = ", Quoted(layout.coordinator_url()),
      "\n\n[mysql]\nhost = \"127.0.0.1\"\nport = ", server.mysql_port,
      "\nuser = \"sluice_agent\"\npassword_file = ", Quoted(layout.Path("secrets/agent")), "\n");
  for (const TabletLayout& tablet : tablets) {
    if (tablets.size() > 1) {
      absl::StrAppend(&text, "\n[[shard]]\n", ShardToml(tablet));
    }
  }
  return text;
}

std::string ProxyToml(const Layout& layout, const ProxyLayout& proxy) {
  return absl::StrCat("id = ", Quoted(proxy.name), "\ncell = ", Quoted(proxy.cell),
                      "\nlisten = \"127.0.0.1:", proxy.port,
                      "\"\ncoordinator = ", Quoted(layout.coordinator_url()),
                      "\nstate_file = ", Quoted(layout.Path(proxy.name + ".state")),
                      "\n\n[users]\nfile = ", Quoted(layout.Path("secrets/users")),
                      "\n\n[backend]\nuser = \"sluice_proxy\"\npassword_file = ",
                      Quoted(layout.Path("secrets/proxy")), "\n");
}

json ToJson(const TabletLayout& tablet) {
  return {{"alias", tablet.spec.alias()},
          {"cell", tablet.spec.cell},
          {"uid", tablet.spec.uid},
          {"keyspace", tablet.spec.keyspace},
          {"shard", tablet.spec.shard},
          {"type", routing::TabletTypeName(tablet.spec.type)},
          {"database", tablet.spec.database()},
          {"mysql_host", "127.0.0.1"},
          {"mysql_port", tablet.mysql_port},
          {"agent_port", tablet.agent_port},
          {"agent_url", absl::StrCat("tcp://127.0.0.1:", tablet.agent_port)},
          {"server", tablet.spec.server()},
          {"mysqld", tablet.mysqld_name()},
          {"agent", tablet.agent_name()}};
}

absl::StatusOr<TabletLayout> TabletFromJson(const json& document) {
  TabletLayout tablet;
  tablet.spec.cell = document.at("cell").get<std::string>();
  tablet.spec.uid = document.at("uid").get<uint32_t>();
  tablet.spec.keyspace = document.at("keyspace").get<std::string>();
  tablet.spec.shard = document.at("shard").get<std::string>();
  SLUICE_ASSIGN_OR_RETURN(tablet.spec.type,
                          routing::ParseTabletType(document.at("type").get<std::string>()));
  tablet.spec.mysqld = document.at("server").get<uint32_t>();
  tablet.mysql_port = document.at("mysql_port").get<uint16_t>();
  tablet.agent_port = document.at("agent_port").get<uint16_t>();
  return tablet;
}

absl::Status FillFromJson(const json& document, Layout& layout) {
  layout.bin_directory = document.at("bin_directory").get<std::string>();
  layout.app_user = document.at("app_user").get<std::string>();
  layout.app_password = document.at("app_password").get<std::string>();
  layout.coordinator_port = document.at("coordinator").at("port").get<uint16_t>();
  for (const json& one : document.at("tablets")) {
    SLUICE_ASSIGN_OR_RETURN(TabletLayout tablet, TabletFromJson(one));
    layout.topology.tablets.push_back(tablet.spec);
    layout.tablets.push_back(std::move(tablet));
  }
  for (const json& one : document.at("proxies")) {
    layout.proxies.push_back({one.at("name").get<std::string>(), one.at("port").get<uint16_t>(),
                              one.at("cell").get<std::string>()});
    layout.topology.proxy_cells.push_back(layout.proxies.back().cell);
  }
  layout.topology.proxies = static_cast<int>(layout.proxies.size());
  for (const auto& [name, one] : document.at("processes").items()) {
    ProcessLayout process;
    process.argv = one.at("argv").get<std::vector<std::string>>();
    process.id.pid = one.at("pid").get<pid_t>();
    process.id.start_ticks = one.at("start_ticks").get<uint64_t>();
    layout.processes[name] = std::move(process);
  }
  return absl::OkStatus();
}

}  // namespace

std::string Layout::coordinator_url() const {
  return absl::StrCat("tcp://127.0.0.1:", coordinator_port);
}

std::string Layout::LogOf(const std::string& name) const {
  return Path("logs/" + name + ".log");
}

MysqldOptions Layout::MysqldOf(const TabletLayout& tablet) const {
  MysqldOptions options;
  options.directory = Path(tablet.mysqld_name());
  options.server_id = tablet.spec.server();
  options.port = tablet.mysql_port;
  options.read_only = tablet.spec.type != routing::TabletType::kPrimary;
  options.extra = mysqld_settings;
  return options;
}

std::vector<TabletLayout> Layout::Servers() const {
  std::vector<TabletLayout> servers;
  std::copy_if(tablets.begin(), tablets.end(), std::back_inserter(servers),
               [](const TabletLayout& tablet) { return tablet.spec.owns_mysqld(); });
  return servers;
}

std::vector<TabletLayout> Layout::TabletsOn(const TabletLayout& server) const {
  std::vector<TabletLayout> found;
  std::copy_if(
      tablets.begin(), tablets.end(), std::back_inserter(found),
      [&](const TabletLayout& tablet) { return tablet.spec.server() == server.spec.server(); });
  return found;
}

absl::StatusOr<Layout> PlanLayout(const Topology& topology, const std::string& directory,
                                  const std::string& bin_directory) {
  Layout layout;
  layout.directory = fs::absolute(directory).string();
  layout.bin_directory = bin_directory;
  layout.topology = topology;
  layout.accounts = {NewPassword(), NewPassword(), NewPassword()};
  layout.app_password = NewPassword();
  SLUICE_ASSIGN_OR_RETURN(layout.coordinator_port, PickPort());
  std::map<uint32_t, std::pair<uint16_t, uint16_t>> ports;  // of the mysqld and the agent
  for (const TabletSpec& spec : topology.tablets) {
    std::pair<uint16_t, uint16_t>& server = ports[spec.server()];
    if (server.first == 0) {
      SLUICE_ASSIGN_OR_RETURN(server.first, PickPort());
      SLUICE_ASSIGN_OR_RETURN(server.second, PickPort());
    }
    layout.tablets.push_back(
        {.spec = spec, .mysql_port = server.first, .agent_port = server.second});
  }
  for (size_t i = 0; i < static_cast<size_t>(topology.proxies); ++i) {
    SLUICE_ASSIGN_OR_RETURN(const uint16_t port, PickPort());
    layout.proxies.push_back({absl::StrCat("proxy-", i + 1), port,
                              i < topology.proxy_cells.size() ? topology.proxy_cells[i]
                                                              : topology.tablets.front().cell});
  }
  return layout;
}

absl::Status WriteConfiguration(const Layout& layout) {
  std::error_code error;
  fs::create_directories(layout.Path("logs"), error);
  fs::create_directories(layout.Path("secrets"), error);
  fs::permissions(layout.Path("secrets"), fs::perms::owner_all, error);
  SLUICE_RETURN_IF_ERROR(
      WriteFile(layout.Path("secrets/agent"), layout.accounts.agent_password + "\n"));
  SLUICE_RETURN_IF_ERROR(
      WriteFile(layout.Path("secrets/proxy"), layout.accounts.proxy_password + "\n"));
  SLUICE_RETURN_IF_ERROR(
      WriteFile(layout.Path("secrets/users"),
                absl::StrCat(layout.app_user, ":", PasswordHash(layout.app_password), "\n")));
  SLUICE_RETURN_IF_ERROR(
      WriteFile(layout.Path("coordinator.toml"),
                absl::StrCat("listen = ", Quoted(layout.coordinator_url()),
                             "\nstore = ", Quoted(layout.Path("store.sqlite")), "\n")));
  for (const TabletLayout& server : layout.Servers()) {
    SLUICE_RETURN_IF_ERROR(
        WriteFile(layout.Path(server.agent_name() + ".toml"), AgentToml(layout, server)));
  }
  for (const ProxyLayout& proxy : layout.proxies) {
    SLUICE_RETURN_IF_ERROR(WriteFile(layout.Path(proxy.name + ".toml"), ProxyToml(layout, proxy)));
  }
  return absl::OkStatus();
}

absl::Status RewriteFile(const std::string& from, const std::string& to,
                         const std::vector<std::pair<std::string, std::string>>& changes) {
  std::stringstream text;
  {
    std::ifstream in(from);
    if (!in) {
      return absl::NotFoundError(absl::StrCat("can't read ", from));
    }
    text << in.rdbuf();
  }
  return WriteFile(to, absl::StrReplaceAll(text.str(), changes));
}

std::string LayoutToJson(const Layout& layout) {
  json document = {
      {"directory", layout.directory},
      {"bin_directory", layout.bin_directory},
      {"coordinator", {{"url", layout.coordinator_url()}, {"port", layout.coordinator_port}}},
      {"app_user", layout.app_user},
      {"app_password", layout.app_password},
      {"tablets", json::array()},
      {"proxies", json::array()},
      {"processes", json::object()}};
  for (const TabletLayout& tablet : layout.tablets) {
    document["tablets"].push_back(ToJson(tablet));
  }
  for (const ProxyLayout& proxy : layout.proxies) {
    document["proxies"].push_back(
        {{"name", proxy.name}, {"host", "127.0.0.1"}, {"port", proxy.port}, {"cell", proxy.cell}});
  }
  for (const auto& [name, process] : layout.processes) {
    document["processes"][name] = {{"pid", process.id.pid},
                                   {"start_ticks", process.id.start_ticks},
                                   {"running", IsAlive(process.id)},
                                   {"argv", process.argv},
                                   {"log", layout.LogOf(name)}};
  }
  return document.dump(2);
}

absl::Status SaveLayout(const Layout& layout) {
  const std::string path = layout.Path("cluster.json");
  SLUICE_RETURN_IF_ERROR(WriteFile(path + ".new", LayoutToJson(layout) + "\n"));
  std::error_code error;
  fs::rename(path + ".new", path, error);
  return error ? absl::InternalError(absl::StrCat("can't write ", path)) : absl::OkStatus();
}

absl::StatusOr<Layout> LoadLayout(const std::string& directory) {
  const std::string path = directory + "/cluster.json";
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("no cluster in ", directory, " (no cluster.json)"));
  }
  Layout layout;
  layout.directory = fs::absolute(directory).string();
  try {
    const json document = json::parse(file);
    SLUICE_RETURN_IF_ERROR(FillFromJson(document, layout));
  } catch (const json::exception& error) {
    return absl::InvalidArgumentError(absl::StrCat(path, ": ", error.what()));
  }
  return layout;
}

}  // namespace sluice::cluster
