// ObserveTables: asks mysqld what stands under the names of a gate's tables.

#include "agent/gate/observe.h"

#include <map>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

using Objects = std::map<std::string, Object>;

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

absl::StatusOr<Objects> ReadObjects(mysql::Connection& connection, absl::string_view database,
                                    const std::vector<std::string>& names) {
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result,
                          connection.Query(absl::StrCat(
                              "SELECT t.TABLE_NAME, t.TABLE_TYPE, v.DEFINER, c.COLUMN_NAME"
                              " FROM information_schema.TABLES t"
                              " LEFT JOIN information_schema.VIEWS v"
                              " ON v.TABLE_SCHEMA = t.TABLE_SCHEMA AND v.TABLE_NAME = t.TABLE_NAME"
                              " LEFT JOIN information_schema.COLUMNS c"
                              " ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME"
                              " AND c.COLUMN_NAME = ",
                              mysql::QuoteString(kPlaceholderColumn),
                              " WHERE t.TABLE_SCHEMA = ", mysql::QuoteString(database),
                              " AND t.TABLE_NAME IN (", QuotedList(names), ")")));
  Objects objects;
  for (const mysql::Row& row : result.rows) {
    if (row[0].has_value() && row[1].has_value()) {
      objects[*row[0]] = Classify(row);
    }
  }
  return objects;
}

absl::Status ReadColumns(mysql::Connection& connection, absl::string_view database,
                         std::vector<TableNames>& tables) {
  std::map<std::string, TableNames*> open;
  std::vector<std::string> names;
  for (TableNames& entry : tables) {
    if (entry.name == Object::kTable) {
      open[entry.table] = &entry;
      names.push_back(entry.table);
    }
  }
  if (open.empty()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = ",
          mysql::QuoteString(database), " AND TABLE_NAME IN (", QuotedList(names),
          ") AND EXTRA NOT LIKE '%INVISIBLE%' ORDER BY TABLE_NAME, ORDINAL_POSITION")));
  for (const mysql::Row& row : result.rows) {
    if (const auto found = open.find(row[0].value_or("")); found != open.end()) {
      found->second->columns.push_back(row[1].value_or(""));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<Cascade>> FindCascades(mysql::Connection& connection,
                                                  absl::string_view database,
                                                  const std::vector<std::string>& tables) {
  std::vector<std::string> names;
  std::map<std::string, std::string> open_names;
  for (const std::string& table : tables) {
    names.push_back(table);
    names.push_back(ClosedName(table));
    open_names[ClosedName(table)] = table;
  }
  const std::string quoted = QuotedList(names);
  const std::string schema = mysql::QuoteString(database);
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT TABLE_NAME, CONSTRAINT_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME"
          " FROM information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = ",
          schema, " AND TABLE_NAME IN (", quoted,
          ") AND (DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT') OR UPDATE_RULE NOT IN"
          " ('NO ACTION', 'RESTRICT')) AND NOT (UNIQUE_CONSTRAINT_SCHEMA = ",
          schema, " AND REFERENCED_TABLE_NAME IN (", quoted, ")) ORDER BY 1, 2")));
  std::vector<Cascade> cascades;
  for (const mysql::Row& row : result.rows) {
    const std::string name = row[0].value_or("");
    const auto closed = open_names.find(name);
    cascades.push_back({.table = closed == open_names.end() ? name : closed->second,
                        .constraint = row[1].value_or(""),
                        .parent = absl::StrCat(row[2].value_or(""), ".", row[3].value_or(""))});
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
  std::vector<std::string> names;
  for (const std::string& table : tables) {
    names.push_back(table);
    names.push_back(ClosedName(table));
    names.push_back(ViewName(table));
  }
  SLUICE_ASSIGN_OR_RETURN(const Objects objects, ReadObjects(connection, database, names));
  const auto under = [&](const std::string& name) {
    const auto found = objects.find(name);
    return found == objects.end() ? Object::kAbsent : found->second;
  };
  std::vector<TableNames> observed;
  observed.reserve(tables.size());
  for (const std::string& table : tables) {
    observed.push_back({.table = table,
                        .name = under(table),
                        .closed = under(ClosedName(table)),
                        .view = under(ViewName(table)),
                        .columns = {}});
  }
  SLUICE_RETURN_IF_ERROR(ReadColumns(connection, database, observed));
  return observed;
}

}  // namespace sluice::gate
