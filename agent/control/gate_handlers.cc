// The commands of ControlService that concern gates.

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "agent/control/control_service.h"
#include "agent/control/describe.h"
#include "agent/gate/closed_name.h"
#include "agent/gate/counters.h"
#include "agent/gate/gate_privileges.h"
#include "agent/gate/probe.h"
#include "agent/gate/table_dropper.h"
#include "agent/gate/target_preparer.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"

namespace sluice::agent {
namespace {

constexpr absl::Duration kLockWaitDefault = absl::Seconds(1);
constexpr size_t kNameBytesMax = 255;

absl::Status CheckTableName(const std::string& name) {
  if (name.empty() || name.size() > kNameBytesMax || gate::IsClosedName(name)) {
    return WithSubject(
        absl::InvalidArgumentError(absl::StrCat("\"", name, "\" can't be a table of a gate")),
        name);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ReadTables(capnp::List<capnp::Text>::Reader list) {
  std::vector<std::string> tables;
  for (const auto name : list) {
    tables.emplace_back(name);
    SLUICE_RETURN_IF_ERROR(CheckTableName(tables.back()));
  }
  // Sorted, so that every request locks in the same order.
  std::sort(tables.begin(), tables.end());
  tables.erase(std::unique(tables.begin(), tables.end()), tables.end());
  return tables;
}

gate::State ReadState(schemas::GateState state) {
  switch (state) {
    case schemas::GateState::OPEN:
      return gate::State::kOpen;
    case schemas::GateState::CLOSED:
      return gate::State::kClosed;
    case schemas::GateState::READABLE:
      return gate::State::kReadable;
    case schemas::GateState::ABSENT:
    case schemas::GateState::MIXED:
      break;
  }
  return gate::State::kMixed;
}

void WriteBlockers(const std::vector<gate::Blocker>& blockers,
                   capnp::List<schemas::Blocker>::Builder list) {
  for (unsigned i = 0; i < list.size(); ++i) {
    // A prepared XA transaction is none of its session's any more.
    const bool outlives = blockers[i].kind == gate::BlockerKind::kPreparedXa;
    list[i].setConnectionId(outlives ? 0 : blockers[i].connection_id);
    list[i].setUser(blockers[i].user);
    list[i].setHost(blockers[i].host);
    list[i].setAgeMs(static_cast<uint64_t>(std::max<int64_t>(blockers[i].age_ms, 0)));
    list[i].setStatement(gate::DescribeUse(blockers[i]));
  }
}

absl::StatusOr<gate::DropMode> ReadMode(schemas::DropMode mode) {
  switch (mode) {
    case schemas::DropMode::DROP:
      return gate::DropMode::kDrop;
    case schemas::DropMode::RENAME_OLD:
      return gate::DropMode::kRenameOld;
    case schemas::DropMode::KEEP:
      return gate::DropMode::kKeep;
  }
  return absl::InvalidArgumentError("unknown way to drop tables");
}

}  // namespace

// Reads workflow and database of a request, and refuses what can't be a gate.
template <typename Request>
absl::StatusOr<ControlService::GateOf> ControlService::ReadGateOf(Request request) const {
  GateOf gate{.id = {.workflow = wire::Str(request.getWorkflow()), .database = {}}, .shard = 0};
  if (gate.id.workflow.empty() || gate.id.workflow.size() > kNameBytesMax) {
    return absl::InvalidArgumentError("gate: no workflow named, or its name is too long");
  }
  const auto shard = ShardOf(wire::Str(request.getDatabase()));
  if (!shard.ok()) {
    return Annotate(shard.status(), absl::StrCat("workflow ", gate.id.workflow));
  }
  gate.shard = *shard;
  gate.id.database = parts_.config.shards[gate.shard].database;
  return gate;
}

absl::Status ControlService::Prepare(const rpc::RequestContext& context,
                                     schemas::PrepareTargetRequest::Reader request) {
  SLUICE_ASSIGN_OR_RETURN(const GateOf gate, ReadGateOf(request));
  SLUICE_RETURN_IF_ERROR(parts_.monitor.CheckServing(gate.shard));
  gate::TargetPreparation preparation{
      .id = gate.id, .keyspace = parts_.config.shards[gate.shard].keyspace, .tables = {}};
  for (const auto table : request.getTables()) {
    preparation.tables.push_back(
        {.name = table.getName(), .create_statement = table.getCreateStatement()});
    SLUICE_RETURN_IF_ERROR(CheckTableName(preparation.tables.back().name));
  }
  std::sort(preparation.tables.begin(), preparation.tables.end(),
            [](const auto& a, const auto& b) { return a.name < b.name; });
  absl::Status status = gate::PrepareTarget(parts_.gates, preparation, context.deadline);
  parts_.monitor.Kick();
  return status;
}

absl::Status ControlService::SetGate(const rpc::RequestContext& context,
                                     schemas::SetGateRequest::Reader request,
                                     schemas::SetGateReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const GateOf gate, ReadGateOf(request));
  SLUICE_RETURN_IF_ERROR(parts_.monitor.CheckPrimary(gate.shard));
  gate::GateChange change;
  change.id = gate.id;
  SLUICE_ASSIGN_OR_RETURN(change.tables, ReadTables(request.getTables()));
  change.wanted = ReadState(request.getState());
  change.epoch = request.getEpoch();
  change.lock_wait =
      request.getLockWaitMs() == 0 ? kLockWaitDefault : absl::Milliseconds(request.getLockWaitMs());
  change.marker_id = request.getMarkerId();
  change.cutover_id = request.getCutoverId();
  change.journal = request.getJournal();
  change.kind = request.getKind() == schemas::GateKind::SERVER ? gate::GateKind::kServer
                                                               : gate::GateKind::kTables;
  change.beside = wire::Strs(request.getBeside());
  const auto outcome = parts_.gates.Set(change, context.deadline);
  parts_.monitor.Kick();
  SLUICE_RETURN_IF_ERROR(outcome.status());
  reply.setState(WireState(outcome->state));
  reply.setPosition(absl::StrReplaceAll(outcome->gtid_executed, {{"\n", ""}}));
  reply.setTookUs(static_cast<uint64_t>(absl::ToInt64Microseconds(outcome->took)));
  wire::Fill(reply.initKeptBy(wire::Size(outcome->kept_by)), outcome->kept_by);
  return absl::OkStatus();
}

absl::Status ControlService::ReadGate(const rpc::RequestContext& context,
                                      schemas::ReadGateRequest::Reader request,
                                      schemas::ReadGateReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const GateOf gate, ReadGateOf(request));
  SLUICE_ASSIGN_OR_RETURN(const auto tables, ReadTables(request.getTables()));
  SLUICE_ASSIGN_OR_RETURN(const gate::GateReading reading,
                          parts_.gates.Read(gate.id, tables, context.deadline));
  reply.setState(WireState(reading.state));
  reply.setEpoch(reading.epoch);
  reply.setKind(reading.kind == gate::GateKind::kServer ? schemas::GateKind::SERVER
                                                        : schemas::GateKind::TABLES);
  wire::Fill(reply.initKeptBy(wire::Size(reading.kept_by)), reading.kept_by);
  if (request.getAskServer()) {
    SLUICE_ASSIGN_OR_RETURN(
        const std::vector<std::string> obstacles,
        parts_.gates.ServerObstacles(
            {.id = gate.id, .tables = tables, .beside = wire::Strs(request.getBeside())}));
    wire::Fill(reply.initServerObstacles(wire::Size(obstacles)), obstacles);
  }
  if (!request.getAskEnd()) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const gate::DropMode mode, ReadMode(request.getEndMode()));
  absl::Status ends = gate::CheckDrop(parts_.gates, {.id = gate.id, .tables = tables, .mode = mode},
                                      context.deadline);
  if (!ends.ok() && !absl::IsFailedPrecondition(ends)) {
    return ends;
  }
  if (!ends.ok()) {
    wire::Fill(reply.initEndObstacles(1), std::vector<std::string>{std::string(ends.message())});
  }
  return absl::OkStatus();
}

