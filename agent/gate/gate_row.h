// GateRow: the durable record of a gate in _sluice.gate, and the rules of its epochs.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// A gate's name: one workflow's tables in one MySQL schema.
struct GateId {
  std::string workflow;  // keyspace.name
  std::string database;
};

// States of the row besides those of StateName: an intent without outcome, and a gate whose tables
// were dropped or given back (kept for its epoch, so that a late request can't revive it).
inline constexpr absl::string_view kChanging = "changing";
inline constexpr absl::string_view kForgotten = "forgotten";

struct GateRow {
  std::string state;
  std::string wanted;  // what the last request wanted: a state's name, "drop", "rename" or "keep"
  uint64_t epoch = 0;
  uint64_t connection_id = 0;  // of the session that changes it; 0 when nobody does
  std::vector<std::string> tables;
};

// nullopt when the gate was never recorded.
absl::StatusOr<std::optional<GateRow>> ReadGateRow(mysql::Connection& connection, const GateId& id);

// Writes the whole row in a commit of its own.
absl::Status WriteGateRow(mysql::Connection& connection, const GateId& id, const GateRow& row);

// The workflows whose gates of this database hold any of the tables, "forgotten" ones left out.
absl::StatusOr<std::vector<std::string>> WorkflowsHolding(mysql::Connection& connection,
                                                          absl::string_view database,
                                                          const std::vector<std::string>& tables);

// OK when a request of this epoch may act: it is newer than the recorded one, or the same request
// again. FAILED_PRECONDITION names both epochs otherwise.
absl::Status CheckEpoch(const GateId& id, const std::optional<GateRow>& row, uint64_t epoch,
                        absl::string_view wanted);

}  // namespace sluice::gate
