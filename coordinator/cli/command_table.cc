// Every flag and every command.

#include "coordinator/cli/command_table.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/tuning/tuning.h"
#include "coordinator/cli/failure.h"
#include "coordinator/cli/spelling.h"
#include "coordinator/cli/values.h"

namespace sluice::cli {
namespace {

constexpr absl::Duration kLeastWait = absl::Seconds(1);
constexpr uint32_t kParallelismMax = 32;
constexpr uint32_t kAttemptMax = 100;

template <std::string Command::*field>
absl::Status SetText(Command& command, const std::string& value) {
  if (value.empty()) {
    return UsageError("an empty value");
  }
  command.*field = value;
  return absl::OkStatus();
}

template <bool Command::*field>
absl::Status SetBool(Command& command, const std::string& value) {
  command.*field = value == "true";
  return absl::OkStatus();
}

template <std::vector<std::string> Command::*field>
absl::Status SetList(Command& command, const std::string& value) {
  command.*field = ParseList(value);
  return absl::OkStatus();
}

template <std::vector<std::string> Command::*field>
absl::Status SetShards(Command& command, const std::string& value) {
  command.*field = ParseList(value);
  return (command.*field).empty() ? UsageError("names no shard") : absl::OkStatus();
}

absl::Status SetSkipRebuild(Command& /*command*/, const std::string& value) {
  if (value == "true") {
    return Refusal(
        "--skip-rebuild: rules are obeyed by the proxies as soon as they are stored; --dry-run "
        "only checks them");
  }
  return absl::OkStatus();
}

absl::Status SetFormat(Command& command, const std::string& value) {
  if (absl::EqualsIgnoreCase(value, "json")) {
    command.format = Format::kJson;
  } else if (absl::EqualsIgnoreCase(value, "text")) {
    command.format = Format::kText;
  } else {
    return UsageError(absl::StrCat("--format: \"", value, "\" is neither text nor json"));
  }
  return absl::OkStatus();
}

absl::Status SetActionTimeout(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.action_timeout,
                          ParseDurationFlag("action-timeout", value, kLeastWait));
  return absl::OkStatus();
}

absl::Status SetTimeout(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.timeout, ParseDurationFlag("timeout", value, kLeastWait));
  return absl::OkStatus();
}

absl::Status SetMaxLag(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.max_lag, ParseDurationFlag("max-replication-lag-allowed", value,
                                                             absl::Milliseconds(1)));
  return absl::OkStatus();
}

absl::Status SetKillBlockersAfter(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.kill_blockers_after,
                          ParseDurationFlag("kill-blockers-after", value, absl::Milliseconds(100)));
  return absl::OkStatus();
}

absl::Status SetKillBlockersRows(Command& command, const std::string& value) {
  if (!absl::SimpleAtoi(value, &command.kill_blockers_rows) || command.kill_blockers_rows == 0) {
    return UsageError(
        absl::StrCat("--kill-blockers-rows: \"", value, "\" is no number of rows above 0"));
  }
  return absl::OkStatus();
}

absl::Status SetGate(Command& command, const std::string& value) {
  for (const auto& [name, wish] : {std::pair{"auto", admin::GateWish::kAuto},
                                   {"tables", admin::GateWish::kTables},
                                   {"server", admin::GateWish::kServer}}) {
    if (absl::EqualsIgnoreCase(value, name)) {
      command.gate = wish;
      return absl::OkStatus();
    }
  }
  return UsageError(absl::StrCat("--gate: \"", value, "\" is none of auto, tables, server"));
}

absl::Status SetParallelism(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.parallelism,
                          ParseNumberFlag("parallelism", value, kParallelismMax));
  return absl::OkStatus();
}

absl::Status SetAttempt(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.attempt, ParseNumberFlag("attempt", value, kAttemptMax));
  return absl::OkStatus();
}

absl::Status SetTabletTypes(Command& command, const std::string& value) {
  SLUICE_ASSIGN_OR_RETURN(command.tablet_types, ParseTabletTypes(value));
  return absl::OkStatus();
}

absl::Status SetCells(Command& command, const std::string& value) {
  command.stream.cells = ParseList(value);
  return command.stream.cells.empty() ? Refusal("--cells names no cell") : absl::OkStatus();
}