absl::Status ControlService::ProbeGate(schemas::ProbeGateRequest::Reader request,
                                       schemas::ProbeGateReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const GateOf gate, ReadGateOf(request));
  SLUICE_RETURN_IF_ERROR(parts_.monitor.CheckPrimary(gate.shard));
  gate::GateProbe probe;
  probe.id = gate.id;
  SLUICE_ASSIGN_OR_RETURN(probe.tables, ReadTables(request.getTables()));
  probe.age = absl::Milliseconds(request.getAgeMs());
  probe.kill_after = absl::Milliseconds(request.getKillAfterMs());
  probe.kill_rows_max = request.getKillRowsMax();
  {
    SLUICE_ASSIGN_OR_RETURN(const Session session, parts_.pool.Borrow());
    SLUICE_RETURN_IF_ERROR(
        gate::CheckPrivileges(*session, gate.id.database, {.kill = probe.kill_rows_max > 0}));
  }
  SLUICE_ASSIGN_OR_RETURN(const gate::GateProbeResult result, gate::ProbeGate(parts_.pool, probe));
  WriteBlockers(result.blockers, reply.initBlockers(static_cast<unsigned>(result.blockers.size())));
  WriteBlockers(result.killed, reply.initKilled(static_cast<unsigned>(result.killed.size())));
  return absl::OkStatus();
}

