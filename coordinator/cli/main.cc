// sluice: the operator's program.

#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "coordinator/cli/run.h"

int main(int argc, char** argv) {
  const char* coordinator = std::getenv("SLUICE_COORDINATOR");
  const sluice::cli::Environment environment{
      .coordinator = coordinator == nullptr ? "" : coordinator,
      .out = std::cout,
      .err = std::cerr,
      .out_is_terminal = isatty(STDOUT_FILENO) == 1,
  };
  return sluice::cli::Run(std::vector<std::string>(argv + (argc > 0 ? 1 : 0), argv + argc),
                          environment);
}
