// Observations of a workflow that is in order, for tests to put something wrong into.

#pragma once

#include "coordinator/traffic/observation.h"

namespace sluice::traffic::testing {

// The workflow customer.move of two shards, before a switch, or after a switch of all traffic by
// cutover "c1", whose streams back (ids 21 and 22) began at "uuid:1-10" and "uuid:1-20".
Observation InOrder(bool switched);

}  // namespace sluice::traffic::testing
