// Run: the program sluice without its process.

#pragma once

#include <iosfwd>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace sluice::cli {

struct Environment {
  std::string coordinator;  // $SLUICE_COORDINATOR
  std::ostream& out;
  std::ostream& err;
  bool out_is_terminal = false;
  absl::Duration watch_period = absl::Seconds(1);
};

// `args` without the program's name. Returns the exit code: 0 done, 1 refused or failed with the
// reason on `err`, or an answer that something is wrong, 2 usage with the usage on `err`.
int Run(const std::vector<std::string>& args, const Environment& environment);

}  // namespace sluice::cli
