// TableSchema: reading it from information_schema.

#include "common/mysql/table_schema.h"

#include <algorithm>
#include <functional>
#include <initializer_list>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/create_statement.h"
#include "common/mysql/stored_programs.h"
#include "common/mysql/table_schema_keys.h"

namespace sluice::mysql {
namespace {

// In one statement, so that it stays of a size that servers take.
constexpr size_t kNamesMax = 500;

uint64_t Number(const std::optional<std::string>& cell) {
  uint64_t value = 0;
  return cell.has_value() && absl::SimpleAtoi(*cell, &value) ? value : 0;
}

// The schemas that are being filled, by name.
using Tables = std::map<std::string, TableSchema, std::less<>>;

// " WHERE <column> = 'schema' AND <column> IN ('table', …)" for the two columns that name a table.
class Where {
 public:
  Where(absl::string_view database, const std::vector<std::string>& tables)
      : database_(QuoteString(database)),
        tables_(absl::StrJoin(tables, ", ", [](std::string* out, const std::string& table) {
          absl::StrAppend(out, QuoteString(table));
        })) {}

  [[nodiscard]] const std::string& quoted_database() const { return database_; }

  [[nodiscard]] std::string For(absl::string_view schema_column,
                                absl::string_view table_column) const {
    return absl::StrCat(" WHERE ", schema_column, " = ", database_, " AND ", table_column, " IN (",
                        tables_, ")");
  }

 private:
  const std::string database_;
  const std::string tables_;
};

TableSchema* Find(Tables& tables, const std::optional<std::string>& name) {
  const auto found = tables.find(name.value_or(""));
  return found == tables.end() ? nullptr : &found->second;
}

bool IsNumeric(absl::string_view type) {
  static const std::set<absl::string_view> kTypes = {"tinyint", "smallint", "mediumint", "int",
                                                     "bigint",  "float",    "double",    "decimal"};
  return kTypes.count(type) != 0;
}

absl::Status ReadTables(Connection& connection, const Where& where, Tables& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat("SELECT TABLE_NAME, TABLE_TYPE, TABLE_ROWS, DATA_LENGTH + "
                                    "INDEX_LENGTH, TABLE_SCHEMA FROM information_schema.TABLES",
                                    where.For("TABLE_SCHEMA", "TABLE_NAME"))));
  for (const Row& row : result.rows) {
    TableSchema& table = tables[row[0].value_or("")];
    table.name = row[0].value_or("");
    table.is_view = row[1].value_or("") != "BASE TABLE";
    table.rows_estimate = Number(row[2]);
    table.bytes_estimate = Number(row[3]);
    table.database = row[4].value_or("");
  }
  return absl::OkStatus();
}

absl::Status ReadColumns(Connection& connection, const Where& where, Tables& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, CHARACTER_SET_NAME, COLLATION_NAME, "
          "IS_NULLABLE, EXTRA, TABLE_NAME FROM information_schema.COLUMNS",
          where.For("TABLE_SCHEMA", "TABLE_NAME"), " ORDER BY TABLE_NAME, ORDINAL_POSITION")));
  for (const Row& row : result.rows) {
    TableSchema* table = Find(tables, row[7]);
    if (table == nullptr) {
      continue;
    }
    ColumnSchema& column = table->columns.emplace_back();
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

absl::Status ReadIndexes(Connection& connection, const Where& where, Tables& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(
          absl::StrCat("SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, NULLABLE, TABLE_NAME "
                       "FROM information_schema.STATISTICS",
                       where.For("TABLE_SCHEMA", "TABLE_NAME"),
                       " ORDER BY TABLE_NAME, INDEX_NAME, SEQ_IN_INDEX")));
  for (const Row& row : result.rows) {
    TableSchema* table = Find(tables, row[5]);
    if (table == nullptr) {
      continue;
    }
    const std::string name = row[0].value_or("");
    if (table->indexes.empty() || table->indexes.back().name != name) {
      IndexSchema& index = table->indexes.emplace_back();
      index.name = name;
      index.is_unique = row[1].value_or("1") == "0";
      index.all_not_null = true;
    }
    IndexSchema& index = table->indexes.back();
    index.columns.push_back(row[2].value_or(""));
    index.has_prefix_or_expression |= !row[2].has_value() || row[3].has_value();
    index.all_not_null &= row[4].value_or("") != "YES";
  }
  return absl::OkStatus();
}

