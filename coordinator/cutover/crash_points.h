// The names of the places at which a test can kill the coordinator during a cutover or a teardown.

#pragma once

#include <string>
#include <vector>

#include "coordinator/cutover/machine.h"

namespace sluice::cutover {

// intent: its intent is durable, the effect has not begun. done: the effect is over, its outcome
// not stored yet.
enum class Boundary { kIntent, kDone };

// "cutover.close_gate.intent"; static storage.
const char* CrashPointName(EffectKind kind, Boundary boundary);

// All of them, for tests that loop.
std::vector<std::string> CutoverCrashPoints();
// "complete.begin", …, "cancel.begin", …: before the step that they name begins, the one before it
// being over; "begin" is the durable decision.
std::vector<std::string> TeardownCrashPoints();

}  // namespace sluice::cutover
