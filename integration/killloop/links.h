// Links: relays between the processes of a cluster, so that one of them can be cut off.

#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "integration/cluster/cluster.h"
#include "integration/crashloop/relay.h"

namespace sluice::killloop {

// Between agents, proxies and the coordinator; between agents and their mysqlds, proxies and
// mysqlds; and from agent to agent. The operator's program and the applications connect directly.
// Owned by one thread; ends after the processes.
class Links {
 public:
  // Rewrites the configuration of agents and proxies; they obey it when they are started again.
  static absl::StatusOr<std::unique_ptr<Links>> Weave(const cluster::Cluster& cluster);

  // Ends the connections of a process and lets nothing through until Heal. Two ways stay open: of
  // all proxies to the mysqlds, which they share, and of an agent to the other agent.
  void Cut(const std::string& process);
  void Heal();

  [[nodiscard]] uint64_t connections_cut() const;

 private:
  // A relay to `port` that is cut with each of these processes.
  uint16_t Add(uint16_t port, const std::vector<std::string>& processes);
  absl::Status WeaveAgent(const cluster::Layout& layout, const cluster::TabletLayout& server);
  absl::Status WeaveProxy(const cluster::Layout& layout, const cluster::ProxyLayout& proxy);

  std::vector<std::unique_ptr<crashloop::Relay>> relays_;
  std::multimap<std::string, crashloop::Relay*> of_process_;
};

}  // namespace sluice::killloop
