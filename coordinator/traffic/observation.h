// Observation: how a workflow stands in the store, the databases, the rules and the proxies, all
// read at one time. For diagnose and repair.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/cutover/codec.h"
#include "coordinator/cutover/runner.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/plans.h"

namespace sluice::traffic {

// One shard of one side, as its database tells.
struct SideReading {
  cutover::Side side;
  std::string tablet;    // alias of its PRIMARY; empty when there is none
  absl::Status reached;  // not OK: why nothing of what follows is known
  workflow::GateReading gate;
  // Of the side that serves: how a switch would close it.
  std::optional<cutover::GatePlan> next_gate;
  std::string recorded_gate;                    // as its gate was recorded last; empty: never was
  std::vector<workflow::JournalEntry> journal;  // of the workflow, the newest first
  // Into this database, of the workflow and of its reverse.
  std::vector<topology::StreamInfo> streams;
};

struct Observation {
  cutover::Records records;
  std::vector<store::CutoverAttempt> attempts;  // the newest first, without their steps
  // What the store keeps of a command that has not ended; of bytes that can't be read, why.
  std::optional<cutover::StoredOperation> operation;
  std::string unreadable_operation;
  // The command that runs on the workflow in this coordinator; empty: none. And, of a cutover, what
  // it is at.
  std::string command;
  std::string command_detail;
  bool waits_for_release = false;
  // Clients wait while a cutover is in its fence: then no database is asked.
  bool databases_asked = true;

  std::vector<SideReading> source;  // in the direction of the workflow as it was created
  std::vector<SideReading> target;
  store::RuleState rules;
  uint64_t epoch = 0;
  std::vector<rules::ProxyState> proxies;
  absl::Time now;

  [[nodiscard]] const std::vector<SideReading>& serving() const {
    return records.original.writes_switched ? target : source;
  }
  [[nodiscard]] const std::vector<SideReading>& other() const {
    return records.original.writes_switched ? source : target;
  }
};

// `key` is that of the workflow as it was created; `own_command` the caller's own, which does not
// count as one that runs. Changes nothing. What can't be reached within a few seconds is noted as
// such; an error means that the store can't be read, or that there is no such workflow.
absl::StatusOr<Observation> Observe(const Dependencies& parts, const cutover::Runner& runner,
                                    const std::string& key, const std::string& own_command,
                                    absl::Time deadline);

}  // namespace sluice::traffic
