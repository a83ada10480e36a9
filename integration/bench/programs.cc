// Programs: looking them up, running them, and reading /proc.

#include "integration/bench/programs.h"

#include <unistd.h>

#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "integration/cluster/mysqld.h"
#include "integration/cluster/process.h"

namespace sluice::bench {
namespace {

namespace fs = std::filesystem;

// A line "<field>:   123 kB" of /proc/<pid>/status, in MiB.
absl::StatusOr<double> StatusMib(pid_t pid, absl::string_view field) {
  std::ifstream status(absl::StrCat("/proc/", pid, "/status"));
  std::string line;
  while (std::getline(status, line)) {
    if (absl::StartsWith(line, absl::StrCat(field, ":"))) {
      const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
      double kib = 0;
      if (words.size() >= 2 && absl::SimpleAtod(words[words.size() - 2], &kib)) {
        return kib / 1024;
      }
    }
  }
  return absl::NotFoundError(absl::StrCat("process ", pid, " tells no ", field));
}

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(const std::string mysqld, cluster::FindMysqld());
  std::vector<std::string> folders = {fs::path(mysqld).parent_path().string()};
  if (const char* path = std::getenv("PATH"); path != nullptr && !absl::StartsWith(name, "mysql")) {
    const std::vector<std::string> listed = absl::StrSplit(path, ':', absl::SkipEmpty());
    folders.insert(folders.end(), listed.begin(), listed.end());
  }
  for (const std::string& folder : folders) {
    std::string program = absl::StrCat(folder, "/", name);
    if (access(program.c_str(), X_OK) == 0) {
      return program;
    }
  }
  return absl::NotFoundError(
      absl::StrCat("no program ", name, ": run deploy/bootstrap --benchmarks"));
}

absl::StatusOr<std::string> RunScript(const std::string& script, absl::Duration timeout) {
  SLUICE_ASSIGN_OR_RETURN(
      cluster::CommandResult result,
      cluster::RunCommand({"/bin/bash", "-o", "pipefail", "-ec", script}, {}, timeout));
  if (result.exit_code != 0) {
    const size_t kept = std::min<size_t>(result.errors.size(), 2000);
    return absl::InternalError(absl::StrCat("exit code ", result.exit_code, " of ",
                                            script.substr(0, 200), ": ",
                                            result.errors.substr(result.errors.size() - kept)));
  }
  return std::move(result.output);
}

absl::StatusOr<double> ProcessorSeconds(pid_t pid) {
  clockid_t clock{};
  timespec used{};
  if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0) {
    return absl::NotFoundError(absl::StrCat("no process ", pid));
  }
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) / 1e9;
}

absl::StatusOr<double> ResidentMib(pid_t pid) {
  return StatusMib(pid, "VmRSS");
}

absl::StatusOr<double> PeakMib(pid_t pid) {
  return StatusMib(pid, "VmHWM");
}

absl::Status ResetPeak(pid_t pid) {
  std::ofstream file(absl::StrCat("/proc/", pid, "/clear_refs"));
  file << "5";  // proc(5): the peak of the resident set becomes what it is now
  file.close();
  if (!file) {
    return absl::InternalError(absl::StrCat("can't reset the peak memory of process ", pid));
  }
  return absl::OkStatus();
}

std::string ShellQuote(const std::string& text) {
  return absl::StrCat("'", absl::StrReplaceAll(text, {{"'", "'\\''"}}), "'");
}

}  // namespace sluice::bench
