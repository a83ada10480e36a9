// Help texts.

#include "coordinator/cli/help.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/command_table.h"
#include "coordinator/cli/text_table.h"

namespace sluice::cli {
namespace {

constexpr absl::string_view kOpening =
    "sluice asks a Sluice coordinator to move tables between keyspaces.\n\n";

constexpr absl::string_view kUsage =
    "Usage: sluice [--coordinator URL] [--format text|json] COMMAND [flags]\n\n";

constexpr absl::string_view kClosing = R"(
Names match without regard to case, '-' and '_'. A workflow is named KEYSPACE.WORKFLOW after the
keyspace that it moves tables to, or by --workflow with --target-keyspace (or --keyspace).
"sluice help COMMAND" tells more. Exit code: 0 done, 1 refused or failed, 2 usage.
)";

absl::string_view ArgumentText(Argument argument) {
  switch (argument) {
    case Argument::kNone:
      return "";
    case Argument::kWorkflow:
      return " KEYSPACE.WORKFLOW";
    case Argument::kKeyspace:
      return " KEYSPACE";
    case Argument::kTopic:
      return " [COMMAND]";
  }
  return "";
}

std::vector<const CommandSpec*> CommandsOf(absl::string_view topic) {
  std::vector<const CommandSpec*> commands;
  for (const CommandSpec& command : AllCommands()) {
    if (topic.empty() || topic == command.group || topic == NameOf(command)) {
      commands.push_back(&command);
    }
  }
  return commands;
}

std::string UsageLine(const CommandSpec& command) {
  std::string line = absl::StrCat("sluice ", NameOf(command), ArgumentText(command.argument));
  for (const FlagSpec& flag : AllFlags()) {
    if ((command.required & Bit(flag.flag)) != 0) {
      absl::StrAppend(&line, " --", flag.name, " ", flag.value);
    }
  }
  return command.flags == 0 ? line : line + " [flags]";
}

std::string FlagText(const FlagSpec& flag) {
  std::string text =
      flag.letter == 0 ? std::string("    ") : absl::StrCat("-", std::string(1, flag.letter), ", ");
  absl::StrAppend(&text, "--", flag.name);
  for (const absl::string_view alias : absl::StrSplit(flag.aliases, ' ', absl::SkipEmpty())) {
    absl::StrAppend(&text, ", --", alias);
  }
  if (!flag.is_bool()) {
    absl::StrAppend(&text, " ", flag.value);
  } else if (flag.fallback == "true") {
    absl::StrAppend(&text, "=false");
  }
  return text;
}

std::string FlagList(FlagSet set) {
  TextTable table({"", ""});
  for (const FlagSpec& flag : AllFlags()) {
    if ((set & Bit(flag.flag)) != 0) {
      table.Add({absl::StrCat("  ", FlagText(flag)),
                 flag.fallback.empty()
                     ? std::string(flag.help)
                     : absl::StrCat(flag.help, " (default ", flag.fallback, ")")});
    }
  }
  return table.ToText();
}

std::string CommandList(const std::vector<const CommandSpec*>& commands) {
  TextTable table({"", ""});
  for (const CommandSpec* command : commands) {
    table.Add({absl::StrCat("  ", NameOf(*command)), std::string(command->summary)});
  }
  return table.ToText();
}

}  // namespace

std::string UsageText(absl::string_view topic) {
  if (topic.empty()) {
    return absl::StrCat(kUsage, "Commands:\n", CommandList(CommandsOf(topic)));
  }
  std::string text;
  for (const CommandSpec* command : CommandsOf(topic)) {
    absl::StrAppend(&text, text.empty() ? "Usage: " : "       ", UsageLine(*command), "\n");
  }
  return text;
}

std::string HelpText(absl::string_view topic) {
  const std::vector<const CommandSpec*> commands = CommandsOf(topic);
  if (topic.empty() || commands.empty()) {
    return absl::StrCat(kOpening, UsageText(""), "\nFlags of every command:\n",
                        FlagList(kGlobalFlags), kClosing);
  }
  FlagSet flags = 0;
  for (const CommandSpec* command : commands) {
    flags |= command->flags;
  }
  std::string text = commands.size() == 1
                         ? absl::StrCat(NameOf(*commands[0]), ": ", commands[0]->summary, "\n\n")
                         : std::string();
  absl::StrAppend(&text, UsageText(topic));
  if (commands.size() == 1 && !commands[0]->action_aliases.empty()) {
    absl::StrAppend(&text, "Also:  sluice ", commands[0]->group, " ", commands[0]->action_aliases,
                    "\n");
  }
  if (commands.size() > 1) {
    absl::StrAppend(&text, "\nActions:\n", CommandList(commands));
  }
  if (flags != 0) {
    absl::StrAppend(&text, "\nFlags:\n", FlagList(flags));
  }
  absl::StrAppend(&text, "\nFlags of every command:\n", FlagList(kGlobalFlags));
  return text;
}

}  // namespace sluice::cli
