// The parser: tokens, then the command, then its flags and arguments.

#include "coordinator/cli/command_line.h"

#include <algorithm>
#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/command_table.h"
#include "coordinator/cli/failure.h"
#include "coordinator/cli/spelling.h"
#include "coordinator/cli/values.h"

namespace sluice::cli {
namespace {

struct GivenFlag {
  const FlagSpec* spec;
  std::string value;
};

struct Tokens {
  std::vector<std::string> words;
  std::vector<GivenFlag> flags;
  std::string unknown_flag;         // the first, as typed
  bool unknown_flag_leads = false;  // it stands before any word, one of which may be its value
  absl::Status wrong_value;         // the first

  [[nodiscard]] bool Has(Flag flag) const {
    return std::any_of(flags.begin(), flags.end(),
                       [&](const GivenFlag& given) { return given.spec->flag == flag; });
  }
};

// The name of the flag that a token is, without dashes and "=value"; nullopt for other tokens.
std::optional<absl::string_view> FlagName(absl::string_view token) {
  if (token.size() < 2 || token[0] != '-') {
    return std::nullopt;
  }
  token.remove_prefix(token[1] == '-' ? 2 : 1);
  return token.substr(0, token.find('='));
}

bool CanBeValue(absl::string_view token) {
  if (absl::StartsWith(token, "--")) {
    return false;
  }
  const std::optional<absl::string_view> name = FlagName(token);
  return !name.has_value() || FindFlag(*name) == nullptr;
}

// Takes the value of a flag from behind "=" or from the next token; moves `at` past what it takes.
absl::StatusOr<std::string> TakeValue(const FlagSpec& spec, const std::vector<std::string>& args,
                                      size_t& at) {
  const std::string& token = args[at];
  const size_t equals = token.find('=');
  const bool has_next = at + 1 < args.size();
  if (equals != std::string::npos) {
    const std::string value = token.substr(equals + 1);
    if (!spec.is_bool()) {
      return value;
    }
    const std::optional<bool> truth = ParseBool(value);
    if (!truth.has_value()) {
      return UsageError(
          absl::StrCat("--", spec.name, ": \"", value, "\" is neither true nor false"));
    }
    return *truth ? "true" : "false";
  }
  if (spec.is_bool()) {
    const std::string next = has_next ? absl::AsciiStrToLower(args[at + 1]) : "";
    if (next == "true" || next == "false") {
      ++at;
      return next;
    }
    return "true";
  }
  if (!has_next || !CanBeValue(args[at + 1])) {
    return UsageError(absl::StrCat("--", spec.name, " needs a value (", spec.value, ")"));
  }
  return args[++at];
}

Tokens Tokenize(const std::vector<std::string>& args) {
  Tokens tokens;
  for (size_t at = 0; at < args.size(); ++at) {
    if (args[at] == "--") {
      continue;
    }
    const std::optional<absl::string_view> name = FlagName(args[at]);
    if (!name.has_value()) {
      tokens.words.push_back(args[at]);
      continue;
    }
    const FlagSpec* spec = FindFlag(*name);
    if (spec == nullptr) {
      if (tokens.unknown_flag.empty()) {
        tokens.unknown_flag = args[at].substr(0, args[at].find('='));
        tokens.unknown_flag_leads = tokens.words.empty();
      }
      continue;
    }
    absl::StatusOr<std::string> value = TakeValue(*spec, args, at);
    if (value.ok()) {
      tokens.flags.push_back({.spec = spec, .value = *std::move(value)});
    } else {
      tokens.wrong_value.Update(value.status());
    }
  }
  return tokens;
}

std::string DidYouMean(absl::string_view nearest) {
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

absl::Status UnknownCommand(absl::string_view word) {
  // An action without its command is the commonest slip.
  for (const CommandSpec& command : AllCommands()) {
    if (!command.action.empty() && Normalize(command.action) == Normalize(word)) {
      return UsageError(
          absl::StrCat("unknown command \"", word, "\"; did you mean ", NameOf(command), "?"));
    }
  }
  return UsageError(
      absl::StrCat("unknown command \"", word, "\"", DidYouMean(Nearest(word, GroupNames()))));
}

absl::Status UnknownFlag(absl::string_view flag, FlagSet allowed) {
  const std::string nearest = Nearest(*FlagName(flag), FlagNames(allowed | kGlobalFlags));
  return UsageError(absl::StrCat("unknown flag ", flag,
                                 DidYouMean(nearest.empty() ? "" : absl::StrCat("--", nearest))));
}

absl::Status UnknownAction(absl::string_view group, const std::vector<std::string>& words) {
  const std::vector<std::string> actions = ActionNames(group);
  if (words.size() < 2) {
    return UsageError(absl::StrCat(group, " needs an action"));
  }
  // Either of two words may be the misspelt one.
  absl::string_view wrong = words[1];
  std::string nearest = Nearest(wrong, actions);
  if (nearest.empty() && words.size() > 2) {
    nearest = Nearest(words[2], actions);
    wrong = nearest.empty() && !absl::StrContains(wrong, '.') ? words[1] : words[2];
  }
  return UsageError(absl::StrCat("unknown action \"", wrong, "\" of ", group, DidYouMean(nearest)));
}

// Finds the command that the words name and takes its name out of them.
absl::StatusOr<const CommandSpec*> TakeCommand(std::vector<std::string>& words) {
  const absl::string_view group = FindGroup(words[0]);
  if (group.empty()) {
    return UnknownCommand(words[0]);
  }
  if (const CommandSpec* command = FindAction(group, ""); command != nullptr) {
    words.erase(words.begin());
    return command;
  }
  // "workflow customer list" and "workflow list customer" are the same.
  for (size_t i = 1; i < std::min<size_t>(words.size(), 3); ++i) {
    if (const CommandSpec* command = FindAction(group, words[i]); command != nullptr) {
      words.erase(words.begin() + static_cast<std::ptrdiff_t>(i));
      words.erase(words.begin());
      return command;
    }
  }
  return WithSubject(UnknownAction(group, words), group);
}

// The topic of help that the words are about, as far as they name one.
absl::StatusOr<std::string> HelpTopic(std::vector<std::string> words) {
  if (words.empty()) {
    return std::string();
  }
  const absl::string_view group = FindGroup(words[0]);
  if (group.empty()) {
    return UnknownCommand(words[0]);
  }
  const absl::StatusOr<const CommandSpec*> command = TakeCommand(words);
  if (command.ok()) {
    return NameOf(**command);
  }
  return words.size() > 1 ? absl::StatusOr<std::string>(command.status()) : std::string(group);
}

absl::StatusOr<Command> Help(std::vector<std::string> words) {
  if (!words.empty() && FindGroup(words[0]) == "help") {
    words.erase(words.begin());
  }
  Command command;
  SLUICE_ASSIGN_OR_RETURN(command.topic, HelpTopic(std::move(words)));
  return command;
}

// Usage errors come before refusals: what was not understood can't be judged.
absl::Status SetFlags(const CommandSpec& spec, const Tokens& tokens, Command& command,
                      absl::Status& refusal) {
  if (!tokens.unknown_flag.empty()) {
    return UnknownFlag(tokens.unknown_flag, spec.flags);
  }
  SLUICE_RETURN_IF_ERROR(tokens.wrong_value);
  for (const GivenFlag& given : tokens.flags) {
    if (((spec.flags | kGlobalFlags) & Bit(given.spec->flag)) == 0) {
      return UsageError(absl::StrCat(NameOf(spec), " has no flag --", given.spec->name));
    }
    const absl::Status set = given.spec->set(command, given.value);
    if (IsUsageError(set)) {
      return absl::StrContains(set.message(), given.spec->name)
                 ? set
                 : Annotate(set, absl::StrCat("--", given.spec->name));
    }
    refusal.Update(set);
  }
  for (const FlagSpec& flag : AllFlags()) {
    if ((spec.required & Bit(flag.flag)) != 0 && !tokens.Has(flag.flag)) {
      return UsageError(absl::StrCat(NameOf(spec), " needs --", flag.name, " ", flag.value));
    }
  }
  return absl::OkStatus();
}

absl::Status Same(std::string& field, const std::string& value, absl::string_view what) {
  if (!field.empty() && field != value) {
    return UsageError(absl::StrCat("two different ", what, "s: ", field, " and ", value));
  }
  field = value;
  return absl::OkStatus();
}

absl::Status SetWorkflow(const CommandSpec& spec, const std::vector<std::string>& words,
                         Command& command) {
  // "--workflow customer.move" alone names both.
  if (command.keyspace.empty() && words.empty()) {
    if (const auto name = SplitWorkflow(command.workflow); name.has_value()) {
      command.keyspace = name->keyspace;
      command.workflow = name->workflow;
    }
  }
  if (!words.empty()) {
    if (const auto name = SplitWorkflow(words[0]); name.has_value()) {
      SLUICE_RETURN_IF_ERROR(Same(command.keyspace, name->keyspace, "keyspace"));
      SLUICE_RETURN_IF_ERROR(Same(command.workflow, name->workflow, "workflow"));
    } else if (!command.keyspace.empty()) {
      SLUICE_RETURN_IF_ERROR(Same(command.workflow, words[0], "workflow"));
    } else {
      return UsageError(
          absl::StrCat("\"", words[0], "\" names no workflow; write KEYSPACE.WORKFLOW"));
    }
  }
  if (command.keyspace.empty() || command.workflow.empty()) {
    return UsageError(absl::StrCat(NameOf(spec), " needs a workflow: KEYSPACE.WORKFLOW"));
  }
  return absl::OkStatus();
}

absl::Status SetArguments(const CommandSpec& spec, const std::vector<std::string>& words,
                          Command& command) {
  const size_t most = spec.argument == Argument::kNone ? 0 : 1;
  if (words.size() > most) {
    return UsageError(absl::StrCat(NameOf(spec), ": unexpected argument \"", words[most], "\""));
  }
  switch (spec.argument) {
    case Argument::kWorkflow:
      return SetWorkflow(spec, words, command);
    case Argument::kKeyspace:
      if (!words.empty()) {
        SLUICE_RETURN_IF_ERROR(Same(command.keyspace, words[0], "keyspace"));
      }
      return command.keyspace.empty() ? UsageError(absl::StrCat(NameOf(spec), " needs a keyspace"))
                                      : absl::OkStatus();
    case Argument::kNone:
    case Argument::kTopic:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

// What no single flag can tell.
absl::Status CheckTogether(const CommandSpec& spec, const Command& command, const Tokens& tokens,
                           absl::Status& refusal) {
  const bool applies =
      command.verb == Verb::kApplyRoutingRules || command.verb == Verb::kApplyShardRoutingRules;
  if (applies && tokens.Has(Flag::kRules) == tokens.Has(Flag::kRulesFile)) {
    return UsageError(
        absl::StrCat(NameOf(spec), " needs one of --rules JSON and --rules-file FILE"));
  }
  if (command.verb == Verb::kWorkflowUpdate && command.tablet_types.empty() &&
      command.stream.cells.empty() && command.stream.tuning.empty() && !command.on_ddl_given) {
    refusal.Update(Refusal("no configuration options specified to update"));
  }
  if (command.verb == Verb::kMoveTablesCreate) {
    if (command.all_tables && !command.tables.empty()) {
      refusal.Update(Refusal("--tables and --all-tables exclude each other"));
    }
    if (!command.all_tables && command.tables.empty()) {
      refusal.Update(Refusal("which tables to move? Give --tables or --all-tables"));
    }
  }
  return absl::OkStatus();
}

absl::Status Complete(const CommandSpec& spec, const Tokens& tokens, Command& command) {
  absl::Status refusal;
  SLUICE_RETURN_IF_ERROR(SetFlags(spec, tokens, command, refusal));
  SLUICE_RETURN_IF_ERROR(SetArguments(spec, tokens.words, command));
  SLUICE_RETURN_IF_ERROR(CheckTogether(spec, command, tokens, refusal));
  return refusal;
}

}  // namespace

absl::StatusOr<Command> ParseCommandLine(const std::vector<std::string>& args) {
  Tokens tokens = Tokenize(args);
  const bool asks_help =
      tokens.Has(Flag::kHelp) || (!tokens.words.empty() && FindGroup(tokens.words[0]) == "help");
  if (asks_help) {
    return Help(std::move(tokens.words));
  }
  if (tokens.Has(Flag::kVersion)) {
    Command command;
    command.verb = Verb::kVersion;
    return command;
  }
  if (tokens.unknown_flag_leads && (tokens.words.empty() || FindGroup(tokens.words[0]).empty())) {
    return UnknownFlag(tokens.unknown_flag, 0);
  }
  if (tokens.words.empty()) {
    SLUICE_RETURN_IF_ERROR(tokens.wrong_value);
    return UsageError("which command?");
  }
  SLUICE_ASSIGN_OR_RETURN(const CommandSpec* spec, TakeCommand(tokens.words));
  Command command;
  command.verb = spec->verb;
  if (const absl::Status status = Complete(*spec, tokens, command); !status.ok()) {
    return WithSubject(status, NameOf(*spec));
  }
  return command;
}

}  // namespace sluice::cli
