// How the gates of the side that writes leave are to close: as whole mysqlds, or table by table.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/traffic/dependencies.h"

namespace sluice::traffic {

// What the agent of one shard answers, asked whether its mysqld can be closed as a whole together
// with the side's other shards on it.
struct ServerAnswer {
  std::string server;                  // the same for all shards of one mysqld
  std::vector<std::string> obstacles;  // none: it can
};

// For each side: as a whole mysqld, where none of its shards names an obstacle; else table by
// table, with the first reason. Pure. REQUIRES: an answer for each side.
std::vector<cutover::GatePlan> DecideGates(const std::vector<cutover::Side>& sides,
                                           const std::vector<ServerAnswer>& answers);

// Asks the primaries of the sides. A mysqld that can't be asked has that for an obstacle. An error
// means that a side has no primary.
absl::StatusOr<std::vector<ServerAnswer>> AskServers(const Dependencies& parts,
                                                     const workflow::WorkflowRecord& original,
                                                     const std::vector<cutover::Side>& sides,
                                                     const workflow::CallBudget& budget);

// How each side's gate closes. FAILED_PRECONDITION names what stands against whole mysqlds where
// they are demanded.
absl::StatusOr<std::vector<cutover::GatePlan>> ChooseGates(const Dependencies& parts,
                                                           const workflow::WorkflowRecord& original,
                                                           const std::vector<cutover::Side>& sides,
                                                           admin::GateWish wish);

}  // namespace sluice::traffic
