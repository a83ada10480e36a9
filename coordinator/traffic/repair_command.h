// RepairCommand: one "workflow repair": looks, decides, acts, and looks again.

#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "coordinator/cutover/runner.h"
#include "coordinator/traffic/dependencies.h"
#include "coordinator/traffic/finish_command.h"
#include "coordinator/traffic/repair_plan.h"

namespace sluice::traffic {

// What was done, or left out.
struct RepairReport {
  struct Line {
    std::string what;
    bool irreversible = false;
    std::string result;  // "done", "left out", or why it failed
  };
  std::string workflow;
  std::vector<Line> lines;
  std::string refusal;
  std::vector<std::string> remains;
  bool left_out = false;  // something that can't be taken back
  bool failed = false;
  bool gone = false;  // the workflow has ended
};

// Used once, by one thread.
class RepairCommand {
 public:
  // `yes`: also what can't be taken back.
  RepairCommand(const Dependencies& parts, cutover::Runner& runner, FinishCommand::Adopt adopt,
                bool yes)
      : parts_(parts), runner_(runner), adopt_(std::move(adopt)), yes_(yes) {}

  // A document (diagnosis_json.h) also where it is refused; an error when another command runs.
  absl::StatusOr<std::string> Run(const admin::WorkflowRef& workflow, absl::Time deadline);

 private:
  // False when there is nothing more to look for.
  absl::StatusOr<bool> Round(absl::Time deadline);
  absl::Status Do(const Observation& seen, const Repair& repair, absl::Time deadline);
  absl::Status ResumeCommand(const Observation& seen, absl::Time deadline);
  absl::Status ForgetCommand();
  absl::Status SetGate(const Observation& seen, const Repair& repair, absl::Time deadline);
  absl::Status ControlStream(const workflow::AgentRef& agent, const Repair& repair,
                             workflow::StreamAction action, absl::Time deadline);
  absl::Status RecreateStream(const Observation& seen, const Repair& repair, absl::Time deadline);
  absl::Status RouteRules(const Observation& seen);

  const Dependencies& parts_;
  cutover::Runner& runner_;
  const FinishCommand::Adopt adopt_;
  const bool yes_;

  std::string key_;
  Exclusion exclusion_;
  uint64_t epoch_ = 0;  // of the requests to gates and streams
  RepairReport report_;
};

}  // namespace sluice::traffic
