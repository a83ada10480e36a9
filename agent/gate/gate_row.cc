// GateRow in _sluice.gate: reads and writes the durable record of a gate.

#include "agent/gate/gate_row.h"

#include <nlohmann/json.hpp>

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

// Names are utf8mb4 to mysqld; a byte that is not would be replaced rather than thrown over.
std::string TablesToJson(const std::vector<std::string>& tables) {
  return nlohmann::json(tables).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

absl::StatusOr<std::vector<std::string>> TablesFromJson(const std::string& text) {
  const nlohmann::json parsed = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> tables;
  if (!parsed.is_array()) {
    return absl::DataLossError(absl::StrCat("_sluice.gate: not a list of tables: ", text));
  }
  for (const nlohmann::json& table : parsed) {
    if (!table.is_string()) {
      return absl::DataLossError(absl::StrCat("_sluice.gate: not a list of tables: ", text));
    }
    tables.push_back(table.get<std::string>());
  }
  return tables;
}

uint64_t Number(const std::optional<std::string>& cell) {
  uint64_t value = 0;
  return cell.has_value() && absl::SimpleAtoi(*cell, &value) ? value : 0;
}

constexpr char kColumns[] = "state, wanted, epoch, connection_id, table_names, kind";

// `cells` are kColumns.
absl::StatusOr<GateRow> FromCells(const std::optional<std::string>* cells) {
  GateRow row{
      .state = cells[0].value_or(""),
      .wanted = cells[1].value_or(""),
      .epoch = Number(cells[2]),
      .connection_id = Number(cells[3]),
      .tables = {},
      .kind = cells[5] == GateKindName(GateKind::kServer) ? GateKind::kServer : GateKind::kTables};
  SLUICE_ASSIGN_OR_RETURN(row.tables, TablesFromJson(cells[4].value_or("")));
  return row;
}

std::string Key(const GateId& id) {
  return absl::StrCat(mysql::QuoteString(id.workflow), ", ", mysql::QuoteString(id.database));
}

}  // namespace

absl::StatusOr<std::optional<GateRow>> ReadGateRow(mysql::Connection& connection,
                                                   const GateId& id) {
  SLUICE_ASSIGN_OR_RETURN(const auto rows, ReadGateRows(connection, {id}));
  return rows.front();
}

absl::StatusOr<std::vector<std::optional<GateRow>>> ReadGateRows(mysql::Connection& connection,
                                                                 const std::vector<GateId>& ids) {
  const std::string keys = absl::StrJoin(ids, ", ", [](std::string* out, const GateId& id) {
    absl::StrAppend(out, "(", Key(id), ")");
  });
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat("SELECT workflow, database_name, ", kColumns,
                                    " FROM _sluice.gate WHERE (workflow, database_name) IN (", keys,
                                    ")")));
  std::vector<std::optional<GateRow>> rows(ids.size());
  for (const mysql::Row& cells : result.rows) {
    const GateId id{.workflow = cells[0].value_or(""), .database = cells[1].value_or("")};
    // The server compares by the column's collation, which passes over spaces at the end.
    const auto found = ids.size() == 1 ? ids.begin() : std::find(ids.begin(), ids.end(), id);
    if (found != ids.end()) {
      SLUICE_ASSIGN_OR_RETURN(rows[static_cast<size_t>(found - ids.begin())], FromCells(&cells[2]));
    }
  }
  return rows;
}

absl::StatusOr<std::vector<std::pair<GateId, GateRow>>> ReadServerGates(
    mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT workflow, database_name, ", kColumns,
          " FROM _sluice.gate WHERE kind = ", mysql::QuoteString(GateKindName(GateKind::kServer)),
          " ORDER BY database_name, workflow")));
  std::vector<std::pair<GateId, GateRow>> gates;
  for (const mysql::Row& cells : result.rows) {
    SLUICE_ASSIGN_OR_RETURN(GateRow row, FromCells(&cells[2]));
    gates.emplace_back(GateId{.workflow = cells[0].value_or(""), .database = cells[1].value_or("")},
                       std::move(row));
  }
  return gates;
}

absl::Status WriteGateRow(mysql::Connection& connection, const GateId& id, const GateRow& row) {
  return WriteGateRows(connection, {{id, row}});
}

absl::Status WriteGateRows(mysql::Connection& connection,
                           const std::vector<std::pair<GateId, GateRow>>& rows) {
  const std::string values =
      absl::StrJoin(rows, ", ", [](std::string* out, const std::pair<GateId, GateRow>& each) {
        const GateRow& row = each.second;
        absl::StrAppend(out, "(", Key(each.first), ", ", mysql::QuoteString(row.state), ", ",
                        mysql::QuoteString(row.wanted), ", ", row.epoch, ", ", row.connection_id,
                        ", ", mysql::QuoteString(TablesToJson(row.tables)), ", UTC_TIMESTAMP(6), ",
                        mysql::QuoteString(GateKindName(row.kind)), ")");
      });
  return Annotate(
      connection
          .Execute(absl::StrCat(
              "INSERT INTO _sluice.gate (workflow, database_name, state, wanted, epoch,"
              " connection_id, table_names, changed_at, kind) VALUES ",
              values,
              " AS new ON DUPLICATE KEY UPDATE state = new.state, wanted = new.wanted,"
              " epoch = new.epoch, connection_id = new.connection_id,"
              " table_names = new.table_names, changed_at = new.changed_at, kind = new.kind"))
          .status(),
      absl::StrCat("recording the gate of ", rows.front().first.workflow));
}

absl::StatusOr<std::vector<std::string>> WorkflowsHolding(mysql::Connection& connection,
                                                          absl::string_view database,
                                                          const std::vector<std::string>& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat("SELECT workflow, table_names FROM _sluice.gate"
                                    " WHERE database_name = ",
                                    mysql::QuoteString(database), " AND state <> ",
                                    mysql::QuoteString(kForgotten), " ORDER BY workflow")));
  std::vector<std::string> workflows;
  for (const mysql::Row& row : result.rows) {
    SLUICE_ASSIGN_OR_RETURN(const auto held, TablesFromJson(row[1].value_or("")));
    const bool overlap = std::any_of(held.begin(), held.end(), [&](const std::string& table) {
      return std::find(tables.begin(), tables.end(), table) != tables.end();
    });
    if (overlap) {
      workflows.push_back(row[0].value_or(""));
    }
  }
  return workflows;
}

}  // namespace sluice::gate
