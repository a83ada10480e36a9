// DescribeTables: what a move must know of tables before it starts.

#include "agent/control/describe.h"

#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
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

// Of one statement that looks whether tables have rows.
constexpr size_t kLooksMax = 100;

// Where the table stands; empty when it does not.
std::string StandsAs(const gate::TableNames& names) {
  if (names.closed == gate::Object::kTable) {
    return gate::ClosedName(names.table);
  }
  return names.name == gate::Object::kAbsent ? "" : names.table;
}

// By the names under which the tables stand.
absl::StatusOr<std::map<std::string, mysql::TableSchema>> ReadSchemas(
    mysql::Connection& connection, const std::string& database,
    const std::vector<gate::TableNames>& observed) {
  std::vector<std::string> stands;
  for (const gate::TableNames& names : observed) {
    if (std::string name = StandsAs(names); !name.empty()) {
      stands.push_back(std::move(name));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(std::vector<mysql::TableSchema> read,
                          mysql::ReadWholeTableSchemas(connection, database, stands));
  std::map<std::string, mysql::TableSchema> schemas;
  for (mysql::TableSchema& schema : read) {
    std::string name = schema.name;
    schemas.emplace(std::move(name), std::move(schema));
  }
  return schemas;
}

absl::StatusOr<std::set<std::string>> FindTablesWithRows(
    mysql::Connection& connection, const std::string& database,
    const std::map<std::string, mysql::TableSchema>& schemas) {
  std::set<std::string> with_rows;
  std::vector<std::string> looks;
  const auto look = [&]() -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                            connection.Query(absl::StrJoin(looks, " UNION ALL ")));
    for (const mysql::Row& row : result.rows) {
      with_rows.insert(row[0].value_or(""));
    }
    looks.clear();
    return absl::OkStatus();
  };
  for (const auto& [name, schema] : schemas) {
    if (!schema.is_view) {
      looks.push_back(absl::StrCat("(SELECT ", mysql::QuoteString(name), " FROM ",
                                   mysql::QuoteTable(database, name), " LIMIT 1)"));
    }
    if (looks.size() == kLooksMax) {
      SLUICE_RETURN_IF_ERROR(look());
    }
  }
  SLUICE_RETURN_IF_ERROR(looks.empty() ? absl::OkStatus() : look());
  return with_rows;
}

// Gives a schema that was read the names by which applications know the tables.
absl::Status NameOpenly(const std::string& table, const Names& open_names,
                        mysql::TableSchema& schema) {
  if (schema.is_view) {
    return absl::OkStatus();
  }
  if (schema.name != table) {
    schema.name = table;
    SLUICE_ASSIGN_OR_RETURN(schema.create_statement,
                            gate::RewriteCreateTable(schema.create_statement, table, open_names));
  }
  ToOpenNames(schema.foreign_key_parents, open_names);
  ToOpenNames(schema.foreign_key_children, open_names);
  return absl::OkStatus();
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
  SLUICE_ASSIGN_OR_RETURN(auto schemas, ReadSchemas(connection, database, observed));
  SLUICE_ASSIGN_OR_RETURN(const auto with_rows, FindTablesWithRows(connection, database, schemas));
  std::vector<DescribedTable> described;
  described.reserve(observed.size());
  for (const gate::TableNames& names : observed) {
    DescribedTable& table = described.emplace_back();
    table.name = names.table;
    table.gate = gate::StateOf(names);
    const std::string stands = StandsAs(names);
    const auto found = schemas.find(stands);
    if (found == schemas.end()) {
      continue;  // absent, or dropped meanwhile
    }
    table.exists = true;
    table.has_rows = with_rows.contains(stands);
    table.schema = std::move(found->second);
    const absl::Status named = NameOpenly(names.table, open_names, table.schema);
    if (!named.ok()) {
      return WithSubject(Annotate(named, absl::StrCat("table ", database, ".", names.table)),
                         names.table);
    }
    table.cascades_logged = cascades_logged;
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
  SetNames(description.initCascadeParents(count(schema.cascade_parents)), schema.cascade_parents);
  SetNames(description.initPrograms(count(schema.programs)), schema.programs);
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
