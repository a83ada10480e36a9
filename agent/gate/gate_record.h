// GateRecord: what is durable of a gate, and the rules of its epochs. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::gate {

// A gate's name: one workflow's tables in one MySQL schema.
struct GateId {
  std::string workflow;  // keyspace.name
  std::string database;
  friend bool operator==(const GateId&, const GateId&) = default;
};

// How a gate closes: by renaming the tables, or by making the whole mysqld read-only, where it
// serves nothing else.
enum class GateKind { kTables, kServer };

// "tables", "server": as stored and shown.
absl::string_view GateKindName(GateKind kind);

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
  GateKind kind = GateKind::kTables;  // by which it is closed, or was closed last
  friend bool operator==(const GateRow&, const GateRow&) = default;
};

// OK when a request of this epoch may act: it is newer than the recorded one, or the same request
// again. FAILED_PRECONDITION names both epochs otherwise.
absl::Status CheckEpoch(const GateId& id, const std::optional<GateRow>& row, uint64_t epoch,
                        absl::string_view wanted);

}  // namespace sluice::gate
