// sluice-crashloop: kills, stops and cuts off agents and mysqlds at random moments while tables are
// moved under load, and compares both sides.

#include <filesystem>
#include <iostream>
#include <random>
#include <string>

#include "common/base/program_options.h"
#include "integration/crashloop/loop.h"

int main(int argc, char** argv) {
  CLI::App app(
      "Kills, stops and cuts off agents and mysqlds at random moments while tables are moved under "
      "load, and compares both sides. A failure names the seed and the round, whose decisions "
      "--seed and --first-round repeat as far as real processes allow.");
  sluice::crashloop::LoopOptions options;
  options.seed = std::random_device{}();
  options.rounds = 20;
  options.directory = (std::filesystem::temp_directory_path() / "sluice-crashloop").string();
  options.bin_directory = std::filesystem::canonical("/proc/self/exe").parent_path().string();
  app.add_option("--seed", options.seed, "of all decisions (default: a random one)");
  app.add_option("--rounds", options.rounds, "each about half a minute (default: 20)");
  app.add_option("--first-round", options.first_round, "number of the first round (default: 0)");
  app.add_option("--faults", options.faults, "in each round (default: 60)");
  app.add_option("--scale", options.scale, "rows of the tables; 1 is about 6 MiB (default: 1)");
  app.add_option("--dir", options.directory, "directory of the cluster, must not be there");
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  std::cout << "seed " << options.seed << std::endl;
  sluice::crashloop::Loop loop(options);
  const auto result = loop.Run();
  if (!result.ok()) {
    std::cerr << "sluice-crashloop: " << result.status().message() << "\n";
    return 1;
  }
  std::cout << result->ToString() << "seed " << options.seed << std::endl;
  return result->differences == 0 ? 0 : 1;
}
