// Data: definitions, filling by recursive queries, comparison by checksums.

#include "integration/bench/data.h"

#include <algorithm>
#include <map>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::bench {
namespace {

constexpr uint64_t kRowsAtOnce = 200'000;

struct TableFacts {
  std::string checksum;
  std::string rows;
  std::string keys;
};

std::string Quoted(const std::string& database, const std::vector<std::string>& tables) {
  return absl::StrJoin(tables, ", ", [&](std::string* out, const std::string& table) {
    absl::StrAppend(out, mysql::QuoteTable(database, table));
  });
}

// By table.
absl::StatusOr<std::map<std::string, TableFacts>> FactsOf(mysql::Connection& connection,
                                                          const std::string& database,
                                                          const std::vector<std::string>& tables) {
  std::map<std::string, TableFacts> facts;
  SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult checksums,
                          connection.Query("CHECKSUM TABLE " + Quoted(database, tables)));
  for (size_t i = 0; i < tables.size() && i < checksums.rows.size(); ++i) {
    facts[tables[i]].checksum = checksums.rows[i][1].value_or("NULL");
  }
  constexpr size_t kTablesAtOnce = 200;
  for (size_t from = 0; from < tables.size(); from += kTablesAtOnce) {
    std::vector<std::string> counts;
    for (size_t i = from; i < std::min(tables.size(), from + kTablesAtOnce); ++i) {
      counts.push_back(absl::StrCat("SELECT ", mysql::QuoteString(tables[i]), ", COUNT(*) FROM ",
                                    mysql::QuoteTable(database, tables[i])));
    }
    SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult counted,
                            connection.Query(absl::StrJoin(counts, " UNION ALL ")));
    for (const mysql::Row& row : counted.rows) {
      facts[*row[0]].rows = row[1].value_or("");
    }
  }
  SLUICE_ASSIGN_OR_RETURN(
      mysql::QueryResult keys,
      connection.Query(absl::StrCat("SELECT table_name, index_name, seq_in_index, column_name FROM "
                                    "information_schema.statistics WHERE table_schema = ",
                                    mysql::QuoteString(database),
                                    " ORDER BY table_name, index_name, seq_in_index")));
  for (const mysql::Row& row : keys.rows) {
    const auto found = facts.find(*row[0]);
    if (found != facts.end()) {
      absl::StrAppend(&found->second.keys, row[1].value_or(""), " ", row[2].value_or(""), " ",
                      row[3].value_or(""), ";");
    }
  }
  return facts;
}

}  // namespace

TableSpec SysbenchTable(const std::string& name, uint64_t rows) {
  TableSpec table;
  table.name = name;
  table.columns =
      "id INT NOT NULL AUTO_INCREMENT, k INT NOT NULL DEFAULT 0, c CHAR(120) NOT NULL DEFAULT '', "
      "pad CHAR(60) NOT NULL DEFAULT '', PRIMARY KEY (id)";
  table.keys = {"KEY k_1 (k)"};
  table.insert = "id, k, c, pad";
  table.values =
      absl::StrCat("i, 1 + FLOOR(RAND() * ", rows,
                   "), CONCAT(SHA2(RAND(), 256), '-', SUBSTR(SHA2(RAND(), 256), 1, 54)), "
                   "SUBSTR(SHA2(RAND(), 256), 1, 59)");
  table.rows = rows;
  return table;
}

TableSpec WideTable(const std::string& name, uint64_t rows) {
  TableSpec table;
  table.name = name;
  table.columns =
      "id BIGINT NOT NULL AUTO_INCREMENT, kind INT NOT NULL, doc JSON, body TEXT, "
      "note VARCHAR(500), amount DECIMAL(20,6), made DATETIME(6), PRIMARY KEY (id)";
  table.keys = {"KEY kind (kind)"};
  table.insert = "id, kind, doc, body, note, amount, made";
  table.values =
      "i, FLOOR(RAND() * 1000), JSON_OBJECT('id', i, 'name', SHA2(RAND(), 256), 'price', RAND(), "
      "'tags', JSON_ARRAY(SUBSTR(SHA2(RAND(), 256), 1, 20), i % 7, TRUE, NULL), 'inner', "
      "JSON_OBJECT('a', SHA2(RAND(), 256), 'b', i)), REPEAT(SHA2(RAND(), 256), 7), "
      "REPEAT(SHA2(RAND(), 256), 5), i / 7, "
      "TIMESTAMPADD(MICROSECOND, i * 1234567, '2020-01-01')";
  table.rows = rows;
  return table;
}

TableSpec BlobTable(const std::string& name, uint64_t rows, uint64_t bytes) {
  TableSpec table;
  table.name = name;
  table.columns = "id INT NOT NULL AUTO_INCREMENT, b LONGBLOB, PRIMARY KEY (id)";
  table.insert = "id, b";
  table.values = absl::StrCat("i, REPEAT(UNHEX(SHA2(RAND(), 256)), ", bytes / 32, ")");
  table.rows = rows;
  return table;
}

