// The agents' requests to the topology, as rpc handlers.

#include "coordinator/topology/handlers.h"

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/control.capnp.h"

namespace sluice::topology {
namespace {

template <typename Reply>
void EncodeViews(const Topology& topology, const std::vector<TabletReport>& reports, Reply reply) {
  const std::vector<ClusterView> views = topology.ViewsOf(reports);
  EncodeView(views.front(), reply.initCluster());
  auto others = reply.initOthers(wire::Size(views) - 1);
  for (unsigned i = 0; i < others.size(); ++i) {
    EncodeView(views[i + 1], others[i]);
  }
}

absl::Status Register(Topology& topology, schemas::RegisterTabletRequest::Reader request,
                      schemas::RegisterTabletReply::Builder reply) {
  const std::vector<TabletReport> reports = DecodeReport(request);
  const std::vector<absl::Status> statuses = topology.RegisterAgent(reports);
  absl::Status refused;
  for (const absl::Status& status : statuses) {
    refused.Update(status);
  }
  if (std::none_of(statuses.begin(), statuses.end(),
                   [](const absl::Status& status) { return status.ok(); })) {
    return refused;
  }
  if (!refused.ok()) {
    auto refusals = reply.initRefusals(wire::Size(statuses));
    for (unsigned i = 0; i < refusals.size(); ++i) {
      refusals.set(i, std::string(statuses[i].message()));
    }
  }
  reply.setReportIntervalMs(
      static_cast<uint32_t>(absl::ToInt64Milliseconds(topology.options().report_interval)));
  EncodeViews(topology, reports, reply);
  return absl::OkStatus();
}

}  // namespace

void RegisterHandlers(rpc::Server& server, Topology& topology) {
  // Reports come each second from every agent and hold their own truth: none is worth remembering.
  server.Register<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
      schemas::Method::REGISTER_TABLET,
      [&topology](const rpc::RequestContext&, auto request, auto reply) {
        return Register(topology, request, reply);
      },
      /*remember=*/false);
  server.Register<schemas::ReportTabletRequest, schemas::ReportTabletReply>(
      schemas::Method::REPORT_TABLET,
      [&topology](const rpc::RequestContext&, auto request, auto reply) -> absl::Status {
        const std::vector<TabletReport> reports = DecodeReport(request);
        SLUICE_RETURN_IF_ERROR(topology.ReportAgent(reports));
        EncodeViews(topology, reports, reply);
        return absl::OkStatus();
      },
      /*remember=*/false);
  server.Register<schemas::PickSourceRequest, schemas::PickSourceReply>(
      schemas::Method::PICK_SOURCE,
      [&topology](const rpc::RequestContext&, auto request, auto reply) -> absl::Status {
        SLUICE_ASSIGN_OR_RETURN(
            const TabletInfo tablet,
            topology.PickSource({.keyspace = wire::Str(request.getKeyspace()),
                                 .shard = wire::Str(request.getShard()),
                                 .types = wire::TypesOf(request.getTypes()),
                                 .cells = wire::Strs(request.getCells()),
                                 .near_cell = wire::Str(request.getNearCell())}));
        reply.setAlias(tablet.alias);
        reply.setAgentUrl(tablet.agent_url);
        return absl::OkStatus();
      },
      /*remember=*/false);
}

}  // namespace sluice::topology
