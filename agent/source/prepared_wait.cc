// AwaitPrepared: XA RECOVER until nothing of its first answer is left.

#include "agent/source/prepared_wait.h"

#include <algorithm>
#include <iterator>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::source {
namespace {

using Names = std::set<std::string>;

constexpr absl::Duration kPoll = absl::Milliseconds(20);
constexpr unsigned kXaRefused = 1401;

// XA RECOVER lists a transaction a moment after gtid_executed has counted it: as long as the
// statement that prepares it runs. The session's own character set is binary, which REGEXP refuses.
absl::StatusOr<Names> Preparing(mysql::Connection& connection) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query("SELECT THREAD_ID FROM performance_schema.threads WHERE PROCESSLIST_ID <> "
                       "CONNECTION_ID() AND PROCESSLIST_INFO REGEXP "
                       "_utf8mb4'^([[:space:]]|/[*].*[*]/)*XA[[:space:]]+PREPARE'"));
  Names names;
  for (const mysql::Row& row : result.rows) {
    names.insert(row[0].value_or(""));
  }
  return names;
}

absl::StatusOr<Names> Prepared(mysql::Connection& connection) {
  const absl::StatusOr<mysql::QueryResult> result = connection.Query("XA RECOVER CONVERT XID");
  if (MysqlErrnoOf(result.status()) == kXaRefused) {
    return absl::PermissionDeniedError(
        "the source's account may not see prepared XA transactions; GRANT XA_RECOVER_ADMIN ON *.* "
        "to it");
  }
  SLUICE_RETURN_IF_ERROR(result.status());
  Names names;
  for (const mysql::Row& row : result->rows) {  // format, length, length, data
    names.insert(absl::StrCat(row[3].value_or(""), " (format ", row[0].value_or(""), ")"));
  }
  return names;
}

// Polls until nothing of the first answer is in a later one; what is left at the deadline.
absl::StatusOr<Names> AwaitGone(mysql::Connection& connection,
                                absl::StatusOr<Names> (*read)(mysql::Connection&),
                                absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(Names left, read(connection));
  while (!left.empty() && absl::Now() < deadline) {
    absl::SleepFor(kPoll);  // Delay: mysqld tells nobody of a decision
    SLUICE_ASSIGN_OR_RETURN(const Names now, read(connection));
    Names still;
    std::set_intersection(left.begin(), left.end(), now.begin(), now.end(),
                          std::inserter(still, still.begin()));
    left = std::move(still);
  }
  return left;
}

}  // namespace

absl::Status AwaitPrepared(mysql::Connection& connection, absl::Duration wait) {
  const absl::Time deadline = absl::Now() + wait;
  SLUICE_ASSIGN_OR_RETURN(Names left, AwaitGone(connection, &Preparing, deadline));
  if (left.empty()) {
    SLUICE_ASSIGN_OR_RETURN(left, AwaitGone(connection, &Prepared, deadline));
  }
  if (left.empty()) {
    return absl::OkStatus();
  }
  return absl::DeadlineExceededError(absl::StrCat(
      "the copy cannot begin while the source has prepared XA transactions that are not decided: ",
      absl::StrJoin(left, ", "), "; XA COMMIT or XA ROLLBACK them"));
}

}  // namespace sluice::source
