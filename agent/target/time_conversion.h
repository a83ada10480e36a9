// TimeConversion: DATETIME values from one time zone to another. Pure, but for CheckZone.

#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"

namespace sluice::target {

// Which columns of a table are converted, and how: by the server that writes the rows, so copy and
// binlog agree. What has no time zone stays as it is: zero, partial and impossible dates, NULL, and
// dates that CONVERT_TZ does not convert (before 1970, after 3000). A value; nothing is converted
// by a default one.
class TimeConversion {
 public:
  TimeConversion() = default;
  // For all DATETIME columns of the schema. Empty zones convert nothing.
  TimeConversion(const mysql::TableSchema& schema, absl::string_view from, absl::string_view to);

  [[nodiscard]] bool Converts(size_t ordinal) const {
    return ordinal < columns_.size() && columns_[ordinal];
  }
  // Wraps the literal that was appended to `sql` from byte `begin` on.
  void Wrap(size_t begin, std::string& sql) const;

 private:
  std::vector<bool> columns_;  // by ordinal; empty when there is none
  std::string zones_;          // , 'from', 'to')
};

// The name that every server knows: "+00:00" for UTC, whose name needs time zone tables.
std::string SqlZone(absl::string_view zone);

// FAILED_PRECONDITION, with the remedy, when the server does not know the zone.
absl::Status CheckZone(mysql::Connection& connection, absl::string_view zone);

// FAILED_PRECONDITION names a DATETIME column of a unique key, or of a table without a key: where
// clocks are turned back, two of its values may become one, unless both zones are fixed offsets
// such as +02:00.
absl::Status CheckConvertible(const mysql::TableSchema& schema, absl::string_view from,
                              absl::string_view to);

}  // namespace sluice::target
