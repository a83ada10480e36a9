// QuerySession: status variables (libs/mysql/binlog/event/statement_events.h, Query_event).

#include "common/binlog/query_session.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/byte_reader.h"
#include "common/binlog/malformed.h"
#include "common/mysql/connection.h"

namespace sluice::binlog {
namespace {

// Passes over a variable that is of no interest; false for an unknown code.
bool Pass(uint8_t code, ByteReader& reader) {
  switch (code) {
    case 0:   // flags
    case 3:   // auto_increment
    case 10:  // source's length of data
      reader.Bytes(4);
      return true;
    case 2:  // catalog, with a NUL
      reader.Bytes(reader.U8() + size_t{1});
      return true;
    case 6:  // catalog
      reader.Bytes(reader.U8());
      return true;
    case 7:  // lc_time_names
    case 8:  // collation of the database
      reader.Bytes(2);
      return true;
    case 9:   // tables of a multi-table UPDATE
    case 17:  // transaction of a DDL
      reader.Bytes(8);
      return true;
    case 11:  // invoker: user, host
      reader.Bytes(reader.U8());
      reader.Bytes(reader.U8());
      return true;
    case 12: {  // names of databases; 254 stands for too many
      constexpr uint8_t kTooMany = 254;
      const uint8_t count = reader.U8();
      for (uint8_t i = 0; count != kTooMany && i < count && !reader.failed(); ++i) {
        while (!reader.failed() && reader.U8() != 0) {
        }
      }
      return true;
    }
    case 19:  // sql_require_primary_key
    case 20:  // default_table_encryption
      reader.Bytes(1);
      return true;
    default:
      return false;
  }
}

}  // namespace

std::string QuerySession::Assignments(uint32_t seconds) const {
  std::vector<std::string> parts;
  const auto add = [&parts](absl::string_view name, auto value) {
    if (value.has_value()) {
      parts.push_back(absl::StrCat(name, " = ", *value));
    }
  };
  add("sql_mode", sql_mode);
  add("character_set_client", client_charset);
  add("collation_connection", connection_collation);
  add("collation_server", server_collation);
  if (time_zone.has_value()) {
    parts.push_back(absl::StrCat("time_zone = ", mysql::QuoteString(*time_zone)));
  }
  if (explicit_defaults_for_timestamp.has_value()) {
    parts.push_back(absl::StrCat("explicit_defaults_for_timestamp = ",
                                 *explicit_defaults_for_timestamp ? 1 : 0));
  }
  add("default_collation_for_utf8mb4", default_utf8mb4_collation);
  if (seconds != 0) {
    parts.push_back(
        absl::StrCat("timestamp = ", seconds, ".", absl::Dec(microseconds, absl::kZeroPad6)));
  }
  return absl::StrJoin(parts, ", ");
}

absl::StatusOr<QuerySession> DecodeQuerySession(absl::string_view status) {
  QuerySession session;
  ByteReader reader(status);
  bool known = true;
  while (known && !reader.done() && !reader.failed()) {
    switch (const uint8_t code = reader.U8(); code) {
      case 1:
        session.sql_mode = reader.U64();
        break;
      case 4:
        session.client_charset = reader.U16();
        session.connection_collation = reader.U16();
        session.server_collation = reader.U16();
        break;
      case 5:
        session.time_zone = std::string(reader.Bytes(reader.U8()));
        break;
      case 13:
        session.microseconds = static_cast<uint32_t>(reader.UintLe(3));
        break;
      case 16:
        session.explicit_defaults_for_timestamp = reader.U8() != 0;
        break;
      case 18:
        session.default_utf8mb4_collation = reader.U16();
        break;
      default:
        known = Pass(code, reader);
    }
  }
  if (reader.failed()) {
    return Malformed("QUERY event", "its session variables are cut short");
  }
  return session;
}

}  // namespace sluice::binlog