absl::Status ReadTriggers(Connection& connection, const Where& where, Tables& tables) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT TRIGGER_NAME, EVENT_OBJECT_TABLE FROM information_schema.TRIGGERS",
          where.For("EVENT_OBJECT_SCHEMA", "EVENT_OBJECT_TABLE"), " ORDER BY TRIGGER_NAME")));
  for (const Row& row : result.rows) {
    if (TableSchema* table = Find(tables, row[1]); table != nullptr) {
      table->triggers.push_back(row[0].value_or(""));
    }
  }
  return absl::OkStatus();
}

// Adds the tables that a query names, in rows of (table, schema, other table), to `list` of each
// table, as "table" or "db.table".
absl::Status ReadRelated(Connection& connection, absl::string_view sql, Tables& tables,
                         std::vector<std::string> TableSchema::*list) {
  SLUICE_ASSIGN_OR_RETURN(const QueryResult result, connection.Query(sql));
  for (const Row& row : result.rows) {
    if (TableSchema* table = Find(tables, row[0]); table != nullptr) {
      const std::string schema = row[1].value_or("");
      const std::string name = row[2].value_or("");
      (table->*list).push_back(schema == table->database ? name : absl::StrCat(schema, ".", name));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadReferences(Connection& connection, const Where& where, Tables& tables) {
  SLUICE_RETURN_IF_ERROR(ReadRelated(
      connection,
      absl::StrCat("SELECT DISTINCT TABLE_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME "
                   "FROM information_schema.KEY_COLUMN_USAGE",
                   where.For("TABLE_SCHEMA", "TABLE_NAME"),
                   " AND REFERENCED_TABLE_NAME IS NOT NULL ORDER BY 1, 2, 3"),
      tables, &TableSchema::foreign_key_parents));
  SLUICE_RETURN_IF_ERROR(ReadRelated(
      connection,
      absl::StrCat("SELECT DISTINCT REFERENCED_TABLE_NAME, CONSTRAINT_SCHEMA, TABLE_NAME "
                   "FROM information_schema.REFERENTIAL_CONSTRAINTS",
                   where.For("UNIQUE_CONSTRAINT_SCHEMA", "REFERENCED_TABLE_NAME"),
                   " ORDER BY 1, 2, 3"),
      tables, &TableSchema::foreign_key_children));
  SLUICE_RETURN_IF_ERROR(
      ReadRelated(connection,
                  absl::StrCat("SELECT DISTINCT TABLE_NAME, VIEW_SCHEMA, VIEW_NAME "
                               "FROM information_schema.VIEW_TABLE_USAGE",
                               where.For("TABLE_SCHEMA", "TABLE_NAME"), " ORDER BY 1, 2, 3"),
                  tables, &TableSchema::views));
  const std::string cascading = absl::StrCat(" FROM information_schema.REFERENTIAL_CONSTRAINTS",
                                             where.For("CONSTRAINT_SCHEMA", "TABLE_NAME"),
                                             " AND (DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT')"
                                             " OR UPDATE_RULE NOT IN ('NO ACTION', 'RESTRICT'))");
  SLUICE_RETURN_IF_ERROR(ReadRelated(
      connection,
      absl::StrCat("SELECT DISTINCT TABLE_NAME, UNIQUE_CONSTRAINT_SCHEMA, REFERENCED_TABLE_NAME",
                   cascading, " ORDER BY 1, 2, 3"),
      tables, &TableSchema::cascade_parents));
  SLUICE_ASSIGN_OR_RETURN(const QueryResult cascades,
                          connection.Query(absl::StrCat("SELECT TABLE_NAME, CONSTRAINT_NAME",
                                                        cascading, " ORDER BY 1, 2")));
  for (const Row& row : cascades.rows) {
    if (TableSchema* table = Find(tables, row[0]); table != nullptr) {
      table->cascades.push_back(row[1].value_or(""));
    }
  }
  return absl::OkStatus();
}

absl::Status ReadPrograms(Connection& connection, const Where& where, Tables& tables) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<StoredProgram> programs,
                          ReadStoredPrograms(connection, where.quoted_database()));
  for (const StoredProgram& program : programs) {
    for (auto& [name, table] : tables) {
      if (program.names.contains(name)) {
        table.programs.push_back(program.title);
      }
    }
  }
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

// Reads a part of the schemas, from one table of information_schema or two.
using ReadPart = absl::Status (*)(Connection&, const Where&, Tables&);

absl::StatusOr<std::vector<TableSchema>> ReadInParts(Connection& connection,
                                                     absl::string_view database,
                                                     const std::vector<std::string>& tables,
                                                     std::initializer_list<ReadPart> parts) {
  std::vector<TableSchema> schemas;
  absl::Status status = tables.empty() ? absl::OkStatus() : ShowInvisibleKeys(connection);
  for (size_t begin = 0; begin < tables.size() && status.ok(); begin += kNamesMax) {
    const size_t end = std::min(tables.size(), begin + kNamesMax);
    const Where where(database, {tables.begin() + static_cast<std::ptrdiff_t>(begin),
                                 tables.begin() + static_cast<std::ptrdiff_t>(end)});
    Tables found;
    for (const ReadPart part : parts) {
      if (status.ok()) {
        status = part(connection, where, found);
      }
    }
    for (auto& [name, schema] : found) {
      schema.key_columns = ChooseKey(schema);
      schemas.push_back(std::move(schema));
    }
  }
  if (!status.ok()) {
    return Annotate(status, absl::StrCat("reading the tables of ", database));
  }
  return schemas;
}

}  // namespace

const ColumnSchema* TableSchema::FindColumn(absl::string_view column) const {
  const auto found = std::find_if(columns.begin(), columns.end(), [column](const ColumnSchema& c) {
    return absl::EqualsIgnoreCase(c.name, column);
  });
  return found == columns.end() ? nullptr : &*found;
}

absl::StatusOr<std::vector<TableSchema>> ReadTableSchemas(Connection& connection,
                                                          absl::string_view database,
                                                          const std::vector<std::string>& tables) {
  return ReadInParts(connection, database, tables,
                     {&ReadTables, &ReadColumns, &ReadIndexes, &ReadTriggers});
}

absl::StatusOr<std::vector<TableSchema>> ReadWholeTableSchemas(
    Connection& connection, absl::string_view database, const std::vector<std::string>& tables) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<TableSchema> schemas,
                          ReadInParts(connection, database, tables,
                                      {&ReadTables, &ReadColumns, &ReadIndexes, &ReadTriggers,
                                       &ReadReferences, &ReadPrograms}));
  for (TableSchema& schema : schemas) {
    absl::StatusOr<std::string> create = ReadCreateStatement(connection, database, schema.name);
    if (!create.ok()) {
      return WithSubject(Annotate(create.status(), absl::StrCat("reading the schema of ", database,
                                                                ".", schema.name)),
                         schema.name);
    }
    schema.create_statement = *std::move(create);
  }
  return schemas;
}

