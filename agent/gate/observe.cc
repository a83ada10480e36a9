// ObserveTables: asks mysqld what stands under the names of a gate's tables.

#include "agent/gate/observe.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

// By schema and name.
using Objects = std::map<std::pair<std::string, std::string>, Object>;

Object Classify(const mysql::Row& row) {
  const std::string& type = *row[1];
  const bool marked = row[3].has_value();
  if (type != "VIEW") {
    return marked ? Object::kPlaceholder : Object::kTable;
  }
  const std::string ours = absl::StrCat(kReaderUser, "@", kReaderHost);
  if (row[2].value_or("") != ours) {
    return Object::kOtherView;
  }
  return marked ? Object::kGuard : Object::kGateView;
}

// What the schemas have in common: shards have the same tables.
struct Names {
  std::string schemas;  // for an IN list
  std::string names;
};

// `of` appends the names of a table that count.
template <typename Of>
Names NamesOf(const std::vector<SchemaTables>& schemas, Of of) {
  std::vector<std::string> databases;
  std::set<std::string> names;
  for (const SchemaTables& schema : schemas) {
    databases.push_back(schema.database);
    for (const std::string& table : schema.tables) {
      of(table, names);
    }
  }
  return {.schemas = QuotedList(databases), .names = QuotedList({names.begin(), names.end()})};
}

absl::StatusOr<Objects> ReadObjects(mysql::Connection& connection,
                                    const std::vector<SchemaTables>& schemas) {
  const Names all = NamesOf(schemas, [](const std::string& table, std::set<std::string>& names) {
    names.insert({table, ClosedName(table), ViewName(table)});
  });
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          connection.Query(absl::StrCat(
                              "SELECT t.TABLE_NAME, t.TABLE_TYPE, v.DEFINER, c.COLUMN_NAME,"
                              " t.TABLE_SCHEMA FROM information_schema.TABLES t"
                              " LEFT JOIN information_schema.VIEWS v"
                              " ON v.TABLE_SCHEMA = t.TABLE_SCHEMA AND v.TABLE_NAME = t.TABLE_NAME"
                              " LEFT JOIN information_schema.COLUMNS c"
                              " ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME"
                              " AND c.COLUMN_NAME = ",
                              mysql::QuoteString(kPlaceholderColumn), " WHERE t.TABLE_SCHEMA IN (",
                              all.schemas, ") AND t.TABLE_NAME IN (", all.names, ")")));
  Objects objects;
  for (const mysql::Row& row : result.rows) {
    if (row[0].has_value() && row[1].has_value() && row[4].has_value()) {
      objects[{*row[4], *row[0]}] = Classify(row);
    }
  }
  return objects;
}

absl::Status ReadColumns(mysql::Connection& connection, const std::vector<SchemaTables>& schemas,
                         std::vector<std::vector<TableNames>>& observed) {
  std::map<std::pair<std::string, std::string>, TableNames*> open;
  for (size_t i = 0; i < schemas.size(); ++i) {
    for (TableNames& entry : observed[i]) {
      if (entry.name == Object::kTable) {
        open[{schemas[i].database, entry.table}] = &entry;
      }
    }
  }
  if (open.empty()) {
    return absl::OkStatus();
  }
  const Names all = NamesOf(
      schemas, [](const std::string& table, std::set<std::string>& names) { names.insert(table); });
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT TABLE_NAME, COLUMN_NAME, TABLE_SCHEMA FROM information_schema.COLUMNS"
          " WHERE TABLE_SCHEMA IN (",
          all.schemas, ") AND TABLE_NAME IN (", all.names,
          ") AND EXTRA NOT LIKE '%INVISIBLE%' ORDER BY TABLE_SCHEMA, TABLE_NAME,"
          " ORDINAL_POSITION")));
  for (const mysql::Row& row : result.rows) {
    const auto found = open.find({row[2].value_or(""), row[0].value_or("")});
    if (found != open.end()) {
      found->second->columns.push_back(row[1].value_or(""));
    }
  }
  return absl::OkStatus();
}

// What a name of a schema's table, open or closed, is when it is open.
using OpenNames = std::map<std::string, std::string>;

