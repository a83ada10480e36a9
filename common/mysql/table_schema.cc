// TableSchema: reading it from information_schema.

#include "common/mysql/table_schema.h"

#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/table_schema_keys.h"

namespace sluice::mysql {
namespace {

uint64_t Number(const std::optional<std::string>& cell) {
  uint64_t value = 0;
  return cell.has_value() && absl::SimpleAtoi(*cell, &value) ? value : 0;
}

// " AND <column> = 'schema' AND …" for the two columns that name a table.
std::string Where(absl::string_view schema_column, absl::string_view table_column,
                  const TableSchema& table) {
  return absl::StrCat(" WHERE ", schema_column, " = ", QuoteString(table.database), " AND ",
                      table_column, " = ", QuoteString(table.name));
}

bool IsNumeric(absl::string_view type) {
  static const std::set<absl::string_view> kTypes = {"tinyint", "smallint", "mediumint", "int",
                                                     "bigint",  "float",    "double",    "decimal"};
  return kTypes.count(type) != 0;
}

absl::Status ReadTable(Connection& connection, TableSchema& table) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat("SELECT TABLE_TYPE, TABLE_ROWS, DATA_LENGTH + INDEX_LENGTH "
                                    "FROM information_schema.TABLES",
                                    Where("TABLE_SCHEMA", "TABLE_NAME", table))));
  if (result.rows.empty()) {
    return absl::NotFoundError(
        absl::StrCat("table ", table.database, ".", table.name, " does not exist"));
  }
  const Row& row = result.rows[0];
  table.is_view = row[0].value_or("") != "BASE TABLE";
  table.rows_estimate = Number(row[1]);
  table.bytes_estimate = Number(row[2]);
  return absl::OkStatus();
}

absl::Status ReadColumns(Connection& connection, TableSchema& table) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, "
          "IS_NULLABLE, EXTRA FROM information_schema.COLUMNS",
          Where("TABLE_SCHEMA", "TABLE_NAME", table), " ORDER BY ORDINAL_POSITION")));
  for (const Row& row : result.rows) {
    ColumnSchema& column = table.columns.emplace_back();
    const std::string extra = row[6].value_or("");
    column.name = row[0].value_or("");
    column.data_type = row[1].value_or("");
    column.column_type = row[2].value_or("");
    column.charset = row[3].value_or("");
    column.collation = row[4].value_or("");
    column.is_unsigned =
        IsNumeric(column.data_type) && absl::StrContains(column.column_type, " unsigned");
    column.is_nullable = row[5].value_or("") == "YES";
    column.is_generated = absl::StrContains(extra, "VIRTUAL GENERATED") ||
                          absl::StrContains(extra, "STORED GENERATED");
    column.is_invisible = absl::StrContains(extra, "INVISIBLE");
  }
  return absl::OkStatus();
}

absl::Status ReadIndexes(Connection& connection, TableSchema& table) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, NULLABLE "
          "FROM information_schema.STATISTICS",
          Where("TABLE_SCHEMA", "TABLE_NAME", table), " ORDER BY INDEX_NAME, SEQ_IN_INDEX")));
  for (const Row& row : result.rows) {
    const std::string name = row[0].value_or("");
    if (table.indexes.empty() || table.indexes.back().name != name) {
      IndexSchema& index = table.indexes.emplace_back();
      index.name = name;
      index.is_unique = row[1].value_or("1") == "0";
      index.all_not_null = true;
    }
    IndexSchema& index = table.indexes.back();
    index.columns.push_back(row[2].value_or(""));
    index.has_prefix_or_expression |= !row[2].has_value() || row[3].has_value();
    index.all_not_null &= row[4].value_or("") != "YES";
  }
  return absl::OkStatus();
}

// The tables that a query of (schema, table) rows names, as "table" or "db.table".
absl::StatusOr<std::vector<std::string>> ReadTableNames(Connection& connection,
                                                        const TableSchema& table,
                                                        absl::string_view sql) {
  SLUICE_ASSIGN_OR_RETURN(const QueryResult result, connection.Query(sql));
  std::vector<std::string> names;
  for (const Row& row : result.rows) {
    const std::string schema = row[0].value_or("");
    const std::string name = row[1].value_or("");
    names.push_back(schema == table.database ? name : absl::StrCat(schema, ".", name));
  }
  return names;
}

