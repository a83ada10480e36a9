// What a committed cutover makes of the workflow records. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/cutover/plan.h"
#include "coordinator/workflow/record.h"

namespace sluice::cutover {

// ("customer", "move") of "customer.move".
std::pair<std::string, std::string> SplitKey(absl::string_view key);

// The record of the workflow as it was created, and that of its reverse once there is one.
struct Records {
  workflow::WorkflowRecord original;
  std::optional<workflow::WorkflowRecord> reverse;
  friend bool operator==(const Records&, const Records&) = default;
};

// Traffic flags flip for what the plan moves; when writes move, the record that was obeyed is
// frozen and the other one lives, with the streams of the plan. Reads of a partial workflow move
// with its writes. FAILED_PRECONDITION when the records do not fit the plan any more (another
// command got in between).
absl::StatusOr<Records> ApplyCommit(const Plan& plan, Records records, int64_t now_ms);

}  // namespace sluice::cutover