absl::Status SetOnDdl(Command& command, const std::string& value) {
  const absl::StatusOr<stream::OnDdl> on_ddl = stream::ParseOnDdl(value);
  if (!on_ddl.ok()) {
    return Refusal(absl::StrCat("--on-ddl: ", on_ddl.status().message()));
  }
  command.stream.on_ddl = *on_ddl;
  command.on_ddl_given = true;
  return absl::OkStatus();
}

absl::Status SetDeferKeys(Command& command, const std::string& value) {
  command.stream.defer_secondary_keys =
      value == "true" ? stream::DeferKeys::kAlways : stream::DeferKeys::kNever;
  return absl::OkStatus();
}

absl::Status SetSourceTimeZone(Command& command, const std::string& value) {
  if (value.empty()) {
    return UsageError("--source-time-zone: an empty value");
  }
  command.stream.source_time_zone = value;
  return absl::OkStatus();
}

absl::Status SetAllowNoKey(Command& command, const std::string& value) {
  command.stream.allow_no_key = value == "true";
  return absl::OkStatus();
}

absl::Status SetDropForeignKeys(Command& command, const std::string& value) {
  command.stream.drop_foreign_keys = value == "true";
  return absl::OkStatus();
}

// May be given more than once; the later value of a name counts.
absl::Status SetTuning(Command& command, const std::string& value) {
  const absl::StatusOr<std::vector<stream::NamedValue>> values = stream::SplitTuning(value);
  if (!values.ok()) {
    return Refusal(absl::StrCat("--config-overrides: ", values.status().message()));
  }
  if (const auto checked = stream::MergeTuning({}, *values); !checked.ok()) {
    return Refusal(absl::StrCat("--config-overrides: ", checked.status().message()));
  }
  command.stream.tuning.insert(command.stream.tuning.end(), values->begin(), values->end());
  return absl::OkStatus();
}

absl::Status SetNothing(Command& /*command*/, const std::string& /*value*/) {
  return absl::OkStatus();
}

