// BatchModel: a mysqld with several gates, as a batch sees it, and what may go wrong with it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "agent/gate/gate_batch.h"
#include "tests/agent/gate/gate_model.h"

namespace sluice::gate {

// What goes wrong with one of the joined effects.
struct BatchFault {
  size_t effect = 0;  // counted from 0
  Fault fault = Fault::kNone;
  std::set<size_t> blocked = {};  // kNoLocks: who is said to be
};

// A value.
struct BatchModel {
  std::vector<GateModel> gates;
  // For the whole time: effects that mysqld refuses one gate, and gates whose tables somebody
  // holds.
  std::set<std::pair<size_t, GateEffectKind>> refused = {};
  std::set<size_t> held = {};
  bool holders_are_seen = true;

  std::vector<std::string> done = {};     // joined effects, in order
  std::vector<std::string> renames = {};  // their statements
  std::vector<std::string> broken = {};   // rules of the batch that were

  [[nodiscard]] std::vector<std::string> AllBroken() const;
};

struct BatchDrive {
  bool crashed = false;
  std::vector<GateEffectKind> effects;
  std::vector<GateState> states;  // finished unless crashed
};

// Runs one batch against the model to its end, or to a crash.
BatchDrive RunBatch(BatchModel& model, const std::vector<GateChange>& changes,
                    const std::vector<BatchFault>& faults = {});

}  // namespace sluice::gate