absl::Status ReadRelations(Connection& connection, TableSchema& table) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult triggers,
      connection.Query(absl::StrCat("SELECT TRIGGER_NAME FROM information_schema.TRIGGERS",
                                    Where("EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE", table),
                                    " ORDER BY TRIGGER_NAME")));
  for (const Row& row : triggers.rows) {
    table.triggers.push_back(row[0].value_or(""));
  }
  SLUICE_ASSIGN_OR_RETURN(
      table.foreign_key_parents,
      ReadTableNames(connection, table,
                     absl::StrCat("SELECT DISTINCT REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME "
                                  "FROM information_schema.KEY_COLUMN_USAGE",
                                  Where("TABLE_SCHEMA", "TABLE_NAME", table),
                                  " AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 2")));
  SLUICE_ASSIGN_OR_RETURN(
      table.foreign_key_children,
      ReadTableNames(connection, table,
                     absl::StrCat("SELECT DISTINCT CONSTRAINT_SCHEMA, TABLE_NAME "
                                  "FROM information_schema.REFERENTIAL_CONSTRAINTS",
                                  Where("UNIQUE_CONSTRAINT_SCHEMA", "REFERENCED_TABLE_NAME", table),
                                  " ORDER BY 1, 2")));
  return absl::OkStatus();
}

absl::Status ReadCreateStatement(Connection& connection, TableSchema& table) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat("SHOW CREATE TABLE ", QuoteTable(table.database, table.name))));
  if (result.rows.empty() || result.rows[0].size() < 2) {
    return absl::InternalError("SHOW CREATE TABLE gave no statement");
  }
  table.create_statement = result.rows[0][1].value_or("");
  return absl::OkStatus();
}

// Servers before 8.0.30 have no invisible primary keys, and no variable to show them.
absl::Status ShowInvisibleKeys(Connection& connection) {
  constexpr unsigned kUnknownSystemVariable = 1193;
  const absl::Status set =
      connection
          .Execute(
              "SET SESSION show_gipk_in_create_table_and_information_schema = ON, "
              "information_schema_stats_expiry = 0")
          .status();
  return MysqlErrnoOf(set) == kUnknownSystemVariable ? absl::OkStatus() : set;
}

}  // namespace

const ColumnSchema* TableSchema::FindColumn(absl::string_view column) const {
  const auto found = std::find_if(columns.begin(), columns.end(), [column](const ColumnSchema& c) {
    return absl::EqualsIgnoreCase(c.name, column);
  });
  return found == columns.end() ? nullptr : &*found;
}

absl::StatusOr<TableSchema> ReadTableSchema(Connection& connection, absl::string_view database,
                                            absl::string_view table) {
  TableSchema schema;
  schema.database = std::string(database);
  schema.name = std::string(table);
  absl::Status status = ShowInvisibleKeys(connection);
  for (auto* part :
       {&ReadTable, &ReadColumns, &ReadIndexes, &ReadRelations, &ReadCreateStatement}) {
    if (status.ok()) {
      status = part(connection, schema);
    }
  }
  if (absl::IsNotFound(status)) {
    return status;
  }
  if (!status.ok()) {
    return Annotate(status, absl::StrCat("reading the schema of ", database, ".", table));
  }
  schema.key_columns = ChooseKey(schema);
  return schema;
}

absl::StatusOr<std::vector<std::string>> ListTables(Connection& connection,
                                                    absl::string_view database) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat("SELECT TABLE_NAME FROM information_schema.TABLES "
                                    "WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA = ",
                                    QuoteString(database))));
  std::vector<std::string> tables;
  for (const Row& row : result.rows) {
    std::string name = row[0].value_or("");
    if (!absl::StartsWith(name, "_sluice_")) {
      tables.push_back(std::move(name));
    }
  }
  std::sort(tables.begin(), tables.end());
  return tables;
}

}  // namespace sluice::mysql
