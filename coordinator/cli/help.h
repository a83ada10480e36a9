// Help texts, made from the table of commands. Pure.

#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace sluice::cli {

// The whole text on a topic: "" (all commands), a group, or a command ("movetables create"). The
// empty topic's text for one that does not exist.
std::string HelpText(absl::string_view topic);

// The same in short, for mistakes: "Usage: sluice movetables create KEYSPACE.WORKFLOW …", a line
// for each command of the topic; for the empty topic the list of commands.
std::string UsageText(absl::string_view topic);

}  // namespace sluice::cli
