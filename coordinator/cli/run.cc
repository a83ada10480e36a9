// From the command line to the exit code.

#include "coordinator/cli/run.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <ostream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "coordinator/cli/call.h"
#include "coordinator/cli/command_line.h"
#include "coordinator/cli/failure.h"
#include "coordinator/cli/help.h"
#include "coordinator/cli/render.h"
#include "coordinator/cli/text_table.h"
#include "coordinator/cli/watch.h"

namespace sluice::cli {
namespace {

constexpr size_t kRulesBytesMax = 16U << 20U;

absl::StatusOr<std::string> ReadRulesFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  std::string block(64U << 10U, '\0');
  while (file.good() && text.size() <= kRulesBytesMax) {
    file.read(block.data(), static_cast<std::streamsize>(block.size()));
    text.append(block, 0, static_cast<size_t>(file.gcount()));
  }
  if (text.size() > kRulesBytesMax) {
    return absl::InvalidArgumentError(absl::StrCat("rules file ", path, " is larger than 16 MiB"));
  }
  // A folder opens like a file and fails at the first byte.
  if (!file.eof()) {
    return absl::NotFoundError(
        absl::StrCat("can't read rules file ", path, ": ", std::strerror(errno)));
  }
  return text;
}

// Empty when none is named.
std::string CoordinatorUrl(const Command& command, const Environment& environment) {
  const std::string url =
      command.coordinator.empty() ? environment.coordinator : command.coordinator;
  return url.empty() || absl::StrContains(url, "://") ? url : absl::StrCat("tcp://", url);
}

bool AsksCoordinator(const Command& command) {
  return command.verb != Verb::kHelp && command.verb != Verb::kVersion;
}

// False: the answer was printed, and it is not what the operator hopes for.
absl::StatusOr<bool> Execute(Command command, const Environment& environment) {
  if (command.verb == Verb::kHelp) {
    environment.out << HelpText(command.topic);
    return true;
  }
  if (command.verb == Verb::kVersion) {
    environment.out << "sluice " << Version() << "\n";
    return true;
  }
  const std::string url = CoordinatorUrl(command, environment);
  if (!command.rules_file.empty()) {
    SLUICE_ASSIGN_OR_RETURN(command.rules, ReadRulesFile(command.rules_file));
  }
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<rpc::Client> client, rpc::Client::Dial(url, "cli"));
  if (command.verb == Verb::kWorkflowStatus && command.watch) {
    SLUICE_RETURN_IF_ERROR(Watch(*client, command, environment));
    return true;
  }
  SLUICE_ASSIGN_OR_RETURN(const std::string answer, Call(*client, command));
  SLUICE_ASSIGN_OR_RETURN(const std::string text, Render(command, answer));
  environment.out << text;
  return IsGood(command, answer);
}

int ReportUsage(const absl::Status& status, const Environment& environment) {
  const std::string topic = SubjectOf(status);
  environment.err << "sluice: " << Printable(status.message()) << "\n\n"
                  << UsageText(topic) << "\n\"sluice help" << (topic.empty() ? "" : " ") << topic
                  << "\" tells more.\n";
  return kExitUsage;
}

int ReportFailure(const absl::Status& status, const Environment& environment) {
  environment.err << "sluice: " << Printable(status.message(), true) << "\n";
  return kExitFailed;
}

}  // namespace

int Run(const std::vector<std::string>& args, const Environment& environment) {
  absl::StatusOr<Command> command = ParseCommandLine(args);
  if (!command.ok()) {
    return IsUsageError(command.status()) ? ReportUsage(command.status(), environment)
                                          : ReportFailure(command.status(), environment);
  }
  if (AsksCoordinator(*command) && CoordinatorUrl(*command, environment).empty()) {
    return ReportUsage(
        UsageError("which coordinator? Give --coordinator URL or set SLUICE_COORDINATOR"),
        environment);
  }
  const absl::StatusOr<bool> good = Execute(*std::move(command), environment);
  if (!good.ok()) {
    return ReportFailure(good.status(), environment);
  }
  environment.out.flush();
  if (!environment.out.good()) {
    return ReportFailure(absl::DataLossError("the answer could not be written"), environment);
  }
  return *good ? kExitDone : kExitFailed;
}

}  // namespace sluice::cli
