// LoadOptionFile: the client part of MySQL's option file format.

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/base/status_macros.h"
#include "common/mysql/connection.h"

namespace sluice::mysql {
namespace {

constexpr int kIncludeDepthMax = 10;
constexpr size_t kFileBytesMax = size_t{1} << 20U;

class Loader {
 public:
  explicit Loader(std::vector<std::string> groups) : groups_(std::move(groups)) {}

  absl::Status Load(const std::string& path, int depth);
  [[nodiscard]] const ConnectionOptions& options() const { return options_; }

 private:
  absl::Status Line(absl::string_view line, const std::string& path, int depth, bool* wanted);
  absl::Status Assign(absl::string_view name, const std::string& value);

  std::vector<std::string> groups_;
  ConnectionOptions options_;
};

absl::Status CheckFile(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::NotFoundError(absl::StrCat("option file ", path, ": ", strerror(errno)));
  }
  if (!S_ISREG(info.st_mode) || static_cast<size_t>(info.st_size) > kFileBytesMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("option file ", path, ": not a regular file of at most 1 MiB"));
  }
  if ((info.st_mode & S_IWOTH) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("option file ", path, ": anyone may write to it; run chmod o-w on it"));
  }
  return absl::OkStatus();
}

// Quotes taken off, escapes replaced; in an unquoted value a comment that begins with " #" is cut.
std::string ParseValue(absl::string_view text) {
  text = absl::StripAsciiWhitespace(text);
  if (text.size() >= 2 && (text[0] == '\'' || text[0] == '"')) {
    const size_t end = text.find(text[0], 1);
    if (end != absl::string_view::npos) {
      text = text.substr(1, end - 1);
    }
  } else {
    text = absl::StripAsciiWhitespace(text.substr(0, text.find(" #")));
  }
  std::string value;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\' || i + 1 == text.size()) {
      value.push_back(text[i]);
      continue;
    }
    ++i;
    switch (text[i]) {
      case 'b':
        value.push_back('\b');
        break;
      case 't':
        value.push_back('\t');
        break;
      case 'n':
        value.push_back('\n');
        break;
      case 'r':
        value.push_back('\r');
        break;
      case 's':
        value.push_back(' ');
        break;
      case '\\':
      case '\'':
      case '"':
        value.push_back(text[i]);
        break;
      default:
        value.push_back('\\');
        value.push_back(text[i]);
    }
  }
  return value;
}

absl::Status Loader::Assign(absl::string_view name, const std::string& value) {
  const std::string option = absl::StrReplaceAll(name, {{"_", "-"}});
  if (option == "user") {
    options_.user = value;
  } else if (option == "password") {
    options_.password = value;
  } else if (option == "host") {
    options_.host = value;
  } else if (option == "socket") {
    options_.socket = value;
  } else if (option == "database") {
    options_.database = value;
  } else if (option == "port") {
    uint32_t port = 0;
    if (!absl::SimpleAtoi(value, &port) || port == 0 || port > 65535) {
      return absl::InvalidArgumentError(absl::StrCat("'", value, "' is not a port"));
    }
    options_.port = static_cast<uint16_t>(port);
  }
  return absl::OkStatus();
}

absl::Status Loader::Line(absl::string_view line, const std::string& path, int depth,
                          bool* wanted) {
  if (line.empty() || line[0] == '#' || line[0] == ';') {
    return absl::OkStatus();
  }
  if (absl::StartsWith(line, "!include ")) {
    std::string included(absl::StripAsciiWhitespace(line.substr(strlen("!include "))));
    if (included.empty() || depth >= kIncludeDepthMax) {
      return absl::InvalidArgumentError("includes are nested too deeply or name no file");
    }
    if (included[0] != '/') {
      included = path.substr(0, path.rfind('/') + 1) + included;
    }
    return Load(included, depth + 1);
  }
  if (line[0] == '!') {
    return absl::InvalidArgumentError(
        absl::StrCat("directive '", line, "' is not supported; name the file with !include"));
  }
  if (line[0] == '[') {
    const size_t end = line.find(']');
    if (end == absl::string_view::npos) {
      return absl::InvalidArgumentError("group without ']'");
    }
    const std::string group(absl::StripAsciiWhitespace(line.substr(1, end - 1)));
    *wanted = std::find(groups_.begin(), groups_.end(), group) != groups_.end();
    return absl::OkStatus();
  }
  if (!*wanted) {
    return absl::OkStatus();
  }
  const size_t equals = line.find('=');
  if (equals == absl::string_view::npos) {
    return absl::OkStatus();  // a flag; none of them concerns a connection of ours
  }
  return Assign(absl::StripAsciiWhitespace(line.substr(0, equals)),
                ParseValue(line.substr(equals + 1)));
}

absl::Status Loader::Load(const std::string& path, int depth) {
  SLUICE_RETURN_IF_ERROR(CheckFile(path));
  std::ifstream file(path);
  if (!file) {
    return absl::NotFoundError(absl::StrCat("option file ", path, ": ", strerror(errno)));
  }
  bool wanted = false;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const absl::Status status = Line(absl::StripAsciiWhitespace(line), path, depth, &wanted);
    if (!status.ok()) {
      return absl::Status(status.code(), absl::StrCat(path, ":", number, ": ", status.message()));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ConnectionOptions> LoadOptionFile(const std::string& path,
                                                 const std::vector<std::string>& groups) {
  std::vector<std::string> wanted = {"client"};
  wanted.insert(wanted.end(), groups.begin(), groups.end());
  Loader loader(std::move(wanted));
  SLUICE_RETURN_IF_ERROR(loader.Load(path, 0));
  return loader.options();
}

}  // namespace sluice::mysql
