// Render: an answer of the coordinator as it is printed. Pure.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "coordinator/cli/command.h"

namespace sluice::cli {

// In the command's format, ending with a newline. Fields that the answer does not have are left
// out. DATA_LOSS when the answer is not JSON.
absl::StatusOr<std::string> Render(const Command& command, absl::string_view json);

// Whether the answer is what the operator asked for: of diagnose, that all agrees; of repair, that
// nothing is left to do. REQUIRES: JSON.
bool IsGood(const Command& command, absl::string_view json);

}  // namespace sluice::cli
