// Keys: the kinds of keys under which a stream must find every row again.

#pragma once

#include <string>
#include <vector>

namespace sluice::testing {

// A key of a table: its columns and the clause that makes them the key.
struct KeyCase {
  std::string name;                  // of the case, part of the table's name
  std::string columns;               // definitions, empty or ending in ", "
  std::string clause;                // "PRIMARY KEY (k)", or a unique key; empty: an invisible one
  std::vector<std::string> written;  // columns that an INSERT names
  // Values at the edges, one tuple a row; behind them the pattern, "$n" being the row's number.
  std::vector<std::vector<std::string>> edges;
  std::vector<std::string> pattern;

  // The tuple of the i-th row. No two are the same key by the server's rules.
  [[nodiscard]] std::vector<std::string> Tuple(size_t i) const;
};

std::vector<KeyCase> KeyCases();

}  // namespace sluice::testing
