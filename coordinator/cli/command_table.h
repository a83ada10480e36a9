// The table of commands and flags that parsing, help and the test of docs/commands.md go by.

#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "coordinator/cli/command.h"

namespace sluice::cli {

enum class Flag : uint8_t {
  // Of every command.
  kCoordinator,
  kFormat,
  kActionTimeout,
  kHelp,
  kVersion,
  // Of some.
  kWorkflow,
  kTargetKeyspace,
  kKeyspace,
  kSourceKeyspace,
  kTables,
  kAllTables,
  kExcludeTables,
  kTabletTypes,
  kAutoStart,
  kStopAfterCopy,
  kCells,
  kOnDdl,
  kDeferSecondaryKeys,
  kSourceTimeZone,
  kAllowNoKey,
  kDropForeignKeys,
  kConfigOverrides,
  kReason,
  kTimeout,
  kMaxLag,
  kEnableReverse,
  kHold,
  kInitializeSequences,
  kKillBlockersAfter,
  kKillBlockersRows,
  kGate,
  kForce,
  kParallelism,
  kKeepData,
  kKeepRoutingRules,
  kRenameTables,
  kDryRun,
  kWatch,
  kRules,
  kRulesFile,
  kShards,
  kSourceShards,
  kSkipRebuild,
  kYes,
  kAttempt,
};

struct FlagSpec {
  Flag flag;
  absl::string_view name;      // "source-keyspace"
  absl::string_view aliases;   // other spellings, separated by blanks; may be empty
  char letter;                 // short form, or 0
  absl::string_view value;     // what stands for the value in help; empty: true or false
  absl::string_view fallback;  // the default as shown; may be empty
  absl::string_view help;
  // Stores the value. A boolean gets "true" or "false".
  absl::Status (*set)(Command& command, const std::string& value);

  [[nodiscard]] bool is_bool() const { return value.empty(); }
};

// A set of flags as bits.
using FlagSet = uint64_t;
constexpr FlagSet Bit(Flag flag) {
  return uint64_t{1} << static_cast<uint8_t>(flag);
}
constexpr FlagSet SetOf(std::initializer_list<Flag> flags) {
  FlagSet set = 0;
  for (const Flag flag : flags) {
    set |= Bit(flag);
  }
  return set;
}
inline constexpr FlagSet kGlobalFlags =
    SetOf({Flag::kCoordinator, Flag::kFormat, Flag::kActionTimeout, Flag::kHelp, Flag::kVersion});

// What a command takes besides flags.
enum class Argument : uint8_t { kNone, kWorkflow, kKeyspace, kTopic };

struct CommandSpec {
  Verb verb;
  absl::string_view group;           // "movetables"
  absl::string_view action;          // "create", or empty where the group is the command
  absl::string_view action_aliases;  // separated by blanks
  Argument argument;
  FlagSet flags;     // without the global ones
  FlagSet required;  // of those
  absl::string_view summary;
};

absl::Span<const FlagSpec> AllFlags();
absl::Span<const CommandSpec> AllCommands();

// By any spelling of its name, without the dashes; nullptr when there is none.
const FlagSpec* FindFlag(absl::string_view name);
// The names of groups, each once, in the table's order.
std::vector<std::string> GroupNames();
// The name of the group that is spelled so; empty when there is none.
absl::string_view FindGroup(absl::string_view word);
// The command of that group (by name) whose action is spelled so; nullptr when there is none.
const CommandSpec* FindAction(absl::string_view group, absl::string_view word);
std::vector<std::string> ActionNames(absl::string_view group);
// The names of the flags in the set, without dashes.
std::vector<std::string> FlagNames(FlagSet set);

// "movetables create".
std::string NameOf(const CommandSpec& command);

}  // namespace sluice::cli
