// Store: conveniences over one read or one write.

#include "coordinator/store/store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace sluice::store {

absl::StatusOr<uint64_t> NextId(Store& store, absl::string_view counter) {
  uint64_t id = 0;
  SLUICE_RETURN_IF_ERROR(store.Transaction([&](StoreTransaction& transaction) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(id, transaction.NextId(counter));
    return absl::OkStatus();
  }));
  return id;
}

absl::StatusOr<workflow::WorkflowRecord> GetWorkflow(Store& store, absl::string_view keyspace,
                                                     absl::string_view name) {
  std::optional<workflow::WorkflowRecord> record;
  SLUICE_RETURN_IF_ERROR(store.Read([&](StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(record, reader.FindWorkflow(keyspace, name));
    return absl::OkStatus();
  }));
  if (!record.has_value()) {
    return absl::NotFoundError(
        absl::StrCat("workflow ", workflow::WorkflowKey(keyspace, name), " does not exist"));
  }
  return *std::move(record);
}

absl::StatusOr<std::vector<workflow::WorkflowRecord>> ListWorkflows(Store& store) {
  std::vector<workflow::WorkflowRecord> records;
  SLUICE_RETURN_IF_ERROR(store.Read([&](StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(records, reader.ListWorkflows());
    return absl::OkStatus();
  }));
  return records;
}

}  // namespace sluice::store