absl::Status ControlService::RaiseCounters(schemas::RaiseCountersRequest::Reader request,
                                           schemas::RaiseCountersReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const GateOf gate, ReadGateOf(request));
  SLUICE_RETURN_IF_ERROR(parts_.monitor.CheckPrimary(gate.shard));
  gate::CounterRequest raise;
  raise.id = gate.id;
  // In the order of the request, which that of the counters is.
  for (const auto name : request.getTables()) {
    raise.tables.emplace_back(name);
    SLUICE_RETURN_IF_ERROR(CheckTableName(raise.tables.back()));
  }
  for (const uint64_t counter : request.getAtLeast()) {
    raise.at_least.push_back(counter);
  }
  if (!raise.at_least.empty() && raise.at_least.size() != raise.tables.size()) {
    return absl::InvalidArgumentError("counters for another number of tables than are named");
  }
  SLUICE_ASSIGN_OR_RETURN(const std::vector<uint64_t> counters,
                          gate::RaiseCounters(parts_.gates, raise));
  auto list = reply.initCounters(static_cast<unsigned>(counters.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    list.set(i, counters[i]);
  }
  return absl::OkStatus();
}

absl::Status ControlService::Drop(const rpc::RequestContext& context,
                                  schemas::DropTablesRequest::Reader request,
                                  schemas::DropTablesReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const GateOf gate, ReadGateOf(request));
  SLUICE_RETURN_IF_ERROR(parts_.monitor.CheckPrimary(gate.shard));
  gate::DropRequest drop;
  drop.id = gate.id;
  SLUICE_ASSIGN_OR_RETURN(drop.tables, ReadTables(request.getTables()));
  SLUICE_ASSIGN_OR_RETURN(drop.mode, ReadMode(request.getMode()));
  drop.epoch = request.getEpoch();
  // What it may drop for minutes is only the PRIMARY's.
  drop.may_go_on = [this, &gate, &context] {
    return context.closing && context.closing() ? absl::UnavailableError("the agent is stopping")
                                                : parts_.monitor.CheckPrimary(gate.shard);
  };
  const auto dropped = gate::DropTables(parts_.gates, drop, context.deadline);
  parts_.monitor.Kick();
  SLUICE_RETURN_IF_ERROR(dropped.status());
  auto list = reply.initDropped(static_cast<unsigned>(dropped->size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    list.set(i, (*dropped)[i]);
  }
  return absl::OkStatus();
}

}  // namespace sluice::agent
