// Ledger: the durable side of cutovers, over the coordinator's store.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordinator/cutover/codec.h"
#include "coordinator/cutover/records.h"
#include "coordinator/store/store.h"

namespace sluice::cutover {

using Steps = std::vector<store::CutoverStep>;

// Each write is one transaction, durable when OK is returned. Thread-safe.
class Ledger {
 public:
  explicit Ledger(store::Store& store) : store_(store) {}

  // The state and a new attempt. FAILED_PRECONDITION when another command's state stands there.
  absl::Status Begin(const StoredCutover& cutover);
  absl::Status Save(const StoredCutover& cutover, const Steps& steps);
  // The commit point: the state after it and what it makes of the workflow's records. Repeating it
  // is harmless.
  absl::Status Commit(const StoredCutover& after, const Steps& steps);
  // Whether the commit point of this cutover has been passed.
  absl::StatusOr<bool> IsCommitted(const Plan& plan);
  // The result of the attempt; the state is forgotten.
  absl::Status Finish(const StoredCutover& cutover, const Steps& steps, int64_t now_us);

 private:
  store::Store& store_;
};

// The workflow as created and its reverse, of one consistent state. NOT_FOUND names it.
absl::StatusOr<Records> ReadRecords(store::StoreReader& reader, absl::string_view workflow_key);

}  // namespace sluice::cutover
