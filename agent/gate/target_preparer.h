// PrepareTarget: creates a move's tables behind a closed gate.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "agent/gate/gate_keeper.h"

namespace sluice::gate {

struct TargetTable {
  std::string name;
  std::string create_statement;  // SHOW CREATE TABLE of the source
};

struct TargetPreparation {
  GateId id;
  std::string keyspace;  // for messages
  std::vector<TargetTable> tables;
};

// Creates each table under its closed name and records the gate as closed. An open table of the
// name is taken in (renamed) when it is empty and has the same columns. Idempotent for the same
// workflow. FAILED_PRECONDITION, with nothing created, for tables that have rows, that differ, that
// belong to another workflow, or when the workflow's gate is open already.
absl::Status PrepareTarget(GateKeeper& keeper, const TargetPreparation& preparation,
                           absl::Time deadline);

}  // namespace sluice::gate
