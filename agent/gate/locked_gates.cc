// LockedGates: one session of mysqld that alone may change several gates.

#include "agent/gate/locked_gates.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "agent/gate/gate_lock.h"
#include "common/base/status_macros.h"

namespace sluice::gate {

LockedGates::~LockedGates() {
  if (session_ != nullptr && !held_.empty() &&
      !ReleaseLocks(**session_, {held_.begin(), held_.end()}).ok()) {
    session_->Discard();
  }
}

bool LockedGates::Holds(const GateId& id) const {
  return alive() && held_.contains(GateLockName(id));
}

std::vector<absl::Status> LockedGates::Take(const std::vector<GateId>& ids, absl::Time deadline) {
  std::vector<absl::Status> told(ids.size());
  const absl::Status status =
      TakeAll(ids, deadline, [&](size_t i, absl::Status failed) { told[i] = std::move(failed); });
  if (!status.ok()) {
    for (absl::Status& each : told) {
      each = each.ok() ? status : each;
    }
  }
  return told;
}

// Its own error is that of all gates for which nothing else is told.
absl::Status LockedGates::TakeAll(const std::vector<GateId>& ids, absl::Time deadline,
                                  const std::function<void(size_t, absl::Status)>& tell) {
  if (!alive()) {
    lost_ = session_ == nullptr ? 0 : (*session_)->connection_id();
    session_.reset();
    held_.clear();
    SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool_.Borrow());
    session_ = std::make_unique<agent::Session>(std::move(session));
  }
  std::vector<size_t> wanted;
  std::vector<std::string> locks;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!Holds(ids[i])) {
      wanted.push_back(i);
      locks.push_back(GateLockName(ids[i]));
    }
  }
  if (wanted.empty()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<bool> free, TryLocks(session(), locks));
  std::vector<GateId> taken;
  for (size_t at = 0; at < wanted.size(); ++at) {
    const GateId& id = ids[wanted[at]];
    absl::Status status = free[at] ? absl::OkStatus() : TakeFrom(id, locks[at], deadline);
    if (status.ok()) {
      held_.insert(locks[at]);
      taken.push_back(id);
    } else {
      tell(wanted[at], std::move(status));
    }
  }
  return taken.empty() ? absl::OkStatus() : EndHelpers(session(), taken, deadline);
}

// Two that end each other's sessions would never get on.
absl::Status LockedGates::TakeFrom(const GateId& id, const std::string& lock, absl::Time deadline) {
  if (lost_ != 0) {
    SLUICE_ASSIGN_OR_RETURN(const std::string holder,
                            session().QueryScalar(absl::StrCat("SELECT IS_USED_LOCK(", lock, ")")));
    if (!holder.empty() && holder != absl::StrCat(lost_)) {
      return absl::UnavailableError(
          absl::StrCat("gate of ", id.workflow, ": connection ", holder,
                       " has taken it; a request that is still of account is to be repeated"));
    }
  }
  return TakeNamedLock(session(), {.sql = lock, .what = LockedBy(id)}, deadline);
}

void LockedGates::Release(const std::vector<GateId>& ids) {
  std::vector<std::string> locks;
  for (const GateId& id : ids) {
    std::string lock = GateLockName(id);
    if (held_.erase(lock) != 0) {
      locks.push_back(std::move(lock));
    }
  }
  // A session that can't say so is ended by the next one who wants the gate.
  if (!locks.empty() && alive() && !ReleaseLocks(session(), locks).ok()) {
    session_->Discard();
  }
}

}  // namespace sluice::gate