// The order is that of enum Flag, and of the help.
constexpr auto kFlags = std::to_array<FlagSpec>({
    {Flag::kCoordinator, "coordinator", "server", 0, "URL", "$SLUICE_COORDINATOR",
     "where the coordinator listens, such as tcp://host:15000", &SetText<&Command::coordinator>},
    {Flag::kFormat, "format", "", 0, "text|json", "text", "how answers are printed", &SetFormat},
    {Flag::kActionTimeout, "action-timeout", "", 0, "DURATION",
     "1h; to look 30s; to switch --timeout + 60s", "how long to wait for the answer",
     &SetActionTimeout},
    {Flag::kHelp, "help", "", 'h', "", "", "print help and end", &SetNothing},
    {Flag::kVersion, "version", "", 0, "", "", "print the version and end", &SetNothing},
    {Flag::kWorkflow, "workflow", "", 'w', "NAME", "", "the workflow's name",
     &SetText<&Command::workflow>},
    {Flag::kTargetKeyspace, "target-keyspace", "", 0, "KEYSPACE", "",
     "the keyspace that the workflow moves tables to", &SetText<&Command::keyspace>},
    {Flag::kKeyspace, "keyspace", "", 'k', "KEYSPACE", "", "the keyspace",
     &SetText<&Command::keyspace>},
    {Flag::kSourceKeyspace, "source-keyspace", "source", 0, "KEYSPACE", "",
     "the keyspace that holds the tables now", &SetText<&Command::source_keyspace>},
    {Flag::kTables, "tables", "", 0, "TABLE,...", "", "the tables to move",
     &SetList<&Command::tables>},
    {Flag::kAllTables, "all-tables", "all", 0, "", "false", "move every table of the source",
     &SetBool<&Command::all_tables>},
    {Flag::kExcludeTables, "exclude-tables", "exclude", 0, "TABLE,...", "",
     "tables that stay where they are", &SetList<&Command::exclude_tables>},
    {Flag::kTabletTypes, "tablet-types", "", 0, "TYPE,...", "",
     "PRIMARY, REPLICA, RDONLY: which tablets are read from (create; REPLICA, then PRIMARY, unless "
     "said) or which traffic moves (all, unless said)",
     &SetTabletTypes},
    {Flag::kAutoStart, "auto-start", "", 0, "", "true", "start the streams at once",
     &SetBool<&Command::auto_start>},
    {Flag::kStopAfterCopy, "stop-after-copy", "", 0, "", "false",
     "stop the streams when every table is copied", &SetBool<&Command::stop_after_copy>},
    {Flag::kCells, "cells", "", 'c', "CELL,...", "",
     "only tablets of these cells are read from; unless said the target's own cell is preferred. "
     "Of "
     "a switch: only the reads of these cells move (all, unless said); writes move in all cells",
     &SetCells},
    {Flag::kOnDdl, "on-ddl", "", 0, "IGNORE|STOP|EXEC|EXEC_IGNORE", "STOP",
     "what to do about a DDL statement on a moving table: pass over it, stop, run it on the "
     "target, "
     "or run it and go on when it fails",
     &SetOnDdl},
    {Flag::kDeferSecondaryKeys, "defer-secondary-keys", "", 0, "", "by size",
     "add a table's secondary keys after its copy; unless said, to tables that are large",
     &SetDeferKeys},
    {Flag::kSourceTimeZone, "source-time-zone", "", 0, "ZONE", "",
     "DATETIMEs of the source are of this zone and become UTC", &SetSourceTimeZone},
    {Flag::kAllowNoKey, "allow-no-key", "", 0, "", "false",
     "move tables without a primary key or a NOT NULL unique key too", &SetAllowNoKey},
    {Flag::kDropForeignKeys, "drop-foreign-keys", "", 0, "", "false",
     "create the target's tables without foreign keys to tables that are not moved",
     &SetDropForeignKeys},
    {Flag::kConfigOverrides, "config-overrides", "", 0, "NAME=VALUE,...", "",
     "values of this workflow where they differ from the agents'; default takes one away",
     &SetTuning},
    {Flag::kReason, "reason", "", 0, "TEXT", "by the operator", "why, for those who look",
     &SetText<&Command::reason>},
    {Flag::kTimeout, "timeout", "", 0, "DURATION", "30s",
     "how long the cutover may take before it is rolled back", &SetTimeout},
    {Flag::kMaxLag, "max-replication-lag-allowed", "", 0, "DURATION", "30s",
     "refuse to switch while a stream lags more", &SetMaxLag},
    {Flag::kEnableReverse, "enable-reverse-replication", "reverse-replication", 0, "", "true",
     "start the streams back to the old side", &SetBool<&Command::enable_reverse>},
    {Flag::kHold, "hold", "", 0, "", "false",
     "prepare everything, then wait for \"cutover release\"", &SetBool<&Command::hold>},
    {Flag::kInitializeSequences, "initialize-target-sequences", "", 0, "", "false",
     "raise AUTO_INCREMENT of the new side above that of the old one",
     &SetBool<&Command::initialize_sequences>},
    {Flag::kKillBlockersAfter, "kill-blockers-after", "", 0, "DURATION", "never",
     "end transactions that sit on the tables that long; never DDL, nor large ones",
     &SetKillBlockersAfter},
    {Flag::kKillBlockersRows, "kill-blockers-rows", "", 0, "N", "10000",
     "a transaction that changed more rows is a large one", &SetKillBlockersRows},
    {Flag::kGate, "gate", "", 0, "KIND", "auto",
     "close the old side's tables, or its whole server (read_only); auto: that where it can be",
     &SetGate},
    {Flag::kForce, "force", "", 0, "", "false",
     "switch in spite of lag, of tablets that do not serve and of proxies that refuse rules; gates "
     "and the last changes are waited for all the same",
     &SetBool<&Command::force>},
    {Flag::kParallelism, "parallelism", "", 0, "N", "16",
     "how many shards are prepared at once, 1 to 32; their gates still close together",
     &SetParallelism},
    {Flag::kKeepData, "keep-data", "", 0, "", "false", "keep the tables that would be dropped",
     &SetBool<&Command::keep_data>},
    {Flag::kKeepRoutingRules, "keep-routing-rules", "", 0, "", "false",
     "leave the routing rules as they are", &SetBool<&Command::keep_routing_rules>},
    {Flag::kRenameTables, "rename-tables", "", 0, "", "false",
     "rename the source's tables to _<table>_old instead of dropping them",
     &SetBool<&Command::rename_tables>},
    {Flag::kDryRun, "dry-run", "", 'd', "", "false", "say what would be done, and do nothing",
     &SetBool<&Command::dry_run>},
    {Flag::kWatch, "watch", "", 0, "", "false",
     "show the progress each second until the copy is done", &SetBool<&Command::watch>},
    {Flag::kRules, "rules", "", 'r', "JSON", "", "the rules", &SetText<&Command::rules>},
    {Flag::kRulesFile, "rules-file", "", 'f', "FILE", "", "a file with the rules",
     &SetText<&Command::rules_file>},
    {Flag::kShards, "shards", "", 0, "SHARD,...", "",
     "the shards, such as -80,80-: of the new keyspace (0, unless said), or those whose streams "
     "are meant (all, unless said)",
     &SetShards<&Command::shards>},
    {Flag::kSourceShards, "source-shards", "", 0, "SHARD,...", "",
     "move only these shards, with all their tables; their reads and writes are switched at once, "
     "while other shards stay",
     &SetShards<&Command::source_shards>},
    {Flag::kSkipRebuild, "skip-rebuild", "", 0, "", "false",
     "refused: proxies obey rules as soon as they are stored", &SetSkipRebuild},
    {Flag::kYes, "yes", "", 'y', "", "false", "also do what can't be taken back",
     &SetBool<&Command::yes>},
    {Flag::kAttempt, "attempt", "", 0, "N", "all",
     "only this one of the recorded cutovers; 1 is the newest", &SetAttempt},
});

