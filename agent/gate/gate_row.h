// GateRow in _sluice.gate: reads and writes the durable record of a gate.

#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/gate/gate_record.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// nullopt when the gate was never recorded.
absl::StatusOr<std::optional<GateRow>> ReadGateRow(mysql::Connection& connection, const GateId& id);

// The same of several gates, in their order.
absl::StatusOr<std::vector<std::optional<GateRow>>> ReadGateRows(mysql::Connection& connection,
                                                                 const std::vector<GateId>& ids);

// Writes the whole row in a commit of its own.
absl::Status WriteGateRow(mysql::Connection& connection, const GateId& id, const GateRow& row);

// Writes whole rows in one commit, or none. REQUIRES: not empty, each gate once.
absl::Status WriteGateRows(mysql::Connection& connection,
                           const std::vector<std::pair<GateId, GateRow>>& rows);

// All gates that close, or have closed, the server as a whole, by database.
absl::StatusOr<std::vector<std::pair<GateId, GateRow>>> ReadServerGates(
    mysql::Connection& connection);

// The workflows whose gates of this database hold any of the tables, "forgotten" ones left out.
absl::StatusOr<std::vector<std::string>> WorkflowsHolding(mysql::Connection& connection,
                                                          absl::string_view database,
                                                          const std::vector<std::string>& tables);

}  // namespace sluice::gate
