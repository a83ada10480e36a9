// ObserveTables: asks mysqld what stands under the names of a gate's tables.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/gate/gate_machine.h"
#include "agent/gate/planner.h"
#include "common/mysql/connection.h"

namespace sluice::gate {

// One entry per table, in their order. The columns are filled for tables that stand open.
absl::StatusOr<std::vector<TableNames>> ObserveTables(mysql::Connection& connection,
                                                      absl::string_view database,
                                                      const std::vector<std::string>& tables);

// Tables of one schema.
struct SchemaTables {
  std::string database;
  std::vector<std::string> tables;
};

// The same in one look at several schemas, each of which is named once. The columns are filled
// where they are asked for.
absl::StatusOr<std::vector<std::vector<TableNames>>> ObserveSchemas(
    mysql::Connection& connection, const std::vector<SchemaTables>& schemas, bool with_columns);

// The foreign keys by which rows of these tables change when those of a table that is not among
// them do.
absl::StatusOr<std::vector<Cascade>> FindCascades(mysql::Connection& connection,
                                                  absl::string_view database,
                                                  const std::vector<std::string>& tables);

// The same in one look at several schemas, each of which is named once.
absl::StatusOr<std::vector<std::vector<Cascade>>> FindCascadesOf(
    mysql::Connection& connection, const std::vector<SchemaTables>& schemas);

// 'a', 'b', 'c' for an IN list; NULL, which matches nothing, when there are none.
std::string QuotedList(const std::vector<std::string>& texts);

}  // namespace sluice::gate
