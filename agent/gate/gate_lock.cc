// The named locks of gates: how they are called, and how they are taken from who holds them.

#include "agent/gate/gate_lock.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/locked_gate.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr unsigned kNoSuchThread = 1094;

absl::StatusOr<std::string> KillHolder(mysql::Connection& connection, const NamedLock& lock) {
  SLUICE_ASSIGN_OR_RETURN(std::string holder, connection.QueryScalar(absl::StrCat(
                                                  "SELECT IS_USED_LOCK(", lock.sql, ")")));
  if (holder.empty()) {
    return holder;
  }
  SLUICE_LOG(kWarning, "ending the session of an earlier attempt on a gate",
             {{"holds", lock.what}, {"connection", holder}});
  const auto killed = connection.Execute(absl::StrCat("KILL CONNECTION ", holder));
  if (!killed.ok() && MysqlErrnoOf(killed.status()) != kNoSuchThread) {
    return Annotate(killed.status(), absl::StrCat("ending connection ", holder,
                                                  ", which still holds the ", lock.what));
  }
  return holder;
}

std::string EachIn(absl::string_view call, const std::vector<std::string>& locks,
                   absl::string_view argument = "") {
  return absl::StrJoin(locks, ", ", [&](std::string* out, const std::string& lock) {
    absl::StrAppend(out, call, "(", lock, argument, ")");
  });
}

}  // namespace

// MySQL allows 64 characters.
std::string GateLockName(const GateId& id) {
  return absl::StrCat("CONCAT('_sluice.gate.', LEFT(SHA2(",
                      mysql::QuoteString(absl::StrCat(id.workflow, "\n", id.database)),
                      ", 256), 40))");
}

std::string HelperLockName(const std::string& lock, size_t number) {
  return absl::StrCat("CONCAT(", lock, ", '.", number, "')");
}

absl::StatusOr<bool> TryLock(mysql::Connection& connection, const std::string& lock,
                             double seconds) {
  const auto got =
      connection.QueryScalar(absl::StrCat("SELECT GET_LOCK(", lock, ", ", seconds, ")"));
  SLUICE_RETURN_IF_ERROR(got.status());
  return *got == "1";
}

absl::StatusOr<std::vector<bool>> TryLocks(mysql::Connection& connection,
                                           const std::vector<std::string>& locks) {
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult result,
      connection.Query(absl::StrCat("SELECT ", EachIn("GET_LOCK", locks, ", 0"))));
  if (result.rows.empty() || result.rows[0].size() != locks.size()) {
    return absl::InternalError("mysqld gave no answer about named locks");
  }
  std::vector<bool> got;
  got.reserve(locks.size());
  for (const auto& cell : result.rows[0]) {
    got.push_back(cell == "1");
  }
  return got;
}

std::string LockedBy(const GateId& id) {
  return absl::StrCat("gate of ", id.workflow);
}

absl::Status TakeNamedLock(mysql::Connection& connection, const NamedLock& lock,
                           absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(bool locked,
                          TryLock(connection, lock.sql, absl::ToDoubleSeconds(lock.patience)));
  std::string holder;
  while (!locked) {
    const double left = absl::ToDoubleSeconds(deadline - absl::Now());
    if (left <= 0) {
      return absl::AbortedError(absl::StrCat(lock.what, ": connection ", holder,
                                             " of an earlier attempt has not ended yet"));
    }
    SLUICE_ASSIGN_OR_RETURN(holder, KillHolder(connection, lock));
    SLUICE_ASSIGN_OR_RETURN(locked, TryLock(connection, lock.sql, std::min(left, 1.0)));
  }
  return absl::OkStatus();
}

absl::Status ReleaseLocks(mysql::Connection& connection, const std::vector<std::string>& locks) {
  return connection.Execute(absl::StrCat("DO ", EachIn("RELEASE_LOCK", locks))).status();
}

absl::Status EndHelpers(mysql::Connection& connection, const std::vector<GateId>& ids,
                        absl::Time deadline) {
  std::vector<std::string> helpers;
  for (const GateId& id : ids) {
    for (size_t i = 0; i < LockedGate::kHelpersMax; ++i) {
      helpers.push_back(HelperLockName(GateLockName(id), i));
    }
  }
  SLUICE_ASSIGN_OR_RETURN(
      const mysql::QueryResult used,
      connection.Query(absl::StrCat("SELECT ", EachIn("IS_USED_LOCK", helpers))));
  for (size_t i = 0; !used.rows.empty() && i < used.rows[0].size(); ++i) {
    if (used.rows[0][i].has_value()) {
      const GateId& id = ids[i / LockedGate::kHelpersMax];
      SLUICE_RETURN_IF_ERROR(
          TakeNamedLock(connection, {.sql = helpers[i], .what = LockedBy(id)}, deadline));
      SLUICE_RETURN_IF_ERROR(ReleaseLocks(connection, {helpers[i]}));
    }
  }
  return absl::OkStatus();
}

}  // namespace sluice::gate
