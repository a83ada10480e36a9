// UpdateWorkflow: other options for a workflow while it runs.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/workflow/create_plan.h"

namespace sluice::workflow {

// What is not set stays as it is.
struct UpdateArgs {
  std::string keyspace;
  std::string name;
  std::optional<std::vector<routing::TabletType>> source_types;
  std::optional<std::vector<std::string>> cells;
  std::optional<stream::OnDdl> on_ddl;
  std::vector<stream::NamedValue> tuning;  // the value "default" takes one away
  std::optional<std::string> throttled;    // the reason; empty: not throttled

  [[nodiscard]] bool empty() const {
    return !source_types && !cells && !on_ddl && tuning.empty() && !throttled;
  }
};

// Records the change, then gives it to the streams. INVALID_ARGUMENT when nothing is to change, or
// a value is wrong; UNIMPLEMENTED for an option that streams do not obey; FAILED_PRECONDITION for a
// workflow whose streams do not serve: being created, frozen, or ending. Nothing has changed then.
absl::StatusOr<std::string> UpdateWorkflow(const Services& services, const UpdateArgs& args,
                                           absl::Time deadline);

// Gives the record's options to its streams, then records that they have them. The answer of
// UpdateWorkflow. May be repeated.
absl::StatusOr<std::string> SendUpdate(const Services& services, WorkflowRecord& record,
                                       absl::Time deadline);

}  // namespace sluice::workflow
