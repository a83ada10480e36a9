// Operator: commands and the JSON of their answers.

#include "integration/killloop/operator.h"

#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status_macros.h"

namespace sluice::killloop {
namespace {

constexpr absl::Duration kLook = absl::Milliseconds(50);

nlohmann::json Parse(const std::string& text) {
  return nlohmann::json::parse(text, nullptr, false);
}

}  // namespace

std::string Move::ReverseName() const {
  return absl::StrCat(source, ".", name.substr(name.find('.') + 1), "_reverse");
}

void Operator::Try(const std::vector<std::string>& arguments) const {
  cluster_.Sluice(arguments).status().IgnoreError();
}

absl::Status Operator::Insist(const std::vector<std::string>& arguments,
                              absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  std::string last;
  do {
    const auto result = cluster_.Sluice(arguments);
    if (result.ok() && result->exit_code == 0) {
      return absl::OkStatus();
    }
    last = result.ok() ? result->errors : result.status().ToString();
    absl::SleepFor(kLook);  // Delay: between two tries
  } while (absl::Now() < deadline);
  return absl::DeadlineExceededError(absl::StrCat(absl::StrJoin(arguments, " "), ": ", last));
}

absl::StatusOr<Standing> Operator::Look(const std::string& workflow) const {
  SLUICE_ASSIGN_OR_RETURN(const cluster::CommandResult answer,
                          cluster_.Sluice({"--format", "json", "movetables", "status", workflow}));
  Standing standing;
  const auto document = Parse(answer.output);
  if (answer.exit_code != 0 || !document.is_object()) {
    if (absl::StrContains(answer.errors, "does not exist")) {
      return standing;
    }
    return absl::UnavailableError(answer.errors);
  }
  standing.phase = document.value("phase", "");
  standing.traffic_state = document.value("traffic_state", "");
  size_t streams = 0;
  size_t running = 0;
  for (const auto& [shard, list] : document["shard_streams"].items()) {
    for (const auto& stream : list["streams"]) {
      ++streams;
      running += stream.value("status", "") == "Running" ? 1U : 0U;
    }
  }
  standing.running = streams > 0 && running == streams;
  return standing;
}

absl::Status Operator::AwaitRunning(const std::string& workflow, absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  absl::StatusOr<Standing> last;
  do {
    last = Look(workflow);
    if (last.ok() && last->running) {
      return absl::OkStatus();
    }
    absl::SleepFor(kLook);  // Delay: between two looks
  } while (absl::Now() < deadline);
  return absl::DeadlineExceededError(absl::StrCat(
      workflow, " does not run: ", last.ok() ? last->phase : last.status().ToString()));
}

absl::StatusOr<std::string> Operator::AwaitCutoverOver(const std::string& workflow,
                                                       absl::Duration timeout) const {
  const absl::Time deadline = absl::Now() + timeout;
  std::string last;
  do {
    SLUICE_ASSIGN_OR_RETURN(const cluster::CommandResult shown,
                            cluster_.Sluice({"--format", "json", "cutover", "show", workflow}));
    const auto document = Parse(shown.output);
    if (shown.exit_code == 0 && document.is_object()) {
      if (document["attempts"].empty()) {
        return std::string();
      }
      const auto& newest = document["attempts"][0];
      last = newest.value("result", "");
      if (newest.value("finished_us", int64_t{0}) != 0) {
        return last;
      }
    } else {
      last = shown.errors;
    }
    absl::SleepFor(kLook);  // Delay: between two looks
  } while (absl::Now() < deadline);
  return absl::DeadlineExceededError(
      absl::StrCat("the cutover of ", workflow, " does not end by itself: ", last));
}

}  // namespace sluice::killloop
