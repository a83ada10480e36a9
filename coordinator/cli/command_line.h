// ParseCommandLine: from what was typed to a Command. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "coordinator/cli/command.h"

namespace sluice::cli {

// `args` without the program's name. Names of commands, actions and flags match without regard to
// case, '-' and '_'; flags may stand anywhere; "--" is passed over; of a flag given twice the last
// counts. Help wins over anything else that is wrong.
//
// A line that can't be understood is a usage error (IsUsageError), with the nearest spelling where
// there is one, and the command that it belongs to as its subject (SubjectOf), a topic of help. A
// value that no move can have is a Refusal.
absl::StatusOr<Command> ParseCommandLine(const std::vector<std::string>& args);

}  // namespace sluice::cli
