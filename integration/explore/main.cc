// sluice-explore: visits every state that a cutover, its processes and its proxies can get into
// within a bound, and checks the promises in each. Exit status: 0 when all hold, 1 with the way to
// the first state in which one does not, 2 on a usage error.

#include <unistd.h>

#include <csignal>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "common/base/program_options.h"
#include "integration/explore/explore.h"

namespace {

// The machine has checks of its own, which abort. The signal is raised by the thread that explores,
// in the middle of nothing but the machine's step, so the search can be read.
void OnAbort(int /*signal*/) {
  std::cout << "VIOLATION: the machine's own check failed, after:\n  "
            << absl::StrJoin(sluice::explore::WhereItStands(), "\n  ") << "\n"
            << std::flush;
  _exit(1);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app(
      "Explores every state of a cutover, up to a bound, and checks the promises in each.");
  std::string name = "short";
  app.add_option("--bound", name, "short: under a minute; long: a quarter of an hour and 8 GB")
      ->check(CLI::IsMember({"short", "long"}));
  uint32_t shards = 0;
  uint32_t faults = 1;
  app.add_option("--shards", shards, "instead of a bound: a cutover of 1 or 2 shards")
      ->check(CLI::Range(1, 2));
  app.add_option("--faults", faults, "with --shards: so many faults")->check(CLI::Range(0, 20));
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  const auto bound = shards != 0 ? sluice::explore::BoundOfCutover(shards, faults)
                                 : sluice::explore::BoundOf(name);
  if (!bound || std::signal(SIGABRT, OnAbort) == SIG_ERR) {
    std::cerr << "sluice-explore: no bound " << name << "\n";
    return 2;
  }
  const absl::Time began = absl::Now();
  uint64_t states = 0;
  uint64_t violations = 0;
  sluice::explore::Explore(*bound, [&](const sluice::explore::Report& report) {
    states += report.result.states;
    violations += report.result.violation.empty() ? 0U : 1U;
    std::cout << sluice::explore::Text(report) << std::flush;
  });
  std::cout << states << " states visited, " << violations << " violations, "
            << absl::FormatDuration(absl::Now() - began) << "\n";
  return violations == 0 ? 0 : 1;
}
