// What must hold before traffic is moved or a workflow is ended; nothing is changed by looking.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/plans.h"

namespace sluice::traffic {

// Whether the phase of a workflow lets commands act on it; FAILED_PRECONDITION says why not.
absl::Status CheckPhase(const workflow::WorkflowRecord& record);

struct SwitchCheck {
  const cutover::Records& records;
  const Direction& direction;
  TrafficTypes types;  // what is about to move
  absl::Duration max_lag;
  // Lag, tablets for readers that do not serve, and proxies that refuse rules are no reason; gates,
  // primaries and streams that do not run are.
  bool force = false;
};

// FAILED_PRECONDITION "cannot switch traffic for workflow customer.move at this time: <reason>":
// copy in progress, streams stopped or in error, lag, primaries or tablets of the side that takes
// over away, gates that are not where the records say, proxies that refuse the rules. Talks to the
// primaries of both sides, so connections are warm afterwards.
absl::Status CheckSwitch(const Dependencies& parts, const SwitchCheck& check);

// The same words before what another check says.
absl::Status CannotSwitch(const workflow::WorkflowRecord& original, const absl::Status& status);

// True when any of the shards has a tablet that serves RDONLY reads or is meant to.
bool HasRdonly(const topology::Topology& topology, const Direction& direction);

// The gate of these tables on the primary of a side.
absl::StatusOr<workflow::GateState> GateOf(const Dependencies& parts,
                                           const workflow::WorkflowRecord& original,
                                           const cutover::Side& side);

// FAILED_PRECONDITION unless every side's gate is one of `allowed`; `what` says what it is for.
absl::Status RequireGates(const Dependencies& parts, const workflow::WorkflowRecord& original,
                          const std::vector<cutover::Side>& sides,
                          const std::vector<workflow::GateState>& allowed, absl::string_view what);

// FAILED_PRECONDITION names what would keep the agents from ending the gates of these sides in this
// way.
absl::Status RequireEnds(const Dependencies& parts, const workflow::WorkflowRecord& original,
                         const std::vector<cutover::Side>& sides, workflow::DropMode mode);

// FAILED_PRECONDITION unless every side is closed. One that is closed as a whole mysqld can still
// be read; its gate is recorded as wanted closed.
absl::Status RequireClosed(const Dependencies& parts, const workflow::WorkflowRecord& original,
                           const std::vector<cutover::Side>& sides, absl::string_view what);

// FAILED_PRECONDITION names what bars an agent from opening one of these sides: privileges that its
// account has lost, a backup that keeps every rename out. Behind the commit of a cutover nobody
// serves until they are open, so it is asked before.
absl::Status CheckOpening(const Dependencies& parts, const std::string& workflow_key,
                          const std::vector<cutover::Side>& sides);

}  // namespace sluice::traffic
