// Chooses the text of an answer by the verb.

#include "coordinator/cli/render.h"

#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "coordinator/cli/json_read.h"
#include "coordinator/cli/render_parts.h"
#include "coordinator/cli/status_text.h"

namespace sluice::cli {
namespace {

std::string Pretty(const Json& document) {
  return document.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string NewRulesTitle(const Command& command) {
  return command.dry_run ? "Dry run, nothing was changed. The rules would be:\n" : "New rules:\n";
}

absl::StatusOr<std::string> StatusOrOutcome(const Command& command, const Json& answer,
                                            absl::string_view json) {
  if (!Member(answer, "summary").is_null()) {
    return OutcomeText(answer);
  }
  SLUICE_ASSIGN_OR_RETURN(const WorkflowStatus status,
                          ReadStatus(json, absl::StrCat(command.keyspace, ".", command.workflow)));
  return StatusText(status);
}

}  // namespace

absl::StatusOr<std::string> Render(const Command& command, absl::string_view json) {
  SLUICE_ASSIGN_OR_RETURN(const Json answer, ParseJson(json));
  if (command.format == Format::kJson) {
    return Pretty(answer);
  }
  switch (command.verb) {
    case Verb::kMoveTablesCreate:
    case Verb::kWorkflowStatus:
    case Verb::kWorkflowStart:
    case Verb::kWorkflowStop:
      return StatusOrOutcome(command, answer, json);
    case Verb::kSwitchTraffic:
    case Verb::kReverseTraffic:
    case Verb::kComplete:
    case Verb::kCancel:
    case Verb::kWorkflowDelete:
    case Verb::kWorkflowUpdate:
    case Verb::kWorkflowThrottle:
    case Verb::kWorkflowUnthrottle:
    case Verb::kCutoverRelease:
    case Verb::kCutoverAbort:
      return OutcomeText(answer);
    case Verb::kWorkflowList:
      return WorkflowsText(answer, command.keyspace);
    case Verb::kApplyRoutingRules:
      return absl::StrCat(NewRulesTitle(command), RoutingRulesText(answer));
    case Verb::kApplyShardRoutingRules:
      return absl::StrCat(NewRulesTitle(command), ShardRoutingRulesText(answer));
    case Verb::kGetShardRoutingRules:
      return ShardRoutingRulesText(answer);
    case Verb::kGetRoutingRules:
      return RoutingRulesText(answer);
    case Verb::kGetTablets:
      return TabletsText(answer);
    case Verb::kKeyspaceList:
      return KeyspacesText(answer);
    case Verb::kKeyspaceCreate:
    case Verb::kKeyspaceShow:
      return KeyspaceText(answer);
    case Verb::kCutoverShow:
      return TimelineText(answer, absl::StrCat(command.keyspace, ".", command.workflow));
    case Verb::kThrottleOn:
    case Verb::kThrottleOff:
    case Verb::kThrottleShow:
      return ThrottleText(answer);
    case Verb::kProxies:
      return ProxiesText(answer);
    case Verb::kWorkflowDiagnose:
      return DiagnosisText(answer);
    case Verb::kWorkflowRepair:
      return RepairText(answer);
    case Verb::kWorkflowShow:
    case Verb::kHelp:
    case Verb::kVersion:
      return Pretty(answer);
  }
  return Pretty(answer);
}

bool IsGood(const Command& command, absl::string_view json) {
  if (command.verb != Verb::kWorkflowDiagnose && command.verb != Verb::kWorkflowRepair) {
    return true;
  }
  const absl::StatusOr<Json> answer = ParseJson(json);
  return answer.ok() &&
         BoolOf(*answer, command.verb == Verb::kWorkflowDiagnose ? "consistent" : "done");
}

}  // namespace sluice::cli
