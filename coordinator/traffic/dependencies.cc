// Finding and locking workflows.

#include "coordinator/traffic/dependencies.h"

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/cutover/ledger.h"

namespace sluice::traffic {

absl::StatusOr<Resolved> Resolve(store::Store& store, const admin::WorkflowRef& ref) {
  Resolved resolved;
  SLUICE_RETURN_IF_ERROR(store.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(const std::optional<workflow::WorkflowRecord> named,
                            reader.FindWorkflow(ref.keyspace, ref.name));
    const std::string key = workflow::WorkflowKey(ref.keyspace, ref.name);
    if (!named) {
      return WithSubject(absl::NotFoundError(absl::StrCat("workflow ", key, " does not exist")),
                         key);
    }
    resolved.by_reverse_name = !named->reverse_of.empty();
    SLUICE_ASSIGN_OR_RETURN(resolved.records,
                            cutover::ReadRecords(reader, workflow::OperationKey(*named)));
    return absl::OkStatus();
  }));
  return resolved;
}

absl::StatusOr<Exclusion> Exclude(workflow::OperationLocks& locks, const std::string& key,
                                  absl::string_view command) {
  SLUICE_ASSIGN_OR_RETURN(workflow::OperationLocks::Guard guard, locks.TryLock(key, command));
  return std::make_shared<workflow::OperationLocks::Guard>(std::move(guard));
}

}  // namespace sluice::traffic
