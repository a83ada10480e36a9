// The agents' requests to the topology, as rpc handlers.

#include "coordinator/topology/handlers.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "schemas/control.capnp.h"

namespace sluice::topology {
namespace {

template <typename Request>
std::string AliasOf(Request request) {
  const schemas::TabletIdentity::Reader identity = request.getIdentity();
  return absl::StrCat(wire::Str(identity.getCell()), "-", identity.getUid());
}

}  // namespace

void RegisterHandlers(rpc::Server& server, Topology& topology) {
  // Reports come each second from every agent and hold their own truth: none is worth remembering.
  server.Register<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
      schemas::Method::REGISTER_TABLET,
      [&topology](const rpc::RequestContext&, auto request, auto reply) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(topology.Register(DecodeReport(request)));
        reply.setReportIntervalMs(
            static_cast<uint32_t>(absl::ToInt64Milliseconds(topology.options().report_interval)));
        EncodeView(topology.ViewOf(AliasOf(request)), reply.initCluster());
        return absl::OkStatus();
      },
      /*remember=*/false);
  server.Register<schemas::ReportTabletRequest, schemas::ReportTabletReply>(
      schemas::Method::REPORT_TABLET,
      [&topology](const rpc::RequestContext&, auto request, auto reply) -> absl::Status {
        SLUICE_RETURN_IF_ERROR(topology.Report(DecodeReport(request)));
        EncodeView(topology.ViewOf(AliasOf(request)), reply.initCluster());
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
