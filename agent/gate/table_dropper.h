// DropTables: ends a gate by dropping, renaming or giving back the tables behind it.

#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/gate/gate_keeper.h"

namespace sluice::gate {

enum class DropMode {
  kDrop,
  kRenameOld,  // to _<first 59 characters>_old
  kKeep,       // gives the tables their names back, and leaves alone those that have them
};

struct DropRequest {
  GateId id;
  std::vector<std::string> tables;
  DropMode mode = DropMode::kDrop;
  uint64_t epoch = 0;
  // Asked before each batch of tables; its error ends the request. May be null.
  std::function<absl::Status()> may_go_on = nullptr;
};

// "_<first 59 characters>_old". Pure.
std::string OldName(const std::string& table);

// What DropTables would be refused for, as things are; OK where it would begin. Changes nothing.
// `request.epoch` counts for nothing.
absl::Status CheckDrop(GateKeeper& keeper, const DropRequest& request, absl::Time deadline);

// Returns the tables that were dealt with now; none on a repeat. The gate is forgotten afterwards,
// but for its epoch. Proof before the first change: the gate's record holds each table, says closed
// or readable (or this same request was interrupted), and mysqld's names say that each is closed,
// readable or absent; with kKeep also open. FAILED_PRECONDITION names the table that stands open,
// is not of the gate, is referred to by a foreign key from outside, or has an old name that is
// taken or too long for its constraints; then nothing has changed. Many tables are dealt with in
// batches (table_batches.h): DEADLINE_EXCEEDED says how many are done, and the same request goes on
// with the others.
absl::StatusOr<std::vector<std::string>> DropTables(GateKeeper& keeper, const DropRequest& request,
                                                    absl::Time deadline);

}  // namespace sluice::gate
