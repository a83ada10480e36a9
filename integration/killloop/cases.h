// Cases: which process is struck how at which boundary, in which direction. Pure.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "integration/killloop/boundaries.h"

namespace sluice::killloop {

enum class Way {
  kExit,  // _exit at the place, of its owner
  kKill,  // SIGKILL while the owner stands still at the place
  kStop,  // SIGSTOP then, for longer than any lease, and SIGCONT
  kCut,   // its connections end then, and nobody reaches it for a while
};
inline constexpr int kWays = 4;
const char* WayName(Way way);

// The processes by their roles: "coordinator", "from-agent", "to-agent", "from-mysqld",
// "to-mysqld", "proxy-1", "proxy-2".
const std::vector<std::string>& Roles();
std::string RoleOf(Owner owner);

struct Case {
  Gate gate = Gate::kTables;
  Boundary boundary;
  bool reverse = false;  // a reversal; of a teardown: of a move the other way round
  std::string role;
  Way way = Way::kKill;

  [[nodiscard]] std::string ToString() const;
  // The boundary, and the gate's kind where that is not `tables`.
  [[nodiscard]] std::string PlaceName() const;
};

// Each list empty: everything.
struct Choice {
  std::vector<std::string> gates;      // "tables", "server"
  std::vector<std::string> names;      // parts of boundaries' names
  std::vector<std::string> processes;  // parts of roles
  std::vector<std::string> ways;       // "exit", "kill", "stop", "cut"
  uint64_t limit = 0;                  // so many of them, by the dice of `seed`; 0: all
  uint64_t seed = 1;
};

// There and back in turn, so that one case leaves the tables where the next one begins; all of one
// kind of gate before those of the other.
std::vector<Case> ChooseCases(const Choice& choice);

}  // namespace sluice::killloop
