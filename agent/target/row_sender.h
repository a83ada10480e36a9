// RowSender: runs statements that write rows, long values beside their text.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
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

  // FAILED_PRECONDITION says so when a packet would be above what
  // the server takes, whose own answer is to end the connection.
  absl::StatusOr<mysql::Connection::Outcome> Run(const std::string& sql,
                                                 const std::vector<absl::string_view>& long_values);

 private:
  absl::Status CheckPacket(size_t bytes);

  mysql::Connection& connection_;
  std::optional<uint64_t> packet_bytes_max_;  // of this session
};

}  // namespace sluice::target
