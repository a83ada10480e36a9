// Migrations: the tables of the sidecar database _sluice, version by version. Pure.

#pragma once

#include <string>
#include <vector>

namespace sluice::sidecar {

// Statements that bring the sidecar from version - 1 to version. Each may be run again after a
// crash in the middle.
struct Migration {
  int version = 0;
  std::vector<std::string> statements;
};

// In order, versions 1, 2, … without a gap. A migration that was released never changes.
std::vector<Migration> Migrations();

}  // namespace sluice::sidecar
