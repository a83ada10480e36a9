// The journal of cutovers in the sidecar database.

#include "agent/sidecar/journal.h"

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::sidecar {

absl::Status WriteJournal(mysql::Connection& connection, const std::string& cutover_id,
                          const std::string& workflow, const std::string& record) {
  const std::string id = mysql::QuoteString(cutover_id);
  const auto inserted = connection.Execute(absl::StrCat(
      "INSERT INTO _sluice.journal (cutover_id, workflow, record, written_at) VALUES (", id, ", ",
      mysql::QuoteString(workflow), ", ", mysql::QuoteString(record), ", UTC_TIMESTAMP(6))"));
  if (inserted.ok() || !absl::IsAlreadyExists(inserted.status())) {
    return Annotate(inserted.status(), absl::StrCat("journal of cutover ", cutover_id));
  }
  SLUICE_ASSIGN_OR_RETURN(
      const std::string same,
      connection.QueryScalar(absl::StrCat("SELECT workflow = ", mysql::QuoteString(workflow),
                                          " AND record = ", mysql::QuoteString(record),
                                          " FROM _sluice.journal WHERE cutover_id = ", id)));
  if (same != "1") {
    return WithSubject(absl::AlreadyExistsError(absl::StrCat("journal of cutover ", cutover_id,
                                                             " holds another record already")),
                       cutover_id);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<JournalEntry>> ReadJournal(mysql::Connection& connection,
                                                      const std::string& workflow, uint32_t limit) {
  // The instants were written as UTC, whatever the session's time zone is.
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat(
          "SELECT cutover_id, record, TIMESTAMPDIFF(MICROSECOND, '1970-01-01', written_at)"
          " FROM _sluice.journal WHERE workflow = ",
          mysql::QuoteString(workflow), " ORDER BY written_at DESC, cutover_id LIMIT ", limit)));
  std::vector<JournalEntry> entries;
  for (const mysql::Row& row : result.rows) {
    JournalEntry entry = {.cutover_id = row[0].value_or(""), .record = row[1].value_or("")};
    if (!absl::SimpleAtoi(row[2].value_or(""), &entry.written_us)) {
      return absl::DataLossError(
          absl::StrCat("journal of cutover ", entry.cutover_id, ": not an instant"));
    }
    entries.push_back(std::move(entry));
  }
  return entries;
}

}  // namespace sluice::sidecar
