// LockedGate: one session of mysqld that alone may change a gate.

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

// Waits up to `seconds` for the lock.
absl::StatusOr<bool> TryLock(mysql::Connection& connection, const std::string& lock,
                             double seconds) {
  const auto got =
      connection.QueryScalar(absl::StrCat("SELECT GET_LOCK(", lock, ", ", seconds, ")"));
  SLUICE_RETURN_IF_ERROR(got.status());
  return *got == "1";
}

absl::StatusOr<std::string> KillHolder(mysql::Connection& connection, const GateId& id,
                                       const std::string& lock) {
  SLUICE_ASSIGN_OR_RETURN(std::string holder,
                          connection.QueryScalar(absl::StrCat("SELECT IS_USED_LOCK(", lock, ")")));
  if (holder.empty()) {
    return holder;
  }
  SLUICE_LOG(kWarning, "ending the session of an earlier attempt on the gate",
             {{"workflow", id.workflow}, {"connection", holder}});
  const auto killed = connection.Execute(absl::StrCat("KILL CONNECTION ", holder));
  if (!killed.ok() && MysqlErrnoOf(killed.status()) != kNoSuchThread) {
    return Annotate(killed.status(), absl::StrCat("ending connection ", holder,
                                                  ", which still holds the gate of ", id.workflow));
  }
  return holder;
}

}  // namespace

absl::StatusOr<LockedGate> LockedGate::Acquire(agent::SessionPool& pool, const GateId& id,
                                               absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.Borrow());
  const std::string lock = LockName(id);
  SLUICE_ASSIGN_OR_RETURN(bool locked, TryLock(*session, lock, 0));
  std::string holder;
  while (!locked) {
    const double left = absl::ToDoubleSeconds(deadline - absl::Now());
    if (left <= 0) {
      return absl::AbortedError(absl::StrCat("gate of ", id.workflow, ": connection ", holder,
                                             " of an earlier attempt has not ended yet"));
    }
    SLUICE_ASSIGN_OR_RETURN(holder, KillHolder(*session, id, lock));
    SLUICE_ASSIGN_OR_RETURN(locked, TryLock(*session, lock, std::min(left, 1.0)));
  }
  return LockedGate(std::move(session), lock);
}

LockedGate::~LockedGate() {
  if (session_ == nullptr) {
    return;
  }
  if (!(*session_)->Execute(absl::StrCat("DO RELEASE_LOCK(", lock_, ")")).ok()) {
    session_->Discard();
  }
}

}  // namespace sluice::gate
