// TableSchema: what a stream must know of a table, read from information_schema.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {

struct ColumnSchema {
  std::string name;
  std::string data_type;  // information_schema DATA_TYPE, lower case: "int", "varchar", "json", …
  std::string column_type;  // COLUMN_TYPE: "int unsigned", "enum('a','b')"
  std::string charset;      // CHARACTER_SET_NAME, empty for non-text
  std::string collation;
  bool is_unsigned = false;
  bool is_nullable = false;
  bool is_generated = false;  // virtual or stored: never written by a stream
  bool is_invisible = false;

  friend bool operator==(const ColumnSchema&, const ColumnSchema&) = default;
};

struct IndexSchema {
  std::string name;
  bool is_unique = false;
  std::vector<std::string> columns;  // an expression part is the empty string
  bool has_prefix_or_expression = false;
  bool all_not_null = false;
};

// Columns in ordinal order, generated and invisible ones included (generated invisible primary keys
// too: the reading session sets show_gipk_in_create_table_and_information_schema=ON).
struct TableSchema {
  std::string database;
  std::string name;
  bool is_view = false;
  std::vector<ColumnSchema> columns;
  std::vector<IndexSchema> indexes;
  std::vector<std::string>
      key_columns;  // primary key, else the best NOT NULL unique key; may be empty
  uint64_t rows_estimate = 0;
  uint64_t bytes_estimate = 0;
  std::string create_statement;  // SHOW CREATE TABLE
  std::vector<std::string> triggers;
  std::vector<std::string> foreign_key_parents;  // "table", or "db.table" when in another schema
  std::vector<std::string> foreign_key_children;
  std::vector<std::string> views;     // that read it, named as the tables above
  std::vector<std::string> cascades;  // its foreign keys by which a change of the parent changes it
  std::vector<std::string> cascade_parents;  // the tables that those refer to
  std::vector<std::string> programs;  // of its schema that name it: "event e", "procedure p", …

  [[nodiscard]] const ColumnSchema* FindColumn(absl::string_view column) const;
};

// The schema of one table. NOT_FOUND names database.table when it does not exist.
absl::StatusOr<TableSchema> ReadTableSchema(Connection& connection, absl::string_view database,
                                            absl::string_view table);
// The schemas of those of the tables that exist, in no order, without create_statement, foreign
// keys, views and programs: a handful of statements for many tables.
absl::StatusOr<std::vector<TableSchema>> ReadTableSchemas(Connection& connection,
                                                          absl::string_view database,
                                                          const std::vector<std::string>& tables);
// The same with create_statement, foreign keys, views and programs, for one more statement a table.
absl::StatusOr<std::vector<TableSchema>> ReadWholeTableSchemas(
    Connection& connection, absl::string_view database, const std::vector<std::string>& tables);
// Whether this server's binlog holds the rows that a foreign key's cascade changes: since
// MySQL 9.6, unless foreign keys are left to InnoDB.
absl::StatusOr<bool> LogsCascades(Connection& connection);
// Base tables of a database, sorted; the views, and names that begin with "_sluice_", left out.
absl::StatusOr<std::vector<std::string>> ListTables(Connection& connection,
                                                    absl::string_view database);
// The same of several databases, by one statement; each has an entry.
absl::StatusOr<std::map<std::string, std::vector<std::string>>> ListTables(
    Connection& connection, const std::vector<std::string>& databases);

}  // namespace sluice::mysql
