// Layout: ports, secrets and configuration files of a local cluster.

#include "integration/cluster/layout.h"

#include <nlohmann/json.hpp>
#include <openssl/rand.h>
#include <openssl/sha.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
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

std::string AgentToml(const Layout& layout, const TabletLayout& tablet) {
  return absl::StrCat(
      "cell = ", Quoted(tablet.spec.cell), "\nuid = ", tablet.spec.uid,
      "\nkeyspace = ", Quoted(tablet.spec.keyspace), "\nshard = ", Quoted(tablet.spec.shard),
      "\ntype = ", Quoted(routing::TabletTypeName(tablet.spec.type)),
      "\ndatabase = ", Quoted(tablet.spec.database()),
      "\nlisten = \"tcp://127.0.0.1:", tablet.agent_port,
      "\"\ncoordinator = ", Quoted(layout.coordinator_url()),
      "\n\n[mysql]\nhost = \"127.0.0.1\"\nport = ", tablet.mysql_port,
      "\nuser = \"sluice_agent\"\npassword_file = ", Quoted(layout.Path("secrets/agent")), "\n");
}

std::string ProxyToml(const Layout& layout, const ProxyLayout& proxy) {
  return absl::StrCat(
      "id = ", Quoted(proxy.name), "\ncell = ", Quoted(layout.tablets.front().spec.cell),
      "\nlisten = \"127.0.0.1:", proxy.port, "\"\ncoordinator = ", Quoted(layout.coordinator_url()),
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
    layout.proxies.push_back({one.at("name").get<std::string>(), one.at("port").get<uint16_t>()});
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
  options.server_id = tablet.spec.uid;
  options.port = tablet.mysql_port;
  options.read_only = tablet.spec.type != routing::TabletType::kPrimary;
  options.extra = mysqld_settings;
  return options;
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
  for (const TabletSpec& spec : topology.tablets) {
    TabletLayout tablet;
    tablet.spec = spec;
    SLUICE_ASSIGN_OR_RETURN(tablet.mysql_port, PickPort());
    SLUICE_ASSIGN_OR_RETURN(tablet.agent_port, PickPort());
    layout.tablets.push_back(std::move(tablet));
  }
  for (int i = 1; i <= topology.proxies; ++i) {
    SLUICE_ASSIGN_OR_RETURN(const uint16_t port, PickPort());
    layout.proxies.push_back({absl::StrCat("proxy-", i), port});
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
  for (const TabletLayout& tablet : layout.tablets) {
    SLUICE_RETURN_IF_ERROR(
        WriteFile(layout.Path(tablet.agent_name() + ".toml"), AgentToml(layout, tablet)));
  }
  for (const ProxyLayout& proxy : layout.proxies) {
    SLUICE_RETURN_IF_ERROR(WriteFile(layout.Path(proxy.name + ".toml"), ProxyToml(layout, proxy)));
  }
  return absl::OkStatus();
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
        {{"name", proxy.name}, {"host", "127.0.0.1"}, {"port", proxy.port}});
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
