// LockedGate: named locks, and ending whoever holds them.

#include "agent/gate/locked_gate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

constexpr unsigned kNoSuchThread = 1094;

// A SQL expression for the lock's name: MySQL allows 64 characters.
std::string LockName(const GateId& id) {
  return absl::StrCat("CONCAT('_sluice.gate.', LEFT(SHA2(",
                      mysql::QuoteString(absl::StrCat(id.workflow, "\n", id.database)),
                      ", 256), 40))");
}

std::string HelperLockName(const std::string& lock, size_t number) {
  return absl::StrCat("CONCAT(", lock, ", '.", number, "')");
}

// Waits up to `seconds` for the lock.
absl::StatusOr<bool> TryLock(mysql::Connection& connection, const std::string& lock,
                             double seconds) {
  const auto got =
      connection.QueryScalar(absl::StrCat("SELECT GET_LOCK(", lock, ", ", seconds, ")"));
  SLUICE_RETURN_IF_ERROR(got.status());
  return *got == "1";
}

std::string NameOf(const GateId& id) {
  return absl::StrCat("gate of ", id.workflow);
}

absl::StatusOr<std::string> KillHolder(mysql::Connection& connection, const std::string& lock,
                                       const std::string& what) {
  SLUICE_ASSIGN_OR_RETURN(std::string holder,
                          connection.QueryScalar(absl::StrCat("SELECT IS_USED_LOCK(", lock, ")")));
  if (holder.empty()) {
    return holder;
  }
  SLUICE_LOG(kWarning, "ending the session of an earlier attempt on a gate",
             {{"holds", what}, {"connection", holder}});
  const auto killed = connection.Execute(absl::StrCat("KILL CONNECTION ", holder));
  if (!killed.ok() && MysqlErrnoOf(killed.status()) != kNoSuchThread) {
    return Annotate(killed.status(),
                    absl::StrCat("ending connection ", holder, ", which still holds the ", what));
  }
  return holder;
}

void Release(std::unique_ptr<agent::Session>& session, const std::string& lock) {
  if (session != nullptr &&
      !(*session)->Execute(absl::StrCat("DO RELEASE_LOCK(", lock, ")")).ok()) {
    session->Discard();
  }
}

// Once the gate is locked no new helper of an earlier attempt begins: each takes its own lock first
// and then looks whose the gate is.
absl::Status EndHelpers(mysql::Connection& connection, const GateId& id, const std::string& lock,
                        absl::Time deadline) {
  std::string sql = "SELECT ";
  for (size_t i = 0; i < LockedGate::kHelpersMax; ++i) {
    absl::StrAppend(&sql, i == 0 ? "" : ", ", "IS_USED_LOCK(", HelperLockName(lock, i), ")");
  }
  SLUICE_ASSIGN_OR_RETURN(const mysql::QueryResult used, connection.Query(sql));
  for (size_t i = 0; !used.rows.empty() && i < used.rows[0].size(); ++i) {
    if (used.rows[0][i].has_value()) {
      const std::string helper = HelperLockName(lock, i);
      SLUICE_RETURN_IF_ERROR(
          TakeNamedLock(connection, {.sql = helper, .what = NameOf(id)}, deadline));
      SLUICE_RETURN_IF_ERROR(
          connection.Execute(absl::StrCat("DO RELEASE_LOCK(", helper, ")")).status());
    }
  }
  return absl::OkStatus();
}

}  // namespace

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
    SLUICE_ASSIGN_OR_RETURN(holder, KillHolder(connection, lock.sql, lock.what));
    SLUICE_ASSIGN_OR_RETURN(locked, TryLock(connection, lock.sql, std::min(left, 1.0)));
  }
  return absl::OkStatus();
}

GateHelper::~GateHelper() {
  Release(session_, lock_);
}

absl::StatusOr<LockedGate> LockedGate::Acquire(agent::SessionPool& pool, const GateId& id,
                                               absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.Borrow());
  const std::string lock = LockName(id);
  SLUICE_RETURN_IF_ERROR(TakeNamedLock(*session, {.sql = lock, .what = NameOf(id)}, deadline));
  LockedGate gate(std::move(session), lock);
  SLUICE_RETURN_IF_ERROR(EndHelpers(gate.session(), id, lock, deadline));
  return gate;
}

absl::StatusOr<GateHelper> LockedGate::Help(agent::SessionPool& pool, size_t number) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.Borrow());
  const std::string lock = HelperLockName(lock_, number);
  SLUICE_ASSIGN_OR_RETURN(const bool locked, TryLock(*session, lock, 0));
  if (!locked) {
    return absl::UnavailableError("another session helps with this gate");
  }
  GateHelper helper(std::move(session), lock);
  SLUICE_ASSIGN_OR_RETURN(const std::string holder, helper.session().QueryScalar(absl::StrCat(
                                                        "SELECT IS_USED_LOCK(", lock_, ")")));
  if (holder != absl::StrCat((*session_)->connection_id())) {
    return absl::UnavailableError("the gate is locked by another session now");
  }
  return helper;
}

LockedGate::~LockedGate() {
  Release(session_, lock_);
}

}  // namespace sluice::gate
