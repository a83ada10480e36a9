// ControlService: carries out the coordinator's commands on this agent's mysqld.

#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "agent/config/agent_config.h"
#include "agent/gate/gate_keeper.h"
#include "agent/health/monitor.h"
#include "agent/session/session_pool.h"
#include "common/rpc/server.h"
#include "schemas/control.capnp.h"

namespace sluice::agent {

// What the service uses; everything outlives it.
struct ControlParts {
  const AgentConfig& config;
  Monitor& monitor;
  SessionPool& pool;
  gate::GateKeeper& gates;
  std::function<std::string()> url;  // where others dial this agent
};

// Answers pingAgent, describeTables, prepareTarget, setGate, readGate, readPosition, awaitPosition,
// writeJournal, readJournal, probeGate, raiseCounters and dropTables (schemas/control.capnp).
// Commands that write are for PRIMARYs only, and all but positions and journal for databases that
// this agent serves. Thread-safe.
class ControlService {
 public:
  explicit ControlService(ControlParts parts) : parts_(std::move(parts)) {}
  ControlService(const ControlService&) = delete;
  ControlService& operator=(const ControlService&) = delete;

  // Before the server starts; the service must outlive the server's handlers.
  void Register(rpc::Server& server);

 private:
  void RegisterReads(rpc::Server& server);
  void RegisterWrites(rpc::Server& server);

  // The shard (an index into the configuration) that a request's database is of. Where there is one
  // shard only, it need not be named. INVALID_ARGUMENT names those that there are.
  absl::StatusOr<size_t> ShardOf(const std::string& database) const;

  absl::Status Ping(schemas::AgentInfo::Builder reply);
  absl::Status Describe(schemas::DescribeTablesRequest::Reader request,
                        schemas::DescribeTablesReply::Builder reply);
  absl::Status ReadPosition(schemas::ReadPositionReply::Builder reply);
  absl::Status AwaitPosition(const rpc::RequestContext& context,
                             schemas::AwaitPositionRequest::Reader request);
  absl::Status WriteJournal(const rpc::RequestContext& context,
                            schemas::WriteJournalRequest::Reader request);
  absl::Status ReadJournal(schemas::ReadJournalRequest::Reader request,
                           schemas::ReadJournalReply::Builder reply);

  // gate_handlers.cc
  struct GateOf {
    gate::GateId id;
    size_t shard = 0;  // index into the configuration
  };
  template <typename Request>
  absl::StatusOr<GateOf> ReadGateOf(Request request) const;
  absl::Status Prepare(const rpc::RequestContext& context,
                       schemas::PrepareTargetRequest::Reader request);
  absl::Status SetGate(const rpc::RequestContext& context, schemas::SetGateRequest::Reader request,
                       schemas::SetGateReply::Builder reply);
  absl::Status ReadGate(const rpc::RequestContext& context,
                        schemas::ReadGateRequest::Reader request,
                        schemas::ReadGateReply::Builder reply);
  absl::Status ProbeGate(schemas::ProbeGateRequest::Reader request,
                         schemas::ProbeGateReply::Builder reply);
  absl::Status RaiseCounters(schemas::RaiseCountersRequest::Reader request,
                             schemas::RaiseCountersReply::Builder reply);
  absl::Status Drop(const rpc::RequestContext& context, schemas::DropTablesRequest::Reader request,
                    schemas::DropTablesReply::Builder reply);

  ControlParts parts_;
};

}  // namespace sluice::agent
