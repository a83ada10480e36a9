// ChooseKey: which columns a stream finds a table's rows by.

#pragma once

#include <string>
#include <vector>

#include "common/mysql/table_schema.h"

namespace sluice::mysql {

// The primary key; else of the unique keys without NULLs, prefixes, expressions and floating-point
// columns the one with the fewest columns, integers and stored values preferred; else nothing.
std::vector<std::string> ChooseKey(const TableSchema& table);

}  // namespace sluice::mysql
