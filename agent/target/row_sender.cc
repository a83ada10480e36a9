// RowSender: the two ways of running a statement, and the size of packets.

#include "agent/target/row_sender.h"

#include <algorithm>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::target {
namespace {

constexpr size_t kLongBytes = size_t{256} << 10U;
// What a packet holds beside a statement or a value.
constexpr size_t kPacketMargin = 64;
// No server takes less.
constexpr size_t kPacketBytesMin = 1024;

}  // namespace

bool RowSender::IsLong(binlog::ColumnFamily family, absl::string_view bytes) {
  return bytes.size() >= kLongBytes &&
         (family == binlog::ColumnFamily::kBinary || family == binlog::ColumnFamily::kText);
}

absl::Status RowSender::CheckPacket(size_t bytes) {
  if (bytes + kPacketMargin <= kPacketBytesMin) {
    return absl::OkStatus();
  }
  if (!packet_bytes_max_.has_value()) {
    SLUICE_ASSIGN_OR_RETURN(const std::string text,
                            connection_.QueryScalar("SELECT @@SESSION.max_allowed_packet"));
    uint64_t value = 0;
    if (!absl::SimpleAtoi(text, &value)) {
      return absl::InternalError(absl::StrCat("max_allowed_packet is ", text));
    }
    packet_bytes_max_ = value;
  }
  if (bytes + kPacketMargin > *packet_bytes_max_) {
    return absl::FailedPreconditionError(absl::StrCat(
        "a row needs a packet of ", bytes + kPacketMargin, " bytes, and the target's mysqld takes ",
        *packet_bytes_max_,
        "; raise max_allowed_packet there (SET PERSIST max_allowed_packet = 1073741824), then "
        "start the workflow again"));
  }
  return absl::OkStatus();
}

absl::StatusOr<mysql::Connection::Outcome> RowSender::Run(
    const std::string& sql, const std::vector<absl::string_view>& long_values) {
  size_t packet = sql.size();
  for (const absl::string_view value : long_values) {
    packet = std::max(packet, value.size());
  }
  SLUICE_RETURN_IF_ERROR(CheckPacket(packet));
  if (long_values.empty()) {
    SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult result, connection_.Query(sql));
    return mysql::Connection::Outcome{.affected_rows = result.affected_rows,
                                      .warnings = result.warnings};
  }
  return connection_.ExecuteWithValues(sql, long_values);
}

}  // namespace sluice::target