absl::StatusOr<TableSchema> ReadTableSchema(Connection& connection, absl::string_view database,
                                            absl::string_view table) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<TableSchema> schemas,
                          ReadWholeTableSchemas(connection, database, {std::string(table)}));
  if (schemas.empty()) {
    return absl::NotFoundError(absl::StrCat("table ", database, ".", table, " does not exist"));
  }
  return std::move(schemas.front());
}

absl::StatusOr<bool> LogsCascades(Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(
      const QueryResult result,
      connection.Query("SHOW GLOBAL VARIABLES LIKE 'innodb\\_native\\_foreign\\_keys'"));
  // The variable came with the rows.
  return result.rows.size() == 1 && result.rows[0][1].value_or("") == "OFF";
}

absl::StatusOr<std::map<std::string, std::vector<std::string>>> ListTables(
    Connection& connection, const std::vector<std::string>& databases) {
  std::map<std::string, std::vector<std::string>> tables;
  std::vector<std::string> quoted;
  for (const std::string& database : databases) {
    tables.try_emplace(database);
    quoted.push_back(QuoteString(database));
  }
  if (quoted.empty()) {
    return tables;
  }
  SLUICE_ASSIGN_OR_RETURN(const QueryResult result,
                          connection.Query(absl::StrCat(
                              "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES "
                              "WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_SCHEMA IN (",
                              absl::StrJoin(quoted, ", "), ")")));
  for (const Row& row : result.rows) {
    std::string name = row[1].value_or("");
    if (!absl::StartsWith(name, "_sluice_")) {
      tables[row[0].value_or("")].push_back(std::move(name));
    }
  }
  for (auto& [database, names] : tables) {
    std::sort(names.begin(), names.end());
  }
  return tables;
}

absl::StatusOr<std::vector<std::string>> ListTables(Connection& connection,
                                                    absl::string_view database) {
  std::string name(database);
  SLUICE_ASSIGN_OR_RETURN(auto tables, ListTables(connection, std::vector<std::string>{name}));
  return std::move(tables[name]);
}

}  // namespace sluice::mysql
