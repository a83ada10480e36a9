// Columns of every type with values at the edges of each, as SQL text.

#pragma once

#include <string>
#include <vector>

namespace sluice::binlog {

struct ColumnCase {
  std::string definition;           // type and attributes
  std::vector<std::string> values;  // SQL expressions; NULL is added by the test
};

// Numbers, dates, enumerations, bytes, spatial values, vectors.
std::vector<ColumnCase> PlainCases();
// Text in many character sets.
std::vector<ColumnCase> TextCases();
std::vector<ColumnCase> JsonCases();

}  // namespace sluice::binlog
