// Loop: case after case, and what came of them.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "integration/killloop/cases.h"
#include "integration/killloop/world.h"

namespace sluice::killloop {

struct Tally {  // of one boundary
  uint64_t struck = 0;
  std::array<uint64_t, kWays> by_way{};
  uint64_t forward = 0;
  uint64_t committed = 0;
  uint64_t rolled_back = 0;
  uint64_t torn_down = 0;
  uint64_t not_reached = 0;
};

struct LoopResult {
  std::map<std::string, Tally> boundaries;
  uint64_t cases = 0;
  absl::Duration took;
  absl::Duration longest_recovery;  // from the end of the fault until nothing is under way
  std::string longest_recovery_case;
  Totals totals;
  std::string violation;  // and the case; the loop ends at the first

  [[nodiscard]] uint64_t not_reached() const;
  // Every boundary was struck, and nothing was wrong.
  [[nodiscard]] bool ok() const { return violation.empty() && not_reached() == 0; }
  [[nodiscard]] std::string ToText() const;
  [[nodiscard]] std::string ToJson() const;
};

// Prints a line for each case. An error is a cluster that does not come up.
absl::StatusOr<LoopResult> RunLoop(const WorldOptions& options, const std::vector<Case>& cases);

}  // namespace sluice::killloop