constexpr FlagSet kRuleFlags = SetOf({Flag::kRules, Flag::kRulesFile, Flag::kDryRun});
constexpr FlagSet kMoveRef = SetOf({Flag::kWorkflow, Flag::kTargetKeyspace});
constexpr FlagSet kWorkflowRef = SetOf({Flag::kWorkflow, Flag::kKeyspace});
constexpr FlagSet kSomeShards = SetOf({Flag::kShards});
constexpr FlagSet kSwitch =
    kMoveRef |
    SetOf({Flag::kTabletTypes, Flag::kCells, Flag::kTimeout, Flag::kMaxLag, Flag::kEnableReverse,
           Flag::kHold, Flag::kInitializeSequences, Flag::kKillBlockersAfter,
           Flag::kKillBlockersRows, Flag::kGate, Flag::kForce, Flag::kParallelism, Flag::kDryRun});

constexpr auto kCommands = std::to_array<CommandSpec>({
    {Verb::kMoveTablesCreate, "movetables", "create", "", Argument::kWorkflow,
     kMoveRef | SetOf({Flag::kSourceKeyspace, Flag::kSourceShards, Flag::kTables, Flag::kAllTables,
                       Flag::kExcludeTables, Flag::kTabletTypes, Flag::kAutoStart,
                       Flag::kStopAfterCopy, Flag::kCells, Flag::kOnDdl, Flag::kDeferSecondaryKeys,
                       Flag::kSourceTimeZone, Flag::kAllowNoKey, Flag::kDropForeignKeys,
                       Flag::kConfigOverrides, Flag::kParallelism, Flag::kDryRun}),
     SetOf({Flag::kSourceKeyspace}), "start copying tables into another keyspace"},
    {Verb::kWorkflowShow, "movetables", "show", "", Argument::kWorkflow, kMoveRef | kSomeShards, 0,
     "print everything known of a workflow, as JSON"},
    {Verb::kWorkflowStatus, "movetables", "status", "progress", Argument::kWorkflow,
     kMoveRef | kSomeShards | SetOf({Flag::kWatch}), 0,
     "show streams, copy progress and traffic state"},
    {Verb::kSwitchTraffic, "movetables", "switchtraffic", "", Argument::kWorkflow, kSwitch, 0,
     "move traffic to the target keyspace"},
    {Verb::kReverseTraffic, "movetables", "reversetraffic", "", Argument::kWorkflow, kSwitch, 0,
     "move traffic back to the source keyspace"},
    {Verb::kComplete, "movetables", "complete", "", Argument::kWorkflow,
     kMoveRef |
         SetOf({Flag::kKeepData, Flag::kKeepRoutingRules, Flag::kRenameTables, Flag::kDryRun}),
     0, "end a switched workflow and drop the source's tables"},
    {Verb::kCancel, "movetables", "cancel", "", Argument::kWorkflow,
     kMoveRef | SetOf({Flag::kKeepData, Flag::kKeepRoutingRules, Flag::kDryRun}), 0,
     "end a workflow that is not switched and drop the target's tables"},
    {Verb::kWorkflowStart, "movetables", "start", "", Argument::kWorkflow, kMoveRef | kSomeShards,
     0, "start a workflow's streams"},
    {Verb::kWorkflowStop, "movetables", "stop", "", Argument::kWorkflow, kMoveRef | kSomeShards, 0,
     "stop a workflow's streams"},
    {Verb::kWorkflowList, "workflow", "list", "listall", Argument::kKeyspace,
     SetOf({Flag::kKeyspace}), 0, "list the workflows of a keyspace"},
    {Verb::kWorkflowShow, "workflow", "show", "", Argument::kWorkflow, kWorkflowRef | kSomeShards,
     0, "print everything known of a workflow, as JSON"},
    {Verb::kWorkflowStart, "workflow", "start", "", Argument::kWorkflow, kWorkflowRef | kSomeShards,
     0, "start a workflow's streams"},
    {Verb::kWorkflowStop, "workflow", "stop", "", Argument::kWorkflow, kWorkflowRef | kSomeShards,
     0, "stop a workflow's streams"},
    {Verb::kWorkflowUpdate, "workflow", "update", "", Argument::kWorkflow,
     kWorkflowRef | SetOf({Flag::kCells, Flag::kTabletTypes, Flag::kOnDdl, Flag::kConfigOverrides}),
     0, "change options of a workflow while it runs"},
    {Verb::kWorkflowThrottle, "workflow", "throttle", "", Argument::kWorkflow,
     kWorkflowRef | SetOf({Flag::kReason}), 0, "make a workflow's copy wait"},
    {Verb::kWorkflowUnthrottle, "workflow", "unthrottle", "", Argument::kWorkflow, kWorkflowRef, 0,
     "let a workflow's copy go on"},
    {Verb::kWorkflowDelete, "workflow", "delete", "", Argument::kWorkflow,
     kWorkflowRef | SetOf({Flag::kKeepData, Flag::kKeepRoutingRules, Flag::kDryRun}), 0,
     "delete a workflow that is not switched"},
    {Verb::kWorkflowDiagnose, "workflow", "diagnose", "", Argument::kWorkflow, kWorkflowRef, 0,
     "say whether store, databases, rules and proxies agree on a workflow"},
    {Verb::kWorkflowRepair, "workflow", "repair", "", Argument::kWorkflow,
     kWorkflowRef | SetOf({Flag::kYes}), 0,
     "bring a half-done workflow to the end that the store's record shows"},
    {Verb::kGetRoutingRules, "getroutingrules", "", "", Argument::kNone, 0, 0,
     "print the table routing rules"},
    {Verb::kApplyRoutingRules, "applyroutingrules", "", "", Argument::kNone, kRuleFlags, 0,
     "replace all table routing rules"},
    {Verb::kGetShardRoutingRules, "getshardroutingrules", "", "", Argument::kNone, 0, 0,
     "print the shard routing rules"},
    {Verb::kApplyShardRoutingRules, "applyshardroutingrules", "", "", Argument::kNone,
     kRuleFlags | SetOf({Flag::kSkipRebuild}), 0, "replace all shard routing rules"},
    {Verb::kGetTablets, "gettablets", "", "", Argument::kNone, 0, 0, "list the tablets"},
    {Verb::kKeyspaceCreate, "keyspace", "create", "", Argument::kKeyspace,
     SetOf({Flag::kKeyspace, Flag::kShards}), 0, "make a keyspace known"},
    {Verb::kKeyspaceList, "keyspace", "list", "", Argument::kNone, 0, 0, "list the keyspaces"},
    {Verb::kKeyspaceShow, "keyspace", "show", "", Argument::kKeyspace, SetOf({Flag::kKeyspace}), 0,
     "show a keyspace's shards and tablets"},
    {Verb::kCutoverShow, "cutover", "show", "", Argument::kWorkflow,
     kWorkflowRef | SetOf({Flag::kAttempt}), 0,
     "show the recorded cutovers of a workflow, step by step"},
    {Verb::kCutoverRelease, "cutover", "release", "", Argument::kWorkflow, kWorkflowRef, 0,
     "let a cutover that is prepared and held go on"},
    {Verb::kCutoverAbort, "cutover", "abort", "", Argument::kWorkflow, kWorkflowRef, 0,
     "take a cutover back that is not committed yet"},
    {Verb::kProxies, "proxies", "", "", Argument::kNone, 0, 0,
     "list the proxies and the rules they obey"},
    {Verb::kThrottleOn, "throttle", "on", "", Argument::kNone, SetOf({Flag::kReason}), 0,
     "make the copies of all workflows wait"},
    {Verb::kThrottleOff, "throttle", "off", "", Argument::kNone, 0, 0,
     "let copies go on, but for those throttled by themselves"},
    {Verb::kThrottleShow, "throttle", "show", "", Argument::kNone, 0, 0,
     "show what is throttled by hand"},
    {Verb::kHelp, "help", "", "", Argument::kTopic, 0, 0, "print help on a command"},
    {Verb::kVersion, "version", "", "", Argument::kNone, 0, 0, "print the version"},
});

