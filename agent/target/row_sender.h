// RowSender: runs statements that write rows, long values beside their text, and proves that no
// value was changed where strict mode can't be kept.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/target/table_plan.h"
#include "common/binlog/column_family.h"
#include "common/mysql/connection.h"

namespace sluice::target {

// Owned by one thread.
class RowSender {
 public:
  explicit RowSender(mysql::Connection& connection) : connection_(connection) {}

  // Whether a value is to be sent beside the statement, in which a `?` stands for it: as text it
  // would be escaped, so copied, and could exceed the packet that the source took it by.
  static bool IsLong(binlog::ColumnFamily family, absl::string_view bytes);

  // FAILED_PRECONDITION says so when a packet would be above what the server takes, whose own
  // answer is to end the connection.
  absl::StatusOr<mysql::Connection::Outcome> Run(const std::string& sql,
                                                 const std::vector<absl::string_view>& long_values);

  // Runs an INSERT or REPLACE that begins with the plan's head, in which so many cells hold an
  // ENUM's error value. Strict mode refuses these, and also a row whose generated column came to a
  // value that does not fit, which a source without strict mode has cut short; such a statement is
  // run without strict mode, and each of its warnings must be about one of these cells or about a
  // generated column. FAILED_PRECONDITION otherwise: the caller rolls back.
  absl::Status Write(const TablePlan& plan, const std::string& sql,
                     const std::vector<absl::string_view>& long_values, uint64_t error_enums);

 private:
  absl::Status WriteLeniently(const TablePlan& plan, const std::string& sql,
                              const std::vector<absl::string_view>& long_values,
                              uint64_t error_enums);
  absl::Status CheckPacket(size_t bytes);

  mysql::Connection& connection_;
  std::optional<uint64_t> packet_bytes_max_;  // of this session
};

}  // namespace sluice::target
