// Holds docs/commands.md to the table of commands, both ways.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <regex>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "coordinator/cli/command_line.h"
#include "coordinator/cli/command_table.h"

namespace sluice::cli {
namespace {

using testing::HasSubstr;

class DocsTest : public testing::Test {
 protected:
  void SetUp() override {
    std::ifstream file("docs/commands.md");
    ASSERT_TRUE(file.good()) << "run this test in the repository's root";
    std::stringstream text;
    text << file.rdbuf();
    text_ = text.str();
    std::string heading;
    for (const absl::string_view line : absl::StrSplit(text_, '\n')) {
      if (absl::StartsWith(line, "#")) {
        heading = std::string(absl::StripLeadingAsciiWhitespace(line.substr(line.find(' '))));
      }
      absl::StrAppend(&sections_[heading], line, "\n");
    }
  }

  // The lines of the shell examples that call sluice, continued lines joined.
  [[nodiscard]] std::vector<std::string> Examples() const {
    std::vector<std::string> examples;
    bool inside = false;
    std::string line;
    for (const absl::string_view part : absl::StrSplit(text_, '\n')) {
      if (absl::StartsWith(part, "```")) {
        inside = part == "```sh";
        continue;
      }
      absl::StrAppend(&line, absl::StripSuffix(part, "\\"));
      if (absl::EndsWith(part, "\\")) {
        continue;
      }
      if (inside && absl::StartsWith(line, "sluice ")) {
        examples.push_back(line);
      }
      line.clear();
    }
    return examples;
  }

  std::string text_;
  std::map<std::string, std::string> sections_;
};

// As a shell splits, with quotes and comments and nothing else.
std::vector<std::string> ShellWords(const std::string& line) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  bool open = false;
  for (const char c : line) {
    if (quote == 0 && !open && c == '#') {
      break;
    }
    if (c == quote) {
      quote = 0;
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
      open = true;
    } else if (quote == 0 && c == ' ') {
      if (open) {
        words.push_back(std::exchange(word, ""));
      }
      open = false;
    } else {
      word.push_back(c);
      open = true;
    }
  }
  if (open) {
    words.push_back(word);
  }
  return words;
}

TEST_F(DocsTest, EveryCommandHasASectionWithItsFlagsAndDefaults) {
  for (const CommandSpec& command : AllCommands()) {
    const auto section = sections_.find(NameOf(command));
    ASSERT_NE(section, sections_.end()) << "no section \"" << NameOf(command) << "\"";
    EXPECT_THAT(section->second, HasSubstr(absl::StrCat("sluice ", NameOf(command))));
    for (const absl::string_view alias :
         absl::StrSplit(command.action_aliases, ' ', absl::SkipEmpty())) {
      EXPECT_THAT(section->second, HasSubstr(absl::StrCat("`", alias, "`")));
    }
    for (const FlagSpec& flag : AllFlags()) {
      if ((command.flags & Bit(flag.flag)) == 0 || flag.flag == Flag::kWorkflow ||
          flag.flag == Flag::kKeyspace || flag.flag == Flag::kTargetKeyspace) {
        continue;  // the flags that name a workflow are described once, for all
      }
      EXPECT_THAT(section->second, HasSubstr(absl::StrCat("`--", flag.name))) << NameOf(command);
      if (!flag.fallback.empty()) {
        EXPECT_THAT(section->second, testing::ContainsRegex(absl::StrCat(
                                         "`--", flag.name, "[^\n]*\\| ", flag.fallback, " *\\|")))
            << NameOf(command);
      }
    }
  }
}

TEST_F(DocsTest, EverySpellingOfAFlagIsTold) {
  for (const FlagSpec& flag : AllFlags()) {
    EXPECT_THAT(text_, HasSubstr(absl::StrCat("--", flag.name)));
    for (const absl::string_view alias : absl::StrSplit(flag.aliases, ' ', absl::SkipEmpty())) {
      EXPECT_THAT(text_, HasSubstr(absl::StrCat("`--", alias, "`")));
    }
    if (flag.letter != 0) {
      EXPECT_THAT(text_, HasSubstr(absl::StrCat("`-", std::string(1, flag.letter), "`")));
    }
  }
}

TEST_F(DocsTest, NamesNoFlagThatDoesNotExist) {
  const std::regex flag("--([a-z][a-z_-]+)");
  for (std::sregex_iterator it(text_.begin(), text_.end(), flag), end; it != end; ++it) {
    EXPECT_NE(FindFlag((*it)[1].str()), nullptr) << (*it)[0];
  }
}

TEST_F(DocsTest, EveryExampleParses) {
  const std::vector<std::string> examples = Examples();
  EXPECT_GT(examples.size(), 20U);
  for (const std::string& example : examples) {
    std::vector<std::string> words = ShellWords(example);
    words.erase(words.begin());
    const absl::StatusOr<Command> command = ParseCommandLine(words);
    EXPECT_TRUE(command.ok()) << example << ": " << command.status();
  }
}

}  // namespace
}  // namespace sluice::cli
