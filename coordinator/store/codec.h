// Stored bytes of the records that are kept whole.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/store/records.h"
#include "coordinator/workflow/record.h"

namespace sluice::store {

std::string EncodeWorkflow(const workflow::WorkflowRecord& record);
// DATA_LOSS when the bytes are not of EncodeWorkflow.
absl::StatusOr<workflow::WorkflowRecord> DecodeWorkflow(absl::string_view bytes);

std::string EncodeRules(const RuleState& rules);
// DATA_LOSS when the bytes are not of EncodeRules.
absl::StatusOr<RuleState> DecodeRules(absl::string_view bytes);

}  // namespace sluice::store
