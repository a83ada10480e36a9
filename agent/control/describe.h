// DescribeTables: what a move must know of tables before it starts.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "agent/gate/planner.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"
#include "schemas/control.capnp.h"

namespace sluice::agent {

struct DescribedTable {
  std::string name;
  bool exists = false;
  bool has_rows = false;
  gate::State gate = gate::State::kAbsent;
  bool cascades_logged = false;  // a fact of the server
  mysql::TableSchema schema;  // of the table wherever it stands, named and referring by open names
};

// One entry per table in their order, missing ones with exists = false; every open base table when
// `tables` is empty.
absl::StatusOr<std::vector<DescribedTable>> DescribeTables(mysql::Connection& connection,
                                                           const std::string& database,
                                                           std::vector<std::string> tables);

void FillDescription(const DescribedTable& table, schemas::TableDescription::Builder description);

schemas::GateState WireState(gate::State state);

}  // namespace sluice::agent
