// RaiseCounters: the AUTO_INCREMENT counters of a gate's tables.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/gate/gate_keeper.h"

namespace sluice::gate {

struct CounterRequest {
  GateId id;
  std::vector<std::string> tables;
  std::vector<uint64_t> at_least;  // per table; 0: as it is. Empty: all as they are
};

// The next value of each table, under whichever name it stands; 0 for one without AUTO_INCREMENT.
// Those that are lower than wanted are raised first, which takes a closed gate, of either kind:
// FAILED_PRECONDITION for a table that stands open, ABORTED (who holds it named) when its locks
// were not granted, DEADLINE_EXCEEDED when another request keeps the gate busy.
absl::StatusOr<std::vector<uint64_t>> RaiseCounters(GateKeeper& keeper,
                                                    const CounterRequest& request);

}  // namespace sluice::gate
