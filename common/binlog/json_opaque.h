// Values inside JSON documents that JSON itself does not know: MySQL's dates, decimals and bytes.

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// Appends an expression for a value of a MySQL type (enum_field_types) in the form of binary JSON,
// to stand as an argument of JSON_ARRAY or JSON_OBJECT. FAILED_PRECONDITION for a type that no
// expression produces.
absl::Status AppendJsonOpaque(uint8_t type, absl::string_view bytes, std::string& sql);

// The same for a date or time as text, for the types DATE, TIME, DATETIME and TIMESTAMP.
void AppendJsonTemporal(uint8_t type, absl::string_view text, std::string& sql);

// The same for a decimal number in digits.
absl::Status AppendJsonDecimal(absl::string_view digits, unsigned precision, unsigned scale,
                               std::string& sql);

}  // namespace sluice::binlog
