// Compare: ordered reads of both sides, merged.

#include "integration/workload/compare.h"

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::workload {
namespace {

absl::StatusOr<std::vector<std::string>> ReadRows(mysql::Connection& connection,
                                                  const std::string& table,
                                                  const std::string& key) {
  SLUICE_ASSIGN_OR_RETURN(mysql::QueryResult columns,
                          connection.Query("SELECT * FROM " + table + " LIMIT 0"));
  std::vector<std::string> cells;
  cells.reserve(columns.columns.size());
  for (const std::string& column : columns.columns) {
    cells.push_back("IFNULL(HEX(CONCAT(" + mysql::QuoteName(column) + ")), 'NULL')");
  }
  std::vector<std::string> rows;
  SLUICE_RETURN_IF_ERROR(
      connection.QueryStream(absl::StrCat("SELECT CONCAT_WS(',', ", absl::StrJoin(cells, ","),
                                          ") FROM ", table, " ORDER BY ", key),
                             [&](const std::vector<mysql::Cell>& row) {
                               rows.emplace_back(row[0].has_value() ? std::string(*row[0]) : "");
                               return absl::OkStatus();
                             }));
  return rows;
}

}  // namespace

absl::StatusOr<Comparison> CompareTables(mysql::Connection& left_connection,
                                         const std::string& left,
                                         mysql::Connection& right_connection,
                                         const std::string& right, const std::string& key) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<std::string> ours, ReadRows(left_connection, left, key));
  SLUICE_ASSIGN_OR_RETURN(std::vector<std::string> theirs, ReadRows(right_connection, right, key));
  Comparison comparison;
  comparison.rows_compared = std::max(ours.size(), theirs.size());
  for (size_t i = 0; i < comparison.rows_compared; ++i) {
    const std::string* one = i < ours.size() ? &ours[i] : nullptr;
    const std::string* other = i < theirs.size() ? &theirs[i] : nullptr;
    if (one == nullptr || other == nullptr || *one != *other) {
      ++comparison.rows_different;
      if (comparison.findings.size() < 5) {
        comparison.findings.push_back(absl::StrCat(one == nullptr ? "(no row)" : *one, " <> ",
                                                   other == nullptr ? "(no row)" : *other));
      }
    }
  }
  return comparison;
}

absl::StatusOr<Comparison> AwaitEqualTables(mysql::Connection& left_connection,
                                            const std::string& left,
                                            mysql::Connection& right_connection,
                                            const std::string& right, const std::string& key,
                                            absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  while (true) {
    SLUICE_ASSIGN_OR_RETURN(Comparison comparison,
                            CompareTables(left_connection, left, right_connection, right, key));
    if (comparison.rows_different == 0 || absl::Now() >= deadline) {
      return comparison;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));  // Delay: between two looks
  }
}

}  // namespace sluice::workload
