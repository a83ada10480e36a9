// Requests, time-outs, and what is said when no answer comes.

#include "coordinator/cli/call.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"

namespace sluice::cli {
namespace {

using wire::Fill;
using wire::Size;

constexpr absl::Duration kLook = absl::Seconds(30);
constexpr absl::Duration kWait = absl::Hours(1);
// A switch may use its whole time-out and is rolled back or finished after it.
constexpr absl::Duration kAfterSwitch = absl::Minutes(1);

// Zero means "the default" on the wire.
uint32_t Milliseconds(absl::Duration duration) {
  return static_cast<uint32_t>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 1));
}

void FillRef(const Command& command, schemas::WorkflowRef::Builder ref) {
  ref.setKeyspace(command.keyspace);
  ref.setName(command.workflow);
  Fill(ref.initShards(Size(command.shards)), command.shards);
  ref.setAttempt(command.attempt);
}

void FillCreate(const Command& command, schemas::MoveTablesCreate::Builder create) {
  FillRef(command, create.initWorkflow());
  create.setSourceKeyspace(command.source_keyspace);
  Fill(create.initTables(Size(command.tables)), command.tables);
  create.setAllTables(command.all_tables);
  Fill(create.initExcludeTables(Size(command.exclude_tables)), command.exclude_tables);
  Fill(create.initSourceTypes(Size(command.tablet_types)), command.tablet_types);
  create.setAutoStart(command.auto_start);
  create.setStopAfterCopy(command.stop_after_copy);
  Fill(create.initSourceShards(Size(command.source_shards)), command.source_shards);
  create.setParallelism(command.parallelism);
  create.setDryRun(command.dry_run);
  stream::WriteStreamOptions(command.stream, create.initOptions());
}

void FillSwitch(const Command& command, schemas::SwitchTraffic::Builder request) {
  FillRef(command, request.initWorkflow());
  Fill(request.initTypes(Size(command.tablet_types)), command.tablet_types);
  Fill(request.initCells(Size(command.stream.cells)), command.stream.cells);
  request.setTimeoutMs(Milliseconds(command.timeout));
  request.setMaxLagMs(Milliseconds(command.max_lag));
  request.setDryRun(command.dry_run);
  request.setEnableReverse(command.enable_reverse);
  request.setHold(command.hold);
  request.setRaiseCounters(command.initialize_sequences);
  // Here zero means never.
  request.setKillBlockersAfterMs(
      static_cast<uint32_t>(absl::ToInt64Milliseconds(command.kill_blockers_after)));
  request.setKillBlockersRows(command.kill_blockers_rows);
  switch (command.gate) {
    case admin::GateWish::kAuto:
      request.setGate(schemas::GateChoice::AUTO);
      break;
    case admin::GateWish::kTables:
      request.setGate(schemas::GateChoice::TABLES);
      break;
    case admin::GateWish::kServer:
      request.setGate(schemas::GateChoice::SERVER);
      request.setServerGate(true);  // as older coordinators know it
      break;
  }
  request.setForce(command.force);
  request.setParallelism(command.parallelism);
}

void FillUpdate(const Command& command, schemas::WorkflowUpdate::Builder update) {
  FillRef(command, update.initWorkflow());
  Fill(update.initSourceTypes(Size(command.tablet_types)), command.tablet_types);
  stream::WriteStreamOptions(command.stream, update.initOptions());
  update.setChangeOnDdl(command.on_ddl_given);
}

// For all workflows the reference stays empty.
void FillThrottle(const Command& command, bool on, schemas::Throttle::Builder throttle) {
  FillRef(command, throttle.initWorkflow());
  if (on) {
    throttle.setReason(command.reason.empty() ? "by the operator" : command.reason);
  }
}

void FillFinish(const Command& command, schemas::FinishWorkflow::Builder request) {
  FillRef(command, request.initWorkflow());
  request.setKeepData(command.keep_data);
  request.setKeepRoutingRules(command.keep_routing_rules);
  request.setRenameTables(command.rename_tables);
  request.setDryRun(command.dry_run);
}

void FillKeyspaceCreate(const Command& command, schemas::KeyspaceCreate::Builder create) {
  create.setName(command.keyspace);
  Fill(create.initShards(Size(command.shards)), command.shards);
}

void FillRules(const Command& command, schemas::ApplyRoutingRules::Builder apply) {
  apply.setRulesJson(command.rules);
  apply.setDryRun(command.dry_run);
}

bool ChangesSomething(Verb verb) {
  switch (verb) {
    case Verb::kMoveTablesCreate:
    case Verb::kSwitchTraffic:
    case Verb::kReverseTraffic:
    case Verb::kComplete:
    case Verb::kCancel:
    case Verb::kWorkflowStart:
    case Verb::kWorkflowStop:
    case Verb::kWorkflowUpdate:
    case Verb::kWorkflowThrottle:
    case Verb::kWorkflowUnthrottle:
    case Verb::kCutoverRelease:
    case Verb::kCutoverAbort:
    case Verb::kThrottleOn:
    case Verb::kThrottleOff:
    case Verb::kWorkflowDelete:
    case Verb::kWorkflowRepair:
    case Verb::kApplyRoutingRules:
    case Verb::kApplyShardRoutingRules:
    case Verb::kKeyspaceCreate:
      return true;
    default:
      return false;
  }
}

