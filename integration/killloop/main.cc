// sluice-killloop: strikes each process at each boundary of a cutover, in both directions, under
// load, and judges every write.

#include <filesystem>
#include <fstream>
#include <iostream>
#include <random>
#include <string>

#include "common/base/program_options.h"
#include "integration/killloop/loop.h"

namespace {

namespace fs = std::filesystem;

int Run(const sluice::killloop::WorldOptions& options,
        const std::vector<sluice::killloop::Case>& cases, const std::string& json_path) {
  const auto result = sluice::killloop::RunLoop(options, cases);
  if (!result.ok()) {
    std::cerr << "sluice-killloop: " << result.status().message() << "\n";
    return 1;
  }
  std::cout << result->ToText();
  if (!json_path.empty()) {
    std::ofstream file(json_path, std::ios::trunc);
    file << result->ToJson();
    if (!file.flush()) {
      std::cerr << "sluice-killloop: can't write " << json_path << "\n";
      return 1;
    }
  }
  return result->ok() ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Strikes each process of a cluster at each boundary of a cutover and of a teardown, in both "
      "directions, under load. Ends with 0 when every boundary was reached, every cutover ended by "
      "itself, no write was lost or doubled, no read was wrong, and both sides had the same "
      "bytes.");
  sluice::killloop::Choice choice;
  sluice::killloop::WorldOptions options;
  choice.seed = std::random_device{}();
  options.directory = (fs::temp_directory_path() / "sluice-killloop").string();
  options.bin_directory = fs::canonical("/proc/self/exe").parent_path().string();
  std::string json_path;
  bool list = false;
  double stop_seconds = absl::ToDoubleSeconds(options.stop_for);
  app.add_flag("--list", list, "Name the cases and end");
  app.add_option("--gate", choice.gates, "How the gates close: tables, server (default: both)")
      ->delimiter(',')
      ->check(CLI::IsMember({"tables", "server"}));
  app.add_option("--names", choice.names, "Boundaries, or parts of their names")->delimiter(',');
  app.add_option("--processes", choice.processes,
                 "Roles, or parts of them: coordinator, from-agent, …")
      ->delimiter(',');
  app.add_option("--ways", choice.ways, "exit, kill, stop, cut")
      ->delimiter(',')
      ->check(CLI::IsMember({"exit", "kill", "stop", "cut"}));
  app.add_option("--seed", choice.seed, "Of the choice that --limit makes (default: a random one)");
  app.add_option("--limit", choice.limit, "So many cases (default: all)");
  app.add_option("--stop-seconds", stop_seconds, "How long a stopped process stands still")
      ->check(CLI::Range(0.1, 600.0));
  app.add_option("--json", json_path, "File for the result")->type_name("FILE");
  app.add_option("--dir", options.directory, "Directory of the cluster, must not be there");
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  options.stop_for = absl::Seconds(stop_seconds);
  const std::vector<sluice::killloop::Case> cases = sluice::killloop::ChooseCases(choice);
  if (list) {
    for (const auto& one : cases) {
      std::cout << one.ToString() << "\n";
    }
    return 0;
  }
  std::cout << "seed " << choice.seed << ", cases " << cases.size() << std::endl;
  return Run(options, cases, json_path);
}
