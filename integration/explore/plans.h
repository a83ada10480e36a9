// Plans of cutovers for the explorer and for tests.

#pragma once

#include <cstdint>

#include "coordinator/cutover/plan.h"

namespace sluice::explore {

// A switch of writes over so many shards, one stream each, with nothing that is not always there.
cutover::Plan WritesPlan(uint32_t shards);

}  // namespace sluice::explore
