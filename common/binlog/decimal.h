// The binlog's form of DECIMAL values (strings/decimal.cc: decimal2bin).

#pragma once

#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// The bytes of a DECIMAL(precision, scale); 0 when there is no such type.
size_t DecimalBytes(unsigned precision, unsigned scale);

// Appends the number in digits: "-12.340". INVALID_ARGUMENT when the bytes are no such number.
absl::Status AppendDecimal(absl::string_view bytes, unsigned precision, unsigned scale,
                           std::string& out);

}  // namespace sluice::binlog
