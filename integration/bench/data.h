// Data: the tables that the benchmark makes, filled inside the server.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "common/mysql/connection.h"

namespace sluice::bench {

struct TableSpec {
  std::string name;
  std::string columns;            // definitions, primary key included
  std::vector<std::string> keys;  // "KEY k (k)", …
  std::string insert;             // names of the columns that are filled
  std::string values;             // expressions over i, the number of the row from 1 on
  uint64_t rows = 0;
};

// As sysbench makes them, filled with text of the same length.
TableSpec SysbenchTable(const std::string& name, uint64_t rows);
// About 1 KB a row: JSON, TEXT, VARCHAR, DECIMAL, DATETIME(6).
TableSpec WideTable(const std::string& name, uint64_t rows);
// A LONGBLOB of so many bytes a row.
TableSpec BlobTable(const std::string& name, uint64_t rows, uint64_t bytes);

std::string CreateStatement(const TableSpec& table, bool with_keys);
// Adds the keys that CreateStatement left out; empty when there are none.
std::string AddKeysStatement(const TableSpec& table);

// Runs statements one after the other; the failing one is named.
absl::Status RunAll(mysql::Connection& connection, const std::vector<std::string>& statements);

// Creates and fills tables in the session's database; without a word in the binlog unless `logged`.
absl::Status MakeTables(mysql::Connection& connection, const std::vector<TableSpec>& tables,
                        bool logged);
// The same with so many tables of the same rows.
absl::Status MakeManyTables(mysql::Connection& connection, const TableSpec& model, uint64_t count);

// Compares the tables of two databases on two servers: definitions of the keys, number of rows, and
// the server's checksum of all rows. Returns the number of rows. DATA_LOSS names the first table
// that differs. Tables are pairs of names, of the first and of the second database.
struct TablePair {
  std::string first;
  std::string second;
};
absl::StatusOr<uint64_t> VerifySame(mysql::Connection& first, const std::string& first_database,
                                    mysql::Connection& second, const std::string& second_database,
                                    const std::vector<TablePair>& tables);

// Base tables of a database, sorted.
absl::StatusOr<std::vector<std::string>> TablesOf(mysql::Connection& connection,
                                                  const std::string& database);

}  // namespace sluice::bench
