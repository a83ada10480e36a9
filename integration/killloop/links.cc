// Links: the addresses in the configuration files, and the relays behind them.

#include "integration/killloop/links.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::killloop {
namespace {

constexpr char kCoordinator[] = "coordinator";

std::string Url(uint16_t port) {
  return absl::StrCat("tcp://127.0.0.1:", port);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Links>> Links::Weave(const cluster::Cluster& cluster) {
  auto links = std::make_unique<Links>();
  const cluster::Layout& layout = cluster.layout();
  for (const cluster::TabletLayout& server : layout.Servers()) {
    SLUICE_RETURN_IF_ERROR(links->WeaveAgent(layout, server));
  }
  for (const cluster::ProxyLayout& proxy : layout.proxies) {
    SLUICE_RETURN_IF_ERROR(links->WeaveProxy(layout, proxy));
  }
  return links;
}

uint16_t Links::Add(uint16_t port, const std::vector<std::string>& processes) {
  relays_.push_back(std::make_unique<crashloop::Relay>(port));
  for (const std::string& process : processes) {
    of_process_.emplace(process, relays_.back().get());
  }
  return relays_.back()->port();
}

absl::Status Links::WeaveAgent(const cluster::Layout& layout, const cluster::TabletLayout& server) {
  const std::string agent = server.agent_name();
  const std::string mysqld = server.mysqld_name();
  const std::string listen = absl::StrCat("listen = \"", Url(server.agent_port), "\"");
  const std::string path = layout.Path(agent + ".toml");
  return cluster::RewriteFile(
      path, path,
      {{absl::StrCat("coordinator = \"", layout.coordinator_url(), "\""),
        absl::StrCat("coordinator = \"", Url(Add(layout.coordinator_port, {agent, kCoordinator})),
                     "\"")},
       {listen, absl::StrCat(listen, "\nadvertise_url = \"",
                             Url(Add(server.agent_port, {agent, kCoordinator})), "\"")},
       {absl::StrCat("\nport = ", server.mysql_port, "\n"),
        absl::StrCat("\nport = ", Add(server.mysql_port, {agent, mysqld}),
                     "\nadvertise_port = ", Add(server.mysql_port, {mysqld}), "\n")}});
}

absl::Status Links::WeaveProxy(const cluster::Layout& layout, const cluster::ProxyLayout& proxy) {
  const std::string path = layout.Path(proxy.name + ".toml");
  return cluster::RewriteFile(
      path, path,
      {{layout.coordinator_url(), Url(Add(layout.coordinator_port, {proxy.name, kCoordinator}))}});
}

void Links::Cut(const std::string& process) {
  const auto [begin, end] = of_process_.equal_range(process);
  for (auto link = begin; link != end; ++link) {
    link->second->Stall(true);
    link->second->Cut(true);
  }
}

void Links::Heal() {
  for (const auto& relay : relays_) {
    relay->Stall(false);
  }
}

uint64_t Links::connections_cut() const {
  uint64_t sum = 0;
  for (const auto& relay : relays_) {
    sum += relay->connections_cut();
  }
  return sum;
}

}  // namespace sluice::killloop
