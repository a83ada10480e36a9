// Script: cutting the text, its variables, its delimiters and its included files.

#include "tests/fidelity/mysql_suite/script.h"

#include <algorithm>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace sluice::testing {
namespace {

constexpr int kIncludesMax = 8;
constexpr size_t kStatementsMax = 20000;

bool IsWord(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '_';
}

std::string FirstWord(absl::string_view text) {
  size_t size = 0;
  while (size < text.size() && IsWord(text[size])) {
    ++size;
  }
  return absl::AsciiStrToLower(text.substr(0, size));
}

// Commands of mysqltest that an SQL statement does not begin with.
bool IsCommand(const std::string& word) {
  static const std::set<std::string>& words = *new std::set<std::string>({"append_file",
                                                                          "assert",
                                                                          "cat_file",
                                                                          "change_user",
                                                                          "character_set",
                                                                          "chmod",
                                                                          "connect",
                                                                          "connection",
                                                                          "copy_file",
                                                                          "dec",
                                                                          "delimiter",
                                                                          "die",
                                                                          "diff_files",
                                                                          "dirty_close",
                                                                          "disconnect",
                                                                          "echo",
                                                                          "end_timer",
                                                                          "error",
                                                                          "eval",
                                                                          "exec",
                                                                          "exec_in_background",
                                                                          "exit",
                                                                          "expr",
                                                                          "file_exists",
                                                                          "horizontal_results",
                                                                          "if",
                                                                          "inc",
                                                                          "let",
                                                                          "list_files",
                                                                          "lowercase_result",
                                                                          "mkdir",
                                                                          "move_file",
                                                                          "output",
                                                                          "perl",
                                                                          "ping",
                                                                          "query",
                                                                          "query_attributes",
                                                                          "query_vertical",
                                                                          "real_sleep",
                                                                          "reap",
                                                                          "remove_file",
                                                                          "remove_files_wildcard",
                                                                          "replace_column",
                                                                          "replace_numeric_round",
                                                                          "replace_regex",
                                                                          "replace_result",
                                                                          "require",
                                                                          "reset_connection",
                                                                          "result_format",
                                                                          "rmdir",
                                                                          "save_master_pos",
                                                                          "send",
                                                                          "send_eval",
                                                                          "shutdown_server",
                                                                          "skip",
                                                                          "skip_if_hypergraph",
                                                                          "sleep",
                                                                          "sorted_result",
                                                                          "source",
                                                                          "start_timer",
                                                                          "sync_slave_with_master",
                                                                          "sync_with_master",
                                                                          "system",
                                                                          "vertical_results",
                                                                          "wait_for_slave_to_stop",
                                                                          "while",
                                                                          "write_file"});
  return words.count(word) != 0 || absl::StartsWith(word, "disable_") ||
         absl::StartsWith(word, "enable_") || absl::StartsWith(word, "partially_");
}

class Reader {
 public:
  explicit Reader(std::string root) : root_(std::move(root)) {}

  absl::Status Read(const std::string& path, int depth) {
    std::ifstream file(path, std::ios::binary);
    if (!file) {
      return absl::NotFoundError(absl::StrCat("cannot read ", path));
    }
    std::stringstream text;
    text << file.rdbuf();
    Cut(text.str(), depth);
    return absl::OkStatus();
  }

  std::vector<std::string> Take() { return std::move(statements_); }

 private:
  // Cuts a whole file; its delimiter is its own.
  void Cut(const std::string& text, int depth) {
    const std::string outer = std::exchange(delimiter_, ";");
    size_t at = 0;
    while (at < text.size() && statements_.size() < kStatementsMax) {
      at = text.find_first_not_of(" \t\r\n}{", at);
      if (at == std::string::npos) {
        break;
      }
      const size_t line_end = std::min(text.find('\n', at), text.size());
      const absl::string_view rest = absl::string_view(text).substr(at);
      if (rest[0] == '#') {
        at = line_end;
      } else if (absl::StartsWith(rest, "--")) {
        const std::string command(absl::StripAsciiWhitespace(rest.substr(2, line_end - at - 2)));
        at = Command(command, text, line_end, depth);
      } else {
        at = Statement(text, at, depth);
      }
    }
    delimiter_ = outer;
  }

