// Raw rows: what a server has stored, as the bytes that its storage engine hands out.
//
// Two tables are compared by deleting all their rows and reading the DELETE events back from the
// binlogs. mysqld makes such an event from the record that the storage engine returned, without
// parsing, converting or printing a value, so it shows what no SELECT shows: a FLOAT's last bits,
// the sign of a zero, the spaces that a CHAR does not store, the binary form of a JSON document,
// the SRID of a shape, the number of an ENUM. Cutting an event into cells loses nothing: every byte
// of it is a cell's, a length of one, or a bit that says NULL.
//
// The table maps in front of the rows are compared too: types, lengths, signs, character sets,
// members of ENUM and SET, visibility (binlog_row_metadata=FULL).

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "tests/testing/mysqld_fixture.h"

namespace sluice::testing {

// One cell: NULL, or the bytes of the binlog.
struct RawCell {
  bool null = false;
  std::string bytes;

  friend bool operator==(const RawCell&, const RawCell&) = default;
  friend auto operator<=>(const RawCell&, const RawCell&) = default;
};
using RawRow = std::vector<RawCell>;

struct RawTable {
  std::string columns;  // the table map behind the names of database and table
  std::vector<std::string> names;
  std::vector<uint8_t> types;  // of the binlog
  std::vector<RawRow> rows;    // in order of their bytes
};
using RawTables = std::map<std::string, RawTable>;  // by name

// Deletes all rows of the tables and returns what stood there. A table without rows is left out.
absl::StatusOr<RawTables> TakeRows(const Mysqld& server, const std::string& database,
                                   const std::vector<std::string>& tables);

// What two sides' tables have in common and not.
struct RawDifferences {
  uint64_t rows = 0;   // compared
  uint64_t cells = 0;  // compared
  // JSON documents whose bytes differ, but not what they say: see JsonMeaning.
  uint64_t json_by_meaning = 0;
  std::vector<std::string> differences;  // empty when all is the same; at most a few are kept
};

// A JSON document as text in which every scalar has its type of MySQL and its exact bytes. Two
// things of the binary form are left out, because no SQL function shows them to a copy: the digits
// that the type of a decimal had room for, and the gaps that in-place updates leave.
std::string JsonMeaning(absl::string_view document);

// A column INT NOT NULL of this name numbers the rows of a table for the reader of a difference.
inline constexpr char kRowNumber[] = "n";

// Rows are paired in order of their bytes. `json_may_differ` says of a row, by its number, whether
// its JSON documents are held to JsonMeaning only.
RawDifferences Compare(const RawTables& source, const RawTables& target,
                       const std::function<bool(uint64_t)>& json_may_differ);

}  // namespace sluice::testing
