// ProbeGate: who uses the tables of a gate, found out before anybody is made to wait for them.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/gate/bounded_statement.h"
#include "agent/gate/gate_row.h"
#include "agent/session/session_pool.h"

namespace sluice::gate {

struct GateProbe {
  GateId id;
  std::vector<std::string> tables;
  absl::Duration age;          // who has been there for less is gone soon, and not named
  absl::Duration kill_after;   // zero: nobody is ended
  uint64_t kill_rows_max = 0;  // transactions that changed more rows are left alone
};

struct GateProbeResult {
  std::vector<Blocker> blockers;
  std::vector<Blocker> killed;
};

// Whether a session that sits on the tables may be ended: it has done so for long enough, changed
// few rows, and runs no DDL. Pure.
bool MayBeEnded(const GateProbe& probe, const Blocker& blocker, uint64_t rows_changed);

// Locks nothing itself. PERMISSION_DENIED when sessions are to be ended and the account may not do
// so, or not see how much they have changed.
absl::StatusOr<GateProbeResult> ProbeGate(agent::SessionPool& pool, const GateProbe& probe);

}  // namespace sluice::gate
