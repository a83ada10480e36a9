// The effects of a MoveTables create, forward and back. Each may be repeated.

#pragma once

#include <cstddef>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordinator/workflow/create_plan.h"
#include "coordinator/workflow/record.h"

namespace sluice::workflow {

// Shards that are prepared at the same time, unless the operator says otherwise.
inline constexpr size_t kShardsAtOnce = 16;

// Gives the streams their ids and writes the record in phase creating, in one transaction that
// checks once more against other workflows.
absl::Status RecordCreating(const Services& services, WorkflowRecord& record);

// Tables on the targets, streams (not started), then rules and phase active in one commit.
// `at_once` streams at a time.
absl::Status CreateForward(const Services& services, WorkflowRecord& record,
                           const TablesByStream& tables, size_t at_once, absl::Time deadline);

// The durable decision that there is no way forward, with the reason.
absl::Status DecideToUndo(const Services& services, WorkflowRecord& record,
                          const absl::Status& why);

// Deletes streams and tables on the targets, then the record. REQUIRES: DecideToUndo.
absl::Status UndoCreate(const Services& services, const WorkflowRecord& record,
                        absl::Time deadline);

// Starts the streams of an active workflow and notes that in the record.
absl::Status StartPending(const Services& services, WorkflowRecord& record, absl::Time deadline);

}  // namespace sluice::workflow
