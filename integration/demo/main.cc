// sluice-demo: runs the demonstration on a cluster that `sluice-cluster up` started.

#include <fstream>
#include <iostream>

#include "common/base/program_options.h"
#include "integration/demo/story.h"

int main(int argc, char** argv) {
  CLI::App app("Moves two tables to another keyspace and back while applications use them.");
  std::string directory;
  std::string json_path;
  sluice::demo::StoryOptions options;
  app.add_option("--dir", directory, "directory of the cluster")->required();
  app.add_option("--json", json_path, "file for the summary");
  app.add_option("--orders", options.orders, "generated orders");
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }

  auto cluster = sluice::cluster::Cluster::Attach(directory);
  if (!cluster.ok()) {
    std::cerr << "sluice-demo: " << cluster.status().message() << "\n";
    return 1;
  }
  const auto summary = sluice::demo::RunStory(**cluster, options);
  if (!summary.ok()) {
    std::cerr << "sluice-demo: " << summary.status().message() << "\n";
    return 1;
  }
  std::cout << "\n== What happened\n" << SummaryToText(*summary);
  if (!json_path.empty()) {
    std::ofstream file(json_path, std::ios::trunc);
    file << SummaryToJson(*summary);
    if (!file.flush()) {
      std::cerr << "sluice-demo: can't write " << json_path << "\n";
      return 1;
    }
  }
  return summary->good() ? 0 : 1;
}
