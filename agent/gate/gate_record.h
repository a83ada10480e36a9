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
// serves nothing but gates that close together.
enum class GateKind { kTables, kServer };

// "tables", "server": as stored and shown.
absl::string_view GateKindName(GateKind kind);

// States of the row besides those of StateName: an intent without outcome, and a gate whose tables
// were dropped or given back (kept for its epoch, so that a late request can't revive it).
inline constexpr absl::string_view kChanging = "changing";
inline constexpr absl::string_view kForgotten = "forgotten";
// The tables of a gate of kind server are dropped or given back; what is left is the server, which
// opens when no other gate keeps it closed.
inline constexpr absl::string_view kLettingGo = "letting go";

struct GateRow {
  std::string state;
  std::string wanted;  // what the last request wanted: a state's name, "drop", "rename" or "keep"
  uint64_t epoch = 0;
  uint64_t connection_id = 0;  // of the session that changes it; 0 when nobody does
  std::vector<std::string> tables;
  GateKind kind = GateKind::kTables;  // by which it is closed, or was closed last
  friend bool operator==(const GateRow&, const GateRow&) = default;
};

// Whether the record says that the server was, or was to be, closed as a whole.
bool FencesServer(const GateRow& row);

// Whether the server must stay read-only for this gate. Not for one that has begun to open: its
// journal is written, and whoever opens the server last opens it for all. So of two gates that open
// at once each lets the other go on, and the later one of them finds nobody who keeps it closed.
bool KeepsServerClosed(const GateRow& row);

// OK when a request of this epoch may act: it is newer than the recorded one, or the same request
// again. FAILED_PRECONDITION names both epochs otherwise.
absl::Status CheckEpoch(const GateId& id, const std::optional<GateRow>& row, uint64_t epoch,
                        absl::string_view wanted);

}  // namespace sluice::gate