  // Returns where to go on.
  size_t Statement(const std::string& text, size_t at, int depth) {
    const std::string word = FirstWord(absl::string_view(text).substr(at));
    if (word == "if" || word == "while") {
      const size_t body = text.find('{', at);
      return body == std::string::npos ? text.size() : body + 1;
    }
    const size_t end = EndOf(text, at);
    const std::string statement(
        absl::StripAsciiWhitespace(absl::string_view(text).substr(at, end - at)));
    const size_t behind = std::min(end + delimiter_.size(), text.size());
    if (IsCommand(word)) {
      return Command(statement, text, behind, depth);
    }
    Add(statement);
    return behind;
  }

  // The position of the delimiter, quotes and comments passed over.
  [[nodiscard]] size_t EndOf(const std::string& text, size_t at) const {
    char quote = 0;
    for (size_t i = at; i < text.size(); ++i) {
      const char c = text[i];
      if (quote != 0) {
        if (c == '\\' && quote != '`') {
          ++i;
        } else if (c == quote) {
          quote = 0;
        }
        continue;
      }
      if (text.compare(i, delimiter_.size(), delimiter_) == 0) {
        return i;
      }
      if (c == '\'' || c == '"' || c == '`') {
        quote = c;
      }
    }
    return text.size();
  }

  // A command without its leading dashes. Returns where the text goes on.
  size_t Command(const std::string& command, const std::string& text, size_t behind, int depth) {
    const std::string word = FirstWord(command);
    const std::string argument(absl::StripAsciiWhitespace(command.substr(word.size())));
    if (word == "delimiter" && !argument.empty()) {
      delimiter_ = argument;
    } else if (word == "let") {
      Let(argument);
    } else if (word == "eval") {
      Add(argument);
    } else if (word == "source" && depth < kIncludesMax) {
      // Loops and waits of the includes are of no use here, their tables are.
      Read(absl::StrCat(root_, "/", Substituted(argument)), depth + 1).IgnoreError();
    } else if (word == "perl" || word == "write_file" || word == "append_file") {
      const size_t end = text.find("\nEOF", behind);
      return end == std::string::npos ? text.size() : end + 4;
    }
    return behind;
  }

  void Let(const std::string& argument) {
    const size_t equals = argument.find('=');
    if (equals == std::string::npos || argument[0] != '$') {
      return;
    }
    const std::string name(
        absl::StripAsciiWhitespace(absl::string_view(argument).substr(0, equals)));
    variables_[name] =
        std::string(absl::StripAsciiWhitespace(absl::string_view(argument).substr(equals + 1)));
  }

  // Longer names first, because one may begin with another.
  [[nodiscard]] std::string Substituted(std::string text) const {
    for (auto variable = variables_.rbegin(); variable != variables_.rend(); ++variable) {
      text = absl::StrReplaceAll(text, {{variable->first, variable->second}});
    }
    return text;
  }

  void Add(const std::string& statement) {
    if (!statement.empty()) {
      statements_.push_back(absl::StrContains(statement, "$") ? Substituted(statement) : statement);
    }
  }

  const std::string root_;
  std::string delimiter_ = ";";
  std::map<std::string, std::string> variables_;
  std::vector<std::string> statements_;
};

}  // namespace

absl::StatusOr<std::vector<std::string>> ReadScript(const std::string& root,
                                                    const std::string& script) {
  Reader reader(root);
  const absl::Status read = reader.Read(absl::StrCat(root, "/", script), 0);
  if (!read.ok()) {
    return read;
  }
  return reader.Take();
}

}  // namespace sluice::testing
