// Help texts and the table that they are made from.

#include "coordinator/cli/help.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/command_table.h"

namespace sluice::cli {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

TEST(HelpTest, EachCommandShowsItsFlagsAndNoOther) {
  for (const CommandSpec& command : AllCommands()) {
    const std::string help = HelpText(NameOf(command));
    EXPECT_THAT(help, HasSubstr(absl::StrCat("Usage: sluice ", NameOf(command))));
    for (const FlagSpec& flag : AllFlags()) {
      const bool has = ((command.flags | kGlobalFlags) & Bit(flag.flag)) != 0;
      const std::vector<std::string> words =
          absl::StrSplit(help, absl::ByAnyChar(" ,=\n"), absl::SkipEmpty());
      const bool shown =
          std::find(words.begin(), words.end(), absl::StrCat("--", flag.name)) != words.end();
      // The time-out of a switch is named in another flag's default.
      if (flag.flag != Flag::kTimeout) {
        EXPECT_EQ(shown, has) << NameOf(command) << " --" << flag.name;
      }
    }
  }
}

TEST(HelpTest, TheWholeHelpNamesEveryCommand) {
  const std::string help = HelpText("");
  for (const CommandSpec& command : AllCommands()) {
    EXPECT_THAT(help, HasSubstr(absl::StrCat("  ", NameOf(command), " ")));
  }
  EXPECT_THAT(help, HasSubstr("Exit code: 0 done, 1 refused or failed, 2 usage."));
}

TEST(HelpTest, AGroupShowsItsActions) {
  EXPECT_THAT(HelpText("workflow"),
              AllOf(HasSubstr("workflow delete"), Not(HasSubstr("movetables"))));
}

TEST(HelpTest, UsageNamesRequiredFlags) {
  EXPECT_EQ(UsageText("movetables create"),
            "Usage: sluice movetables create KEYSPACE.WORKFLOW --source-keyspace KEYSPACE "
            "[flags]\n");
  EXPECT_EQ(UsageText("gettablets"), "Usage: sluice gettablets\n");
}

TEST(CommandTableTest, NoTwoFlagsShareASpelling) {
  for (const FlagSpec& flag : AllFlags()) {
    EXPECT_EQ(FindFlag(flag.name), &flag) << flag.name;
    for (const absl::string_view alias : absl::StrSplit(flag.aliases, ' ', absl::SkipEmpty())) {
      EXPECT_EQ(FindFlag(alias), &flag) << alias;
    }
    if (flag.letter != 0) {
      EXPECT_EQ(FindFlag(std::string(1, flag.letter)), &flag) << flag.letter;
    }
  }
}

}  // namespace
}  // namespace sluice::cli
