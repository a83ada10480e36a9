// sluice-simulate: cutovers over a simulated world, one world a seed. Exit status: 0 when every
// promise was kept, 1 where one was broken, 2 on a usage error.

#include <unistd.h>

#include <atomic>
#include <csignal>
#include <fstream>
#include <iostream>
#include <limits>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/program_options.h"
#include "integration/simulate/simulate.h"

namespace {

using sluice::simulate::Outcome;

std::atomic<uint64_t> seed_under_way = 0;

// The machines have checks of their own, which abort. The signal is raised by the one thread there
// is, in the middle of nothing but a step.
void OnAbort(int /*signal*/) {
  std::cout << "VIOLATION at seed " << seed_under_way << ": a machine's own check failed\n  "
            << sluice::simulate::ReplayCommand(seed_under_way) << "\n"
            << std::flush;
  _exit(1);
}

struct Options {
  uint64_t seeds = 0;
  uint64_t seed = 1;
  double seconds = 0;
  bool trace = false;
  bool keep_going = false;
  std::string json;
};

int Run(const Options& options) {
  const absl::Time began = absl::Now();
  const auto spent = [&] { return absl::ToDoubleSeconds(absl::Now() - began); };
  const sluice::simulate::Trace::Print print = [](const std::string& line) {
    std::cout << line << "\n";
  };
  sluice::simulate::Totals totals;
  std::vector<Outcome> failed;
  for (uint64_t i = 0; i < options.seeds; ++i) {
    if (options.seconds > 0 && spent() >= options.seconds) {
      break;
    }
    const uint64_t seed = options.seed + i;
    seed_under_way = seed;
    const Outcome outcome = sluice::simulate::Simulate(seed, sluice::simulate::SetupOf(seed),
                                                       options.trace ? print : nullptr);
    totals.Add(outcome);
    if (options.trace) {
      std::cout << "seed " << seed << ": trace " << std::hex << outcome.trace_hash << std::dec
                << "\n";
    }
    if (!outcome.violation.empty()) {
      std::cout << "VIOLATION at seed " << seed << ": " << outcome.violation << "\n  "
                << sluice::simulate::ReplayCommand(seed) << "\n"
                << std::flush;
      failed.push_back(outcome);
      if (!options.keep_going) {
        break;
      }
    }
  }
  std::cout << totals.Text(spent());
  if (!options.json.empty()) {
    std::ofstream file(options.json);
    file << totals.Json(spent(), failed);
    file.close();
    if (!file) {
      std::cerr << "sluice-simulate: can't write " << options.json << "\n";
      return 2;
    }
  }
  return totals.violations == 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Runs cutovers in simulated worlds, one a seed, and checks the promises in each.");
  Options options;
  app.add_option("--seeds", options.seeds, "how many worlds; 1 with --seed alone, else 100");
  const CLI::Option* seed = app.add_option("--seed", options.seed, "the first of them");
  app.add_option("--seconds", options.seconds, "ends after so many seconds, however many they are");
  app.add_flag("--trace", options.trace, "prints what happens");
  app.add_flag("--keep-going", options.keep_going, "goes on after a violation");
  app.add_option("--json", options.json, "writes the totals to this file");
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  if (std::signal(SIGABRT, OnAbort) == SIG_ERR) {
    return 2;
  }
  if (options.seeds == 0) {
    options.seeds = options.seconds > 0 ? std::numeric_limits<uint64_t>::max()
                    : seed->count() > 0 ? 1
                                        : 100;
  }
  return Run(options);
}
