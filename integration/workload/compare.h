// Compare: two tables on two servers, row by row and byte by byte.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/mysql/connection.h"

namespace sluice::workload {

struct Comparison {
  uint64_t rows_compared = 0;
  uint64_t rows_different = 0;
  std::vector<std::string> findings;  // keys of the first differing rows
};

// `left` and `right` are quoted physical tables with the same columns; `key` orders them. Compares
// the hexadecimal form of every cell.
absl::StatusOr<Comparison> CompareTables(mysql::Connection& left_connection,
                                         const std::string& left,
                                         mysql::Connection& right_connection,
                                         const std::string& right, const std::string& key);

// The same, again until both are equal or the time is over: for two sides of which one follows the
// other, while nobody writes.
absl::StatusOr<Comparison> AwaitEqualTables(mysql::Connection& left_connection,
                                            const std::string& left,
                                            mysql::Connection& right_connection,
                                            const std::string& right, const std::string& key,
                                            absl::Duration timeout);

}  // namespace sluice::workload
