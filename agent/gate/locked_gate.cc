// LockedGate: one session that alone may change a gate, and those that help it.

#include "agent/gate/locked_gate.h"

#include "absl/strings/str_cat.h"
#include "agent/gate/gate_lock.h"
#include "common/base/status_macros.h"

namespace sluice::gate {
namespace {

void Release(std::unique_ptr<agent::Session>& session, const std::string& lock) {
  if (session != nullptr && !ReleaseLocks(**session, {lock}).ok()) {
    session->Discard();
  }
}

}  // namespace

GateHelper::~GateHelper() {
  Release(session_, lock_);
}

absl::StatusOr<LockedGate> LockedGate::Acquire(agent::SessionPool& pool, const GateId& id,
                                               absl::Time deadline) {
  SLUICE_ASSIGN_OR_RETURN(agent::Session session, pool.Borrow());
  const std::string lock = GateLockName(id);
  SLUICE_RETURN_IF_ERROR(TakeNamedLock(*session, {.sql = lock, .what = LockedBy(id)}, deadline));
  LockedGate gate(std::move(session), lock);
  SLUICE_RETURN_IF_ERROR(EndHelpers(gate.session(), {id}, deadline));
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