std::string CreateStatement(const TableSpec& table, bool with_keys) {
  std::string sql =
      absl::StrCat("CREATE TABLE ", mysql::QuoteName(table.name), " (", table.columns);
  if (with_keys && !table.keys.empty()) {
    absl::StrAppend(&sql, ", ", absl::StrJoin(table.keys, ", "));
  }
  return sql + ")";
}

std::string AddKeysStatement(const TableSpec& table) {
  if (table.keys.empty()) {
    return "";
  }
  return absl::StrCat("ALTER TABLE ", mysql::QuoteName(table.name), " ADD ",
                      absl::StrJoin(table.keys, ", ADD "));
}

absl::Status RunAll(mysql::Connection& connection, const std::vector<std::string>& statements) {
  for (const std::string& sql : statements) {
    SLUICE_RETURN_IF_ERROR(Annotate(connection.Execute(sql).status(), sql.substr(0, 80)));
  }
  return absl::OkStatus();
}

absl::Status MakeTables(mysql::Connection& connection, const std::vector<TableSpec>& tables,
                        bool logged) {
  std::vector<std::string> statements = {absl::StrCat("SET SESSION sql_log_bin = ", logged ? 1 : 0),
                                         "SET SESSION cte_max_recursion_depth = 1000000000"};
  for (const TableSpec& table : tables) {
    statements.push_back(CreateStatement(table, true));
    for (uint64_t first = 1; first <= table.rows; first += kRowsAtOnce) {
      const uint64_t last = std::min(table.rows, first + kRowsAtOnce - 1);
      statements.push_back(absl::StrCat("INSERT INTO ", mysql::QuoteName(table.name), " (",
                                        table.insert, ") WITH RECURSIVE n(i) AS (SELECT ", first,
                                        " UNION ALL SELECT i + 1 FROM n WHERE i < ", last,
                                        ") SELECT ", table.values, " FROM n"));
    }
    statements.push_back(absl::StrCat("ANALYZE TABLE ", mysql::QuoteName(table.name)));
  }
  statements.emplace_back("SET SESSION sql_log_bin = 1");
  return RunAll(connection, statements);
}

absl::Status MakeManyTables(mysql::Connection& connection, const TableSpec& model, uint64_t count) {
  SLUICE_RETURN_IF_ERROR(MakeTables(connection, {model}, false));
  std::vector<std::string> statements = {"SET SESSION sql_log_bin = 0"};
  const std::string first = mysql::QuoteName(model.name);
  for (uint64_t i = 2; i <= count; ++i) {
    const std::string name = mysql::QuoteName(absl::StrCat(model.name, "_", i));
    statements.push_back(absl::StrCat("CREATE TABLE ", name, " LIKE ", first));
    statements.push_back(absl::StrCat("INSERT INTO ", name, " SELECT * FROM ", first));
  }
  statements.emplace_back("SET SESSION sql_log_bin = 1");
  return RunAll(connection, statements);
}

absl::StatusOr<uint64_t> VerifySame(mysql::Connection& first, const std::string& first_database,
                                    mysql::Connection& second, const std::string& second_database,
                                    const std::vector<TablePair>& tables) {
  std::vector<std::string> first_names;
  std::vector<std::string> second_names;
  for (const TablePair& pair : tables) {
    first_names.push_back(pair.first);
    second_names.push_back(pair.second);
  }
  SLUICE_ASSIGN_OR_RETURN(auto ours, FactsOf(first, first_database, first_names));
  SLUICE_ASSIGN_OR_RETURN(auto theirs, FactsOf(second, second_database, second_names));
  uint64_t rows = 0;
  for (const TablePair& pair : tables) {
    const TableFacts& one = ours[pair.first];
    const TableFacts& other = theirs[pair.second];
    uint64_t counted = 0;
    if (!absl::SimpleAtoi(one.rows, &counted) || one.rows != other.rows ||
        one.checksum != other.checksum || one.checksum == "NULL" || one.keys != other.keys) {
      return absl::DataLossError(absl::StrCat(
          pair.first, " has rows ", one.rows, ", checksum ", one.checksum, ", keys ", one.keys,
          "; ", pair.second, " has ", other.rows, ", ", other.checksum, ", ", other.keys));
    }
    rows += counted;
  }
  return rows;
}

absl::StatusOr<std::vector<std::string>> TablesOf(mysql::Connection& connection,
                                                  const std::string& database) {
  SLUICE_ASSIGN_OR_RETURN(
      mysql::QueryResult result,
      connection.Query(absl::StrCat("SELECT table_name FROM information_schema.tables WHERE "
                                    "table_type = 'BASE TABLE' AND table_schema = ",
                                    mysql::QuoteString(database), " ORDER BY table_name")));
  std::vector<std::string> tables;
  tables.reserve(result.rows.size());
  for (const mysql::Row& row : result.rows) {
    tables.push_back(row[0].value_or(""));
  }
  return tables;
}

}  // namespace sluice::bench
