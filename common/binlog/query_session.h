// QuerySession: the variables of the session that ran a statement, from its QUERY event. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::binlog {

// What a statement needs to mean the same elsewhere. Collations are numbers, which SET takes too.
struct QuerySession {
  std::optional<uint64_t> sql_mode;
  std::optional<uint16_t> client_charset;
  std::optional<uint16_t> connection_collation;
  std::optional<uint16_t> server_collation;
  std::optional<std::string> time_zone;
  std::optional<bool> explicit_defaults_for_timestamp;
  std::optional<uint16_t> default_utf8mb4_collation;
  uint32_t microseconds = 0;  // beside the seconds of the event's header

  [[nodiscard]] bool AnsiQuotes() const { return sql_mode.has_value() && (*sql_mode & 4U) != 0; }
  [[nodiscard]] bool NoBackslashEscapes() const {
    return sql_mode.has_value() && (*sql_mode & (1U << 20U)) != 0;
  }
  // "sql_mode = 1, …" for SET SESSION; empty when nothing is known. `seconds`: of the event's
  // header; what the statement takes for now, as DEFAULT CURRENT_TIMESTAMP does, unless it is 0.
  [[nodiscard]] std::string Assignments(uint32_t seconds) const;
};

// `status` is QueryEvent::status. Variables of later servers, which come behind all that are known
// here, are left out. INVALID_ARGUMENT when it is cut short.
absl::StatusOr<QuerySession> DecodeQuerySession(absl::string_view status);

}  // namespace sluice::binlog