OpenNames OpenNamesOf(const SchemaTables& schema) {
  OpenNames names;
  for (const std::string& table : schema.tables) {
    names[table] = table;
    names[ClosedName(table)] = table;
  }
  return names;
}

// A row of REFERENTIAL_CONSTRAINTS: table, constraint, parent's schema, parent, schema. nullopt:
// the table is none of these, or its parent is one.
std::optional<Cascade> ToCascade(const mysql::Row& row, const OpenNames& names) {
  const auto table = names.find(row[0].value_or(""));
  const std::string parent = row[3].value_or("");
  if (table == names.end() || (row[2] == row[4] && names.contains(parent))) {
    return std::nullopt;
  }
  return Cascade{.table = table->second,
                 .constraint = row[1].value_or(""),
                 .parent = absl::StrCat(row[2].value_or(""), ".", parent)};
}

}  // namespace

absl::StatusOr<std::vector<Cascade>> FindCascades(mysql::Connection& connection,
                                                  absl::string_view database,
                                                  const std::vector<std::string>& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      auto found,
      FindCascadesOf(connection, {{.database = std::string(database), .tables = tables}}));
  return std::move(found.front());
}

absl::StatusOr<std::vector<std::vector<Cascade>>> FindCascadesOf(
    mysql::Connection& connection, const std::vector<SchemaTables>& schemas) {
  const Names all = NamesOf(schemas, [](const std::string& table, std::set<std::string>& names) {
    names.insert({table, ClosedName(table)});
  });
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT TABLE_NAME, CONSTRAINT_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME,"
          " CONSTRAINT_SCHEMA FROM information_schema.REFERENTIAL_CONSTRAINTS"
          " WHERE CONSTRAINT_SCHEMA IN (",
          all.schemas, ") AND TABLE_NAME IN (", all.names,
          ") AND (DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT') OR UPDATE_RULE NOT IN"
          " ('NO ACTION', 'RESTRICT')) ORDER BY 5, 1, 2")));
  std::vector<std::vector<Cascade>> cascades(schemas.size());
  for (size_t i = 0; i < schemas.size() && !result.rows.empty(); ++i) {
    const OpenNames names = OpenNamesOf(schemas[i]);
    for (const mysql::Row& row : result.rows) {
      if (row[4] != schemas[i].database) {
        continue;
      }
      if (auto cascade = ToCascade(row, names); cascade.has_value()) {
        cascades[i].push_back(*std::move(cascade));
      }
    }
  }
  return cascades;
}

std::string QuotedList(const std::vector<std::string>& texts) {
  if (texts.empty()) {
    return "NULL";
  }
  return absl::StrJoin(texts, ", ", [](std::string* out, const std::string& text) {
    out->append(mysql::QuoteString(text));
  });
}

absl::StatusOr<std::vector<TableNames>> ObserveTables(mysql::Connection& connection,
                                                      absl::string_view database,
                                                      const std::vector<std::string>& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      auto observed,
      ObserveSchemas(connection, {{.database = std::string(database), .tables = tables}}, true));
  return std::move(observed.front());
}

absl::StatusOr<std::vector<std::vector<TableNames>>> ObserveSchemas(
    mysql::Connection& connection, const std::vector<SchemaTables>& schemas, bool with_columns) {
  SLUICE_ASSIGN_OR_RETURN(const Objects objects, ReadObjects(connection, schemas));
  std::vector<std::vector<TableNames>> observed;
  observed.reserve(schemas.size());
  for (const SchemaTables& schema : schemas) {
    const auto under = [&](const std::string& name) {
      const auto found = objects.find({schema.database, name});
      return found == objects.end() ? Object::kAbsent : found->second;
    };
    std::vector<TableNames>& names = observed.emplace_back();
    names.reserve(schema.tables.size());
    for (const std::string& table : schema.tables) {
      names.push_back({.table = table,
                       .name = under(table),
                       .closed = under(ClosedName(table)),
                       .view = under(ViewName(table)),
                       .columns = {}});
    }
  }
  if (with_columns) {
    SLUICE_RETURN_IF_ERROR(ReadColumns(connection, schemas, observed));
  }
  return observed;
}

}  // namespace sluice::gate
