// AdminService: dispatch of the CLI's commands.

#include "coordinator/admin/admin_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "common/tuning/tuning.h"
#include "common/wire/wire.h"
#include "coordinator/workflow/views.h"

namespace sluice::admin {
namespace {

using schemas::AdminRequest;
using wire::Str;

WorkflowRef RefOf(schemas::WorkflowRef::Reader ref) {
  return {Str(ref.getKeyspace()), Str(ref.getName())};
}

workflow::WorkflowQuery QueryOf(schemas::WorkflowRef::Reader ref) {
  return {Str(ref.getKeyspace()), Str(ref.getName()), wire::Strs(ref.getShards())};
}

GateWish WishOf(schemas::SwitchTraffic::Reader request) {
  switch (request.getGate()) {
    case schemas::GateChoice::TABLES:
      return GateWish::kTables;
    case schemas::GateChoice::SERVER:
      return GateWish::kServer;
    case schemas::GateChoice::AUTO:
      break;
  }
  return request.getServerGate() ? GateWish::kServer : GateWish::kAuto;
}

SwitchArgs SwitchArgsOf(schemas::SwitchTraffic::Reader request) {
  SwitchArgs args;
  args.workflow = RefOf(request.getWorkflow());
  args.types = wire::TypesOf(request.getTypes());
  args.cells = wire::Strs(request.getCells());
  if (request.getTimeoutMs() != 0) {
    args.timeout = absl::Milliseconds(request.getTimeoutMs());
  }
  if (request.getMaxLagMs() != 0) {
    args.max_lag = absl::Milliseconds(request.getMaxLagMs());
  }
  args.dry_run = request.getDryRun();
  args.enable_reverse = request.getEnableReverse();
  args.hold = request.getHold();
  args.raise_counters = request.getRaiseCounters();
  args.kill_blockers_after = absl::Milliseconds(request.getKillBlockersAfterMs());
  if (request.getKillBlockersRows() != 0) {
    args.kill_blockers_rows = request.getKillBlockersRows();
  }
  args.gate = WishOf(request);
  args.force = request.getForce();
  args.parallelism = request.getParallelism();
  return args;
}

workflow::UpdateArgs UpdateArgsOf(schemas::WorkflowUpdate::Reader request) {
  workflow::UpdateArgs args;
  const WorkflowRef ref = RefOf(request.getWorkflow());
  args.keyspace = ref.keyspace;
  args.name = ref.name;
  if (request.getSourceTypes().size() > 0) {
    args.source_types = wire::TypesOf(request.getSourceTypes());
  }
  stream::StreamOptions options = stream::ReadStreamOptions(request.getOptions());
  if (!options.cells.empty()) {
    std::erase(options.cells, "*");
    args.cells = std::move(options.cells);
  }
  if (request.getChangeOnDdl()) {
    args.on_ddl = options.on_ddl;
  }
  args.tuning = std::move(options.tuning);
  return args;
}

FinishArgs FinishArgsOf(schemas::FinishWorkflow::Reader request) {
  FinishArgs args;
  args.workflow = RefOf(request.getWorkflow());
  args.keep_data = request.getKeepData();
  args.keep_routing_rules = request.getKeepRoutingRules();
  args.rename_tables = request.getRenameTables();
  args.dry_run = request.getDryRun();
  return args;
}

}  // namespace

absl::Status AdminService::Handle(const rpc::RequestContext& context, AdminRequest::Reader request,
                                  schemas::AdminReply::Builder reply) {
  const absl::StatusOr<std::string> json = Dispatch(request, context.deadline);
  if (!json.ok()) {
    SLUICE_LOG(kInfo, "command refused or failed",
               {{"caller", context.caller}, {"error", json.status()}});
    return json.status();
  }
  reply.setJson(*json);
  return absl::OkStatus();
}

absl::StatusOr<std::string> AdminService::Dispatch(AdminRequest::Reader request,
                                                   absl::Time deadline) {
  switch (request.which()) {
    case AdminRequest::KEYSPACE_CREATE:
      return CreateKeyspace(request.getKeyspaceCreate());
    case AdminRequest::KEYSPACE_LIST:
      return workflow::ListKeyspacesJson(deps_.topology);
    case AdminRequest::KEYSPACE_SHOW:
      return workflow::ShowKeyspaceJson(deps_.topology, Str(request.getKeyspaceShow()));
    case AdminRequest::TABLET_LIST:
      return workflow::ListTabletsJson(deps_.topology);
    case AdminRequest::GET_ROUTING_RULES:
      return deps_.rules.GetRoutingRulesJson();
    case AdminRequest::APPLY_ROUTING_RULES: {
      const auto apply = request.getApplyRoutingRules();
      return deps_.rules.ApplyRoutingRules(Str(apply.getRulesJson()), apply.getDryRun());
    }
    case AdminRequest::GET_SHARD_ROUTING_RULES:
      return deps_.rules.GetShardRoutingRulesJson();
    case AdminRequest::APPLY_SHARD_ROUTING_RULES: {
      const auto apply = request.getApplyShardRoutingRules();
      return deps_.rules.ApplyShardRoutingRules(Str(apply.getRulesJson()), apply.getDryRun());
    }
    case AdminRequest::THROTTLE:
      return Throttle(request.getThrottle(), deadline);
    case AdminRequest::THROTTLE_SHOW:
      return workflow::ThrottleDocument(deps_.store, deps_.topology);
    case AdminRequest::PROXY_LIST:
      return workflow::ListProxiesJson(deps_.rules);
    default:
      return DispatchWorkflow(request, deadline);
  }
}

absl::StatusOr<std::string> AdminService::DispatchWorkflow(AdminRequest::Reader request,
                                                           absl::Time deadline) {
  const workflow::ViewSources views = {
      .store = deps_.store, .topology = deps_.topology, .rules = deps_.rules};
  switch (request.which()) {
    case AdminRequest::MOVE_TABLES_CREATE:
      return CreateMoveTables(request.getMoveTablesCreate(), deadline);
    case AdminRequest::WORKFLOW_LIST:
      return workflow::ListWorkflowsJson(views, Str(request.getWorkflowList()));
    case AdminRequest::WORKFLOW_SHOW:
      return workflow::ShowWorkflow(views, QueryOf(request.getWorkflowShow()));
    case AdminRequest::WORKFLOW_STATUS:
      return workflow::WorkflowStatus(views, QueryOf(request.getWorkflowStatus()),
                                      deps_.traffic.UnderWay(RefOf(request.getWorkflowStatus())));
    case AdminRequest::WORKFLOW_UPDATE:
      return deps_.move_tables.Update(UpdateArgsOf(request.getWorkflowUpdate()), deadline);
    case AdminRequest::WORKFLOW_START:
      return deps_.traffic.Start(RefOf(request.getWorkflowStart()),
                                 wire::Strs(request.getWorkflowStart().getShards()), deadline);
    case AdminRequest::WORKFLOW_STOP:
      return deps_.traffic.Stop(RefOf(request.getWorkflowStop()),
                                wire::Strs(request.getWorkflowStop().getShards()), deadline);
    case AdminRequest::SWITCH_TRAFFIC:
      return deps_.traffic.Switch(SwitchArgsOf(request.getSwitchTraffic()), deadline);
    case AdminRequest::REVERSE_TRAFFIC:
      return deps_.traffic.Reverse(SwitchArgsOf(request.getReverseTraffic()), deadline);
    case AdminRequest::COMPLETE:
      return deps_.traffic.Complete(FinishArgsOf(request.getComplete()), deadline);
    case AdminRequest::CANCEL:
      return deps_.traffic.Cancel(FinishArgsOf(request.getCancel()), deadline);
    case AdminRequest::WORKFLOW_DELETE:
      return deps_.traffic.Delete(FinishArgsOf(request.getWorkflowDelete()), deadline);
    case AdminRequest::CUTOVER_SHOW:
      return deps_.traffic.CutoverShow(RefOf(request.getCutoverShow()),
                                       request.getCutoverShow().getAttempt());
    case AdminRequest::CUTOVER_RELEASE:
      return deps_.traffic.CutoverRelease(RefOf(request.getCutoverRelease()), deadline);
    case AdminRequest::CUTOVER_ABORT:
      return deps_.traffic.CutoverAbort(RefOf(request.getCutoverAbort()), deadline);
    case AdminRequest::WORKFLOW_DIAGNOSE:
      return deps_.traffic.Diagnose(RefOf(request.getWorkflowDiagnose()), deadline);
    case AdminRequest::WORKFLOW_REPAIR:
      return deps_.traffic.Repair(RefOf(request.getWorkflowRepair().getWorkflow()),
                                  request.getWorkflowRepair().getYes(), deadline);
    default:
      return absl::UnimplementedError(absl::StrCat("this coordinator does not know command number ",
                                                   static_cast<int>(request.which()),
                                                   "; it is older than the program that "
                                                   "sent it"));
  }
}

absl::StatusOr<std::string> AdminService::CreateKeyspace(schemas::KeyspaceCreate::Reader request) {
  const std::string name = Str(request.getName());
  SLUICE_RETURN_IF_ERROR(deps_.topology.CreateKeyspace(name, wire::Strs(request.getShards())));
  return workflow::ShowKeyspaceJson(deps_.topology, name);
}

absl::StatusOr<std::string> AdminService::Throttle(schemas::Throttle::Reader request,
                                                   absl::Time deadline) {
  const WorkflowRef ref = RefOf(request.getWorkflow());
  if (ref.name.empty()) {
    SLUICE_RETURN_IF_ERROR(deps_.topology.ThrottleAll(Str(request.getReason())));
    return workflow::ThrottleDocument(deps_.store, deps_.topology);
  }
  workflow::UpdateArgs args;
  args.keyspace = ref.keyspace;
  args.name = ref.name;
  args.throttled = Str(request.getReason());
  return deps_.move_tables.Update(args, deadline);
}

absl::StatusOr<std::string> AdminService::CreateMoveTables(
    schemas::MoveTablesCreate::Reader request, absl::Time deadline) {
  workflow::CreateArgs args;
  const WorkflowRef ref = RefOf(request.getWorkflow());
  args.keyspace = ref.keyspace;
  args.name = ref.name;
  args.source_keyspace = Str(request.getSourceKeyspace());
  args.tables = wire::Strs(request.getTables());
  args.all_tables = request.getAllTables();
  args.exclude_tables = wire::Strs(request.getExcludeTables());
  args.source_shards = wire::Strs(request.getSourceShards());
  args.source_types = wire::TypesOf(request.getSourceTypes());
  args.auto_start = request.getAutoStart();
  args.stop_after_copy = request.getStopAfterCopy();
  args.stream = stream::ReadStreamOptions(request.getOptions());
  SLUICE_ASSIGN_OR_RETURN(args.stream.tuning, stream::MergeTuning({}, args.stream.tuning));
  args.parallelism = request.getParallelism();
  args.dry_run = request.getDryRun();
  return deps_.move_tables.Create(args, deadline);
}

}  // namespace sluice::admin
