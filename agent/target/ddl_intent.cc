// DdlIntent: its row.

#include "agent/target/ddl_intent.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::target {

absl::StatusOr<std::optional<DdlIntent>> LoadDdlIntent(mysql::Connection& connection,
                                                       uint64_t stream_id) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT gtid, statement, definition FROM _sluice.stream_ddl WHERE stream_id = ",
          stream_id)));
  if (result.rows.empty()) {
    return std::optional<DdlIntent>();
  }
  const mysql::Row& row = result.rows.front();
  return std::optional<DdlIntent>(DdlIntent{.gtid = row[0].value_or(""),
                                            .statement = row[1].value_or(""),
                                            .definition = row[2].value_or("")});
}

absl::Status WriteDdlIntent(mysql::Connection& connection, uint64_t stream_id,
                            const DdlIntent& intent) {
  return connection
      .Execute(absl::StrCat(
          "REPLACE INTO _sluice.stream_ddl (stream_id, gtid, statement, definition) VALUES (",
          stream_id, ", ", mysql::QuoteString(intent.gtid), ", ",
          mysql::QuoteString(intent.statement), ", ", mysql::QuoteString(intent.definition), ")"))
      .status();
}

absl::Status DeleteDdlIntent(mysql::Connection& connection, uint64_t stream_id) {
  return connection
      .Execute(absl::StrCat("DELETE FROM _sluice.stream_ddl WHERE stream_id = ", stream_id))
      .status();
}

}  // namespace sluice::target
