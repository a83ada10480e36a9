// The binlog's forms of dates and times (mysys/my_time.cc: my_*_from_binary, *_packed), as text.

#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// Each appends the value as MySQL prints it, in UTC, with `digits` (0 to 6) digits of the fraction.
// INVALID_ARGUMENT when the number of bytes is wrong, or the bits are no value of the type that a
// server writes; impossible dates are printed as they are.
absl::Status AppendDate(absl::string_view bytes, std::string& out);
absl::Status AppendTime2(absl::string_view bytes, unsigned digits, std::string& out);
absl::Status AppendDatetime2(absl::string_view bytes, unsigned digits, std::string& out);
absl::Status AppendTimestamp2(absl::string_view bytes, unsigned digits, std::string& out);

// The packed 64-bit forms inside JSON documents, with 6 digits of the fraction. Otherwise
// the same.
absl::Status AppendPackedDate(int64_t packed, std::string& out);
absl::Status AppendPackedTime(int64_t packed, std::string& out);
absl::Status AppendPackedDatetime(int64_t packed, std::string& out);

}  // namespace sluice::binlog