constexpr bool FlagsAreInOrder() {
  for (size_t i = 0; i < kFlags.size(); ++i) {
    if (static_cast<size_t>(kFlags[i].flag) != i) {
      return false;
    }
  }
  return true;
}
static_assert(FlagsAreInOrder());

bool IsOneOf(absl::string_view normal, absl::string_view name, absl::string_view aliases) {
  if (Normalize(name) == normal) {
    return true;
  }
  const std::vector<absl::string_view> others = absl::StrSplit(aliases, ' ', absl::SkipEmpty());
  return std::any_of(others.begin(), others.end(),
                     [&](absl::string_view other) { return Normalize(other) == normal; });
}

}  // namespace

absl::Span<const FlagSpec> AllFlags() {
  return kFlags;
}

absl::Span<const CommandSpec> AllCommands() {
  return kCommands;
}

const FlagSpec* FindFlag(absl::string_view name) {
  const std::string normal = Normalize(name);
  for (const FlagSpec& flag : kFlags) {
    if ((name.size() == 1 && flag.letter == name[0]) || IsOneOf(normal, flag.name, flag.aliases)) {
      return &flag;
    }
  }
  return nullptr;
}

std::vector<std::string> GroupNames() {
  std::vector<std::string> names;
  for (const CommandSpec& command : AllCommands()) {
    if (names.empty() || names.back() != command.group) {
      names.emplace_back(command.group);
    }
  }
  return names;
}

