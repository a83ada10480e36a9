// A table's definition as mysqld prints it, with the characters that it cannot print.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {

// The members of an ENUM or SET, among them one with a question mark, which may stand for another
// character.
struct DoubtfulMembers {
  std::string column;
  bool is_set = false;
  size_t begin = 0;  // of what is between the parentheses
  size_t end = 0;
  size_t count = 0;
};

// In the order of the text.
std::vector<DoubtfulMembers> FindDoubtfulMembers(absl::string_view create);

// SHOW CREATE TABLE, as it is printed. INTERNAL when the server gives no statement.
absl::StatusOr<std::string> ShowCreateTable(Connection& connection, absl::string_view database,
                                            absl::string_view table);

// The same with all characters. mysqld prints it in utf8mb3 (manual, "SHOW CREATE TABLE"), so a
// character beyond the Basic Multilingual Plane in a member of an ENUM or SET is printed as a
// question mark (one in a default as 0x…; names and comments hold none). Where one stands, the
// members are read from a temporary table of that column and stand in the result as x'…'.
// FAILED_PRECONDITION, with the remedy, where the account may not create one in _sluice.
absl::StatusOr<std::string> ReadCreateStatement(Connection& connection, absl::string_view database,
                                                absl::string_view table);

// Runs a CREATE TABLE of a table that exists elsewhere; `quoted` is the name in it. An ENUM or SET
// with the same member twice (or with members that its collation takes for the same) can be made
// only without strict mode, which is left for that statement alone; when mysqld changes anything
// else of the definition then, the table is dropped again: INTERNAL says what.
absl::Status CreateAsPrinted(Connection& connection, absl::string_view create,
                             absl::string_view quoted);

}  // namespace sluice::mysql