std::string WhereToLook(const Command& command) {
  if (!ChangesSomething(command.verb) || command.dry_run) {
    return "";
  }
  return absl::StrCat(
      "; the command may be done or going on: look with \"",
      command.workflow.empty()
          ? std::string("sluice keyspace list")
          : absl::StrCat("sluice movetables status ", command.keyspace, ".", command.workflow),
      "\"");
}

// Errors of the connection itself begin with its URL; others are the coordinator's answer.
absl::Status Explain(const Command& command, const std::string& url, const absl::Status& status) {
  const absl::string_view message = status.message();
  if (!absl::StartsWith(message, url)) {
    const std::string subject = SubjectOf(status);
    return subject.empty() || absl::StrContains(message, subject) ? status
                                                                  : Annotate(status, subject);
  }
  if (absl::IsUnavailable(status) && !absl::StrContains(message, "connection lost")) {
    return absl::UnavailableError(
        absl::StrCat("no coordinator answers at ", url,
                     "; is it running? --coordinator or SLUICE_COORDINATOR names another"));
  }
  if (absl::IsUnavailable(status)) {
    return absl::UnavailableError(absl::StrCat("the connection to the coordinator at ", url,
                                               " was lost before the answer came",
                                               WhereToLook(command)));
  }
  if (absl::IsDeadlineExceeded(status)) {
    return absl::DeadlineExceededError(
        absl::StrCat("the coordinator at ", url, " did not answer within ",
                     absl::FormatDuration(TimeoutOf(command)), WhereToLook(command)));
  }
  return status;
}

}  // namespace

void FillRequest(const Command& command, schemas::AdminRequest::Builder request) {
  switch (command.verb) {
    case Verb::kMoveTablesCreate:
      return FillCreate(command, request.initMoveTablesCreate());
    case Verb::kWorkflowShow:
      return FillRef(command, request.initWorkflowShow());
    case Verb::kWorkflowStatus:
      return FillRef(command, request.initWorkflowStatus());
    case Verb::kSwitchTraffic:
      return FillSwitch(command, request.initSwitchTraffic());
    case Verb::kReverseTraffic:
      return FillSwitch(command, request.initReverseTraffic());
    case Verb::kComplete:
      return FillFinish(command, request.initComplete());
    case Verb::kCancel:
      return FillFinish(command, request.initCancel());
    case Verb::kWorkflowStart:
      return FillRef(command, request.initWorkflowStart());
    case Verb::kWorkflowStop:
      return FillRef(command, request.initWorkflowStop());
    case Verb::kWorkflowUpdate:
      return FillUpdate(command, request.initWorkflowUpdate());
    case Verb::kWorkflowThrottle:
    case Verb::kThrottleOn:
      return FillThrottle(command, true, request.initThrottle());
    case Verb::kWorkflowUnthrottle:
    case Verb::kThrottleOff:
      return FillThrottle(command, false, request.initThrottle());
    case Verb::kThrottleShow:
      return request.setThrottleShow();
    case Verb::kWorkflowList:
      return request.setWorkflowList(command.keyspace);
    case Verb::kWorkflowDelete:
      return FillFinish(command, request.initWorkflowDelete());
    case Verb::kWorkflowDiagnose:
      return FillRef(command, request.initWorkflowDiagnose());
    case Verb::kWorkflowRepair: {
      auto repair = request.initWorkflowRepair();
      FillRef(command, repair.initWorkflow());
      return repair.setYes(command.yes);
    }
    case Verb::kGetRoutingRules:
      return request.setGetRoutingRules();
    case Verb::kApplyRoutingRules:
      return FillRules(command, request.initApplyRoutingRules());
    case Verb::kGetShardRoutingRules:
      return request.setGetShardRoutingRules();
    case Verb::kApplyShardRoutingRules:
      return FillRules(command, request.initApplyShardRoutingRules());
    case Verb::kGetTablets:
      return request.setTabletList();
    case Verb::kKeyspaceCreate:
      return FillKeyspaceCreate(command, request.initKeyspaceCreate());
    case Verb::kKeyspaceList:
      return request.setKeyspaceList();
    case Verb::kKeyspaceShow:
      return request.setKeyspaceShow(command.keyspace);
    case Verb::kCutoverShow:
      return FillRef(command, request.initCutoverShow());
    case Verb::kCutoverRelease:
      return FillRef(command, request.initCutoverRelease());
    case Verb::kCutoverAbort:
      return FillRef(command, request.initCutoverAbort());
    case Verb::kProxies:
      return request.setProxyList();
    case Verb::kHelp:
    case Verb::kVersion:
      break;
  }
  SLUICE_CHECK(false);
}

absl::Duration TimeoutOf(const Command& command) {
  if (command.action_timeout.has_value()) {
    return *command.action_timeout;
  }
  if (command.verb == Verb::kSwitchTraffic || command.verb == Verb::kReverseTraffic) {
    return command.timeout + kAfterSwitch;
  }
  return ChangesSomething(command.verb) ? kWait : kLook;
}

absl::StatusOr<std::string> Call(rpc::Client& client, const Command& command) {
  std::string json;
  const absl::Status status = client.Call<schemas::AdminRequest, schemas::AdminReply>(
      schemas::Method::ADMIN,
      [&](schemas::AdminRequest::Builder request) { FillRequest(command, request); },
      [&](schemas::AdminReply::Reader reply) {
        const auto text = reply.getJson();
        json.assign(text.begin(), text.size());
        return absl::OkStatus();
      },
      {.timeout = TimeoutOf(command), .idempotency_id = {}, .traceparent = {}});
  if (!status.ok()) {
    return Explain(command, client.url(), status);
  }
  return json;
}

}  // namespace sluice::cli