absl::string_view FindGroup(absl::string_view word) {
  const std::string normal = Normalize(word);
  for (const CommandSpec& command : AllCommands()) {
    if (command.group == normal) {
      return command.group;
    }
  }
  return {};
}

const CommandSpec* FindAction(absl::string_view group, absl::string_view word) {
  const std::string normal = Normalize(word);
  for (const CommandSpec& command : AllCommands()) {
    if (command.group == group && IsOneOf(normal, command.action, command.action_aliases)) {
      return &command;
    }
  }
  return nullptr;
}

std::vector<std::string> ActionNames(absl::string_view group) {
  std::vector<std::string> names;
  for (const CommandSpec& command : AllCommands()) {
    if (command.group == group && !command.action.empty()) {
      names.emplace_back(command.action);
    }
  }
  return names;
}

std::vector<std::string> FlagNames(FlagSet set) {
  std::vector<std::string> names;
  for (const FlagSpec& flag : kFlags) {
    if ((set & Bit(flag.flag)) != 0) {
      names.emplace_back(flag.name);
      for (const absl::string_view alias : absl::StrSplit(flag.aliases, ' ', absl::SkipEmpty())) {
        names.emplace_back(alias);
      }
    }
  }
  return names;
}

std::string NameOf(const CommandSpec& command) {
  return command.action.empty() ? std::string(command.group)
                                : absl::StrCat(command.group, " ", command.action);
}

}  // namespace sluice::cli
