// The agents' requests to the topology, as rpc handlers.

#pragma once

#include "common/rpc/server.h"
#include "coordinator/topology/topology.h"

namespace sluice::topology {

// registerTablet, reportTablet and pickSource. REQUIRES: `server` is not started, and stopped
// before `topology` ends.
void RegisterHandlers(rpc::Server& server, Topology& topology);

}  // namespace sluice::topology
