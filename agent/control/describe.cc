// DescribeTables: what a move must know of tables before it starts.

#include "agent/control/describe.h"

#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/create_statement.h"
#include "agent/gate/observe.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::agent {
namespace {

using Names = std::map<std::string, std::string>;

void ToOpenNames(std::vector<std::string>& tables, const Names& open_names) {
  for (std::string& table : tables) {
    if (const auto found = open_names.find(table); found != open_names.end()) {
      table = found->second;
    }
  }
}

void SetNames(capnp::List<capnp::Text>::Builder list, const std::vector<std::string>& names) {
  for (unsigned i = 0; i < list.size(); ++i) {
    list.set(i, names[i]);
  }
}

absl::StatusOr<DescribedTable> Describe(mysql::Connection& connection, const std::string& database,
                                        const gate::TableNames& names, const Names& open_names) {
  DescribedTable described{.name = names.table,
                           .exists = false,
                           .has_rows = false,
                           .gate = gate::StateOf(names),
                           .cascades_logged = false,
                           .schema = {}};
  const bool closed = names.closed == gate::Object::kTable;
  if (!closed && names.name == gate::Object::kAbsent) {
    return described;
  }
  const std::string stands = closed ? gate::ClosedName(names.table) : names.table;
  auto schema = mysql::ReadTableSchema(connection, database, stands);
  if (absl::IsNotFound(schema.status())) {
    return described;  // dropped meanwhile
  }
  SLUICE_RETURN_IF_ERROR(schema.status());
  described.exists = true;
  described.schema = *std::move(schema);
  if (described.schema.is_view) {
    return described;
  }
  if (closed) {
    described.schema.name = names.table;
    SLUICE_ASSIGN_OR_RETURN(
        described.schema.create_statement,
        gate::RewriteCreateTable(described.schema.create_statement, names.table, open_names));
  }
  ToOpenNames(described.schema.foreign_key_parents, open_names);
  ToOpenNames(described.schema.foreign_key_children, open_names);
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult first,
                          connection.Query(absl::StrCat(
                              "SELECT 1 FROM ", mysql::QuoteTable(database, stands), " LIMIT 1")));
  described.has_rows = !first.rows.empty();
  return described;
}

}  // namespace

absl::StatusOr<std::vector<DescribedTable>> DescribeTables(mysql::Connection& connection,
                                                           const std::string& database,
                                                           std::vector<std::string> tables) {
  if (tables.empty()) {
    SLUICE_ASSIGN_OR_RETURN(tables, mysql::ListTables(connection, database));
  }
  Names open_names;
  for (const std::string& table : tables) {
    open_names[gate::ClosedName(table)] = table;
  }
  SLUICE_ASSIGN_OR_RETURN(const bool cascades_logged, mysql::LogsCascades(connection));
  SLUICE_ASSIGN_OR_RETURN(const auto observed, gate::ObserveTables(connection, database, tables));
  std::vector<DescribedTable> described;
  for (const gate::TableNames& names : observed) {
    auto table = Describe(connection, database, names, open_names);
    if (!table.ok()) {
      return WithSubject(
          Annotate(table.status(), absl::StrCat("table ", database, ".", names.table)),
          names.table);
    }
    table->cascades_logged = cascades_logged;
    described.push_back(*std::move(table));
  }
  return described;
}

void FillDescription(const DescribedTable& table, schemas::TableDescription::Builder description) {
  const mysql::TableSchema& schema = table.schema;
  const auto count = [](const std::vector<std::string>& names) {
    return static_cast<unsigned>(names.size());
  };
  description.setName(table.name);
  description.setCreateStatement(schema.create_statement);
  description.setExists(table.exists);
  description.setIsView(schema.is_view);
  description.setRowsEstimate(schema.rows_estimate);
  description.setBytesEstimate(schema.bytes_estimate);
  description.setHasRows(table.has_rows);
  SetNames(description.initKeyColumns(count(schema.key_columns)), schema.key_columns);
  SetNames(description.initTriggers(count(schema.triggers)), schema.triggers);
  SetNames(description.initForeignKeyParents(count(schema.foreign_key_parents)),
           schema.foreign_key_parents);
  SetNames(description.initForeignKeyChildren(count(schema.foreign_key_children)),
           schema.foreign_key_children);
  SetNames(description.initViews(count(schema.views)), schema.views);
  SetNames(description.initCascades(count(schema.cascades)), schema.cascades);
  description.setCascadesLogged(table.cascades_logged);
  description.setGateState(WireState(table.gate));
}

schemas::GateState WireState(gate::State state) {
  switch (state) {
    case gate::State::kOpen:
      return schemas::GateState::OPEN;
    case gate::State::kClosed:
      return schemas::GateState::CLOSED;
    case gate::State::kReadable:
      return schemas::GateState::READABLE;
    case gate::State::kAbsent:
      return schemas::GateState::ABSENT;
    case gate::State::kMixed:
      break;
  }
  return schemas::GateState::MIXED;
}

}  // namespace sluice::agent
