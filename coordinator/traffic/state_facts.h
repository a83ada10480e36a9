// What an observation says of the parts of a workflow; diagnose and repair both go by it. Pure.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "coordinator/traffic/observation.h"

namespace sluice::traffic {

// Where the gate of a database of that side belongs.
workflow::GateState WantedGate(const cutover::Records& records, bool serving);
// Whether a gate stands as it is to. Who only reads still reads a mysqld that is closed as a whole.
bool GateFits(const workflow::GateReading& gate, workflow::GateState wanted);

// A commit as the databases' journals hold it.
struct JournaledCommit {
  std::string cutover;
  std::string record;  // as it stands there
  bool reversal = false;
  uint64_t epoch = 0;
  std::vector<cutover::Side> to;
  std::vector<std::string> positions;  // per database of `to`: where the streams back begin
};
// The last one that any of the databases knows of. Records that can't be read are passed over.
std::optional<JournaledCommit> LastCommit(const Observation& seen);
// A commit that the store's record does not show was made by a later state of the store.
bool StoreIsBehind(const Observation& seen, const std::optional<JournaledCommit>& last);

enum class StreamFault {
  kNone,
  kFailed,          // in error, by itself
  kMissing,         // the record names it, the database does not have it
  kFrozen,          // of the living workflow
  kAwaitsPosition,  // of the living workflow, and nobody is going to say
  kNotFrozen,       // into the side that serves
  kLeftOver,        // no record names it
};

struct StreamReading {
  bool serving = false;  // into the side that serves
  size_t side = 0;       // index into serving() or other()
  uint64_t id = 0;
  const topology::StreamInfo* info = nullptr;  // into the observation; null where it is missing
  StreamFault fault = StreamFault::kNone;
};
// Of databases that were reached.
std::vector<StreamReading> ReadStreams(const Observation& seen,
                                       const std::optional<JournaledCommit>& last);

const cutover::StoredCutover* StoredCutoverOf(const Observation& seen);

// How the rules differ from what the record says: "customer -> commerce.customer is missing".
std::vector<std::string> RuleFaults(const Observation& seen);
// Holds on the workflow's tables that no cutover in the store stands for.
std::vector<std::string> HoldsLeftOver(const Observation& seen);

}  // namespace sluice::traffic
