// PlanRepair: from an observation to what brings a half-done workflow to one of its two ends. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "coordinator/traffic/observation.h"
#include "coordinator/traffic/state_facts.h"

namespace sluice::traffic {

enum class RepairKind {
  kResumeCommand,  // carry on with what the store holds of a command
  kForgetCommand,  // of which nothing can be read
  kWriteJournal,   // the commit that another database holds
  kFreezeStream,
  kDeleteStream,
  kSetGate,
  kRecreateStream,  // at the position of the commit
  kPlaceStream,     // the same, of one that is there
  kThawStream,      // and start
  kRouteRules,      // as the record says; ends holds that are left over
};

struct Repair {
  RepairKind kind = RepairKind::kResumeCommand;
  std::string text = {};      // for people: what is done, and why
  bool irreversible = false;  // done only when a person has said yes
  bool serving = false;       // of the side that serves, or of the other one
  size_t side = 0;            // index into serving() or other()
  uint64_t stream = 0;
  std::string position = {};  // where a stream begins
  workflow::GateState gate = workflow::GateState::kOpen;
  std::string cutover = {};  // of the journal
  std::string record = {};
  friend bool operator==(const Repair&, const Repair&) = default;
};

struct RepairPlan {
  // Not empty: nothing is done at all, since the right end can't be known. In words, with the way
  // out.
  std::string refusal;
  std::vector<Repair> repairs;       // in the order in which they are done
  std::vector<std::string> remains;  // what no repair cures, each with its remedy
  friend bool operator==(const RepairPlan&, const RepairPlan&) = default;
};

// The end is the one that the store's record shows: the commit of a cutover and the change of the
// record are one transaction, so before it the old side serves, and after it the new one. Never
// opens a side unless every database of the other one is known to be shut, and what feeds the
// opened one is frozen first. Where a side is open that does not serve, nobody can know which rows
// are right: refused. A command that stopped half way is carried on first, by itself: what is to be
// done after it is seen when it has ended.
RepairPlan PlanRepair(const Observation& seen);

}  // namespace sluice::traffic
