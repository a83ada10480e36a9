// sluice-cluster: a local cluster of real processes, for demonstrations, tests and benchmarks.

#include <filesystem>
#include <iostream>
#include <string>

#include "common/base/program_options.h"
#include "integration/cluster/cluster.h"

namespace {

using sluice::cluster::Cluster;

int Report(const absl::Status& status) {
  if (!status.ok()) {
    std::cerr << "sluice-cluster: " << status.message() << "\n";
    return 1;
  }
  return 0;
}

int Up(const std::string& topology_path, const std::string& directory, std::string bin) {
  if (bin.empty()) {
    bin = std::filesystem::canonical("/proc/self/exe").parent_path().string();
  }
  const auto topology = sluice::cluster::LoadTopology(topology_path);
  if (!topology.ok()) {
    return Report(topology.status());
  }
  sluice::cluster::ClusterOptions options;
  options.directory = directory;
  options.bin_directory = bin;
  auto cluster = Cluster::Up(*topology, options);
  if (!cluster.ok()) {
    return Report(cluster.status());
  }
  std::cout << LayoutToJson((*cluster)->layout()) << std::endl;
  (*cluster)->Detach();
  return 0;
}

int OnProcess(const std::string& action, const std::string& directory, const std::string& name) {
  auto cluster = Cluster::Attach(directory);
  if (!cluster.ok()) {
    return Report(cluster.status());
  }
  if (action == "kill") {
    return Report((*cluster)->Kill(name));
  }
  if (action == "pause") {
    return Report((*cluster)->Pause(name));
  }
  if (action == "resume") {
    return Report((*cluster)->Resume(name));
  }
  return Report((*cluster)->Start(name));
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs a cluster of mysqlds, agents, a coordinator and proxies on loopback.");
  app.require_subcommand(1);
  std::string directory;
  std::string topology;
  std::string bin;
  std::string name;
  auto* up = app.add_subcommand("up", "Starts a cluster and prints its addresses as JSON");
  up->add_option("--topology", topology, "TOML file: tablets and the number of proxies")
      ->required();
  up->add_option("--bin", bin, "folder of the programs (default: this program's)");
  auto* down = app.add_subcommand("down", "Stops it and removes its directory");
  auto* status = app.add_subcommand("status", "Prints the addresses and what runs");
  for (auto* command : {up, down, status}) {
    command->add_option("--dir", directory, "directory of the cluster")->required();
  }
  const std::vector<std::pair<std::string, std::string>> actions = {
      {"kill", "Ends a process with SIGKILL"},
      {"pause", "Stops a process with SIGSTOP"},
      {"resume", "Lets a paused process go on"},
      {"start", "Starts a process that was killed"}};
  for (const auto& [action, help] : actions) {
    auto* command = app.add_subcommand(action, help);
    command->add_option("name", name, "mysqld-UID, agent-UID, coordinator or proxy-N")->required();
    command->add_option("--dir", directory, "directory of the cluster")->required();
  }
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  if (*up) {
    return Up(topology, directory, bin);
  }
  if (*down || *status) {
    auto cluster = Cluster::Attach(directory);
    if (!cluster.ok()) {
      return Report(cluster.status());
    }
    if (*down) {
      return Report((*cluster)->Down());
    }
    std::cout << LayoutToJson((*cluster)->layout()) << std::endl;
    return 0;
  }
  return OnProcess(app.get_subcommands().front()->get_name(), directory, name);
}
