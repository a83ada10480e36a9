// ControlService: carries out the coordinator's commands on this agent's mysqld.

#include "agent/control/control_service.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "agent/control/describe.h"
#include "agent/health/registrar.h"
#include "agent/sidecar/journal.h"
#include "agent/target/time_conversion.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/base/version.h"
#include "common/gtid/gtid_set.h"
#include "common/wire/wire.h"

namespace sluice::agent {
namespace {

// A long poll looks this often whether the server is closing.
constexpr absl::Duration kWaitSlice = absl::Milliseconds(500);
constexpr uint32_t kJournalEntriesMax = 32;

// Of a session or a mysqld that was lost, or locks that were not granted.
bool CanPass(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsAborted(status) || absl::IsCancelled(status) ||
         absl::IsDeadlineExceeded(status);
}

}  // namespace

void ControlService::Register(rpc::Server& server) {
  RegisterReads(server);
  RegisterWrites(server);
}

void ControlService::RegisterReads(rpc::Server& server) {
  using Context = rpc::RequestContext;
  server.Register<schemas::Empty, schemas::AgentInfo>(
      schemas::Method::PING_AGENT,
      [this](const Context&, schemas::Empty::Reader, schemas::AgentInfo::Builder reply) {
        return Ping(reply);
      },
      /*remember=*/false);
  server.Register<schemas::DescribeTablesRequest, schemas::DescribeTablesReply>(
      schemas::Method::DESCRIBE_TABLES,
      [this](const Context&, schemas::DescribeTablesRequest::Reader request,
             schemas::DescribeTablesReply::Builder reply) { return Describe(request, reply); },
      /*remember=*/false);
  server.Register<schemas::ReadPositionRequest, schemas::ReadPositionReply>(
      schemas::Method::READ_POSITION,
      [this](const Context&, schemas::ReadPositionRequest::Reader,
             schemas::ReadPositionReply::Builder reply) { return ReadPosition(reply); },
      /*remember=*/false);
  server.Register<schemas::AwaitPositionRequest, schemas::Empty>(
      schemas::Method::AWAIT_POSITION,
      [this](const Context& context, schemas::AwaitPositionRequest::Reader request,
             schemas::Empty::Builder) { return AwaitPosition(context, request); },
      /*remember=*/false);
  server.Register<schemas::ReadGateRequest, schemas::ReadGateReply>(
      schemas::Method::READ_GATE,
      [this](const Context& context, schemas::ReadGateRequest::Reader request,
             schemas::ReadGateReply::Builder reply) { return ReadGate(context, request, reply); },
      /*remember=*/false);
  server.Register<schemas::ReadJournalRequest, schemas::ReadJournalReply>(
      schemas::Method::READ_JOURNAL,
      [this](const Context&, schemas::ReadJournalRequest::Reader request,
             schemas::ReadJournalReply::Builder reply) { return ReadJournal(request, reply); },
      /*remember=*/false);
}

void ControlService::RegisterWrites(rpc::Server& server) {
  using Context = rpc::RequestContext;
  server.Register<schemas::PrepareTargetRequest, schemas::Empty>(
      schemas::Method::PREPARE_TARGET,
      [this](const Context& context, schemas::PrepareTargetRequest::Reader request,
             schemas::Empty::Builder) { return Prepare(context, request); });
  server.Register<schemas::SetGateRequest, schemas::SetGateReply>(
      schemas::Method::SET_GATE,
      [this](const Context& context, schemas::SetGateRequest::Reader request,
             schemas::SetGateReply::Builder reply) { return SetGate(context, request, reply); });
  server.Register<schemas::ProbeGateRequest, schemas::ProbeGateReply>(
      schemas::Method::PROBE_GATE,
      [this](const Context&, schemas::ProbeGateRequest::Reader request,
             schemas::ProbeGateReply::Builder reply) { return ProbeGate(request, reply); });
  server.Register<schemas::RaiseCountersRequest, schemas::RaiseCountersReply>(
      schemas::Method::RAISE_COUNTERS,
      [this](const Context&, schemas::RaiseCountersRequest::Reader request,
             schemas::RaiseCountersReply::Builder reply) { return RaiseCounters(request, reply); });
  server.Register<schemas::WriteJournalRequest, schemas::Empty>(
      schemas::Method::WRITE_JOURNAL,
      [this](const Context& context, schemas::WriteJournalRequest::Reader request,
             schemas::Empty::Builder) { return WriteJournal(context, request); });
  server.Register<schemas::DropTablesRequest, schemas::DropTablesReply>(
      schemas::Method::DROP_TABLES,
      [this](const Context& context, schemas::DropTablesRequest::Reader request,
             schemas::DropTablesReply::Builder reply) { return Drop(context, request, reply); });
}

absl::Status ControlService::Ping(schemas::AgentInfo::Builder reply) {
  const MysqldState state = parts_.monitor.Current();
  FillIdentity(parts_.config, parts_.url(), state, reply.initIdentity());
  FillHealth(state, reply.initHealth());
  reply.setVersion(Version());
  auto others = reply.initOthers(wire::Size(parts_.config.shards) - 1);
  for (unsigned i = 0; i < others.size(); ++i) {
    FillShare(parts_.config.shards[i + 1], state.shards[i + 1], others[i]);
  }
  return absl::OkStatus();
}

absl::StatusOr<size_t> ControlService::ShardOf(const std::string& database) const {
  const AgentConfig& config = parts_.config;
  if (database.empty() && config.shards.size() == 1) {
    return size_t{0};
  }
  if (database.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the request names no database, and this agent serves ", config.DescribeDatabases()));
  }
  const std::optional<size_t> found = config.FindDatabase(database);
  if (!found.has_value()) {
    return absl::InvalidArgumentError(absl::StrCat("this agent serves ", config.DescribeDatabases(),
                                                   ", not database ", database));
  }
  return *found;
}

absl::Status ControlService::Describe(schemas::DescribeTablesRequest::Reader request,
                                      schemas::DescribeTablesReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const size_t shard, ShardOf(wire::Str(request.getDatabase())));
  const std::string& database = parts_.config.shards[shard].database;
  std::vector<std::string> names;
  for (const auto name : request.getTables()) {
    names.emplace_back(name);
  }
  SLUICE_ASSIGN_OR_RETURN(Session session, parts_.pool.Borrow());
  SLUICE_ASSIGN_OR_RETURN(const auto tables, DescribeTables(*session, database, std::move(names)));
  const std::string zone = request.getTimeZone();
  if (!zone.empty()) {
    SLUICE_RETURN_IF_ERROR(target::CheckZone(*session, zone));
    for (const DescribedTable& table : tables) {
      SLUICE_RETURN_IF_ERROR(target::CheckConvertible(table.schema, zone, "UTC"));
    }
  }
  auto list = reply.initTables(static_cast<unsigned>(tables.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    FillDescription(tables[i], list[i]);
  }
  return absl::OkStatus();
}

absl::Status ControlService::ReadPosition(schemas::ReadPositionReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(Session session, parts_.pool.Borrow());
  SLUICE_ASSIGN_OR_RETURN(const std::string executed,
                          session->QueryScalar("SELECT @@GLOBAL.gtid_executed"));
  reply.setGtidExecuted(absl::StrReplaceAll(executed, {{"\n", ""}}));
  return absl::OkStatus();
}

absl::Status ControlService::AwaitPosition(const rpc::RequestContext& context,
                                           schemas::AwaitPositionRequest::Reader request) {
  const std::string text = request.getGtidSet();
  SLUICE_ASSIGN_OR_RETURN(const gtid::GtidSet wanted, gtid::GtidSet::Parse(text));
  const absl::Time deadline =
      std::min(context.deadline, absl::Now() + absl::Milliseconds(request.getWaitMs()));
  SLUICE_ASSIGN_OR_RETURN(Session session, parts_.pool.Borrow());
  const std::string quoted = mysql::QuoteString(wanted.ToString());
  while (true) {
    const absl::Duration left = deadline - absl::Now();
    // A time-out of 0 would mean for ever.
    const absl::Duration slice = std::clamp(left, absl::Milliseconds(1), kWaitSlice);
    SLUICE_ASSIGN_OR_RETURN(
        const std::string timed_out,
        session->QueryScalar(absl::StrCat("SELECT WAIT_FOR_EXECUTED_GTID_SET(", quoted, ", ",
                                          absl::ToDoubleSeconds(slice), ")")));
    if (timed_out == "0") {
      return absl::OkStatus();
    }
    if (context.closing()) {
      return absl::UnavailableError("the agent is stopping");
    }
    if (left <= slice) {
      return absl::DeadlineExceededError(absl::StrCat("mysqld of agent ", parts_.config.name(),
                                                      " has not executed ", text, " yet"));
    }
  }
}

absl::Status ControlService::WriteJournal(const rpc::RequestContext& context,
                                          schemas::WriteJournalRequest::Reader request) {
  SLUICE_RETURN_IF_ERROR(parts_.monitor.CheckAnyPrimary());
  if (request.getCutoverId().size() == 0) {
    return absl::InvalidArgumentError("journal: no cutover named");
  }
  {
    SLUICE_ASSIGN_OR_RETURN(Session session, parts_.pool.Borrow());
    SLUICE_RETURN_IF_ERROR(sidecar::WriteJournal(*session, request.getCutoverId(),
                                                 request.getWorkflow(), request.getRecord()));
  }
  if (request.getGuardDatabase().size() == 0) {
    return absl::OkStatus();
  }
  const gate::GateId id = {.workflow = request.getWorkflow(),
                           .database = request.getGuardDatabase()};
  SLUICE_CRASH_POINT("journal.before_guard");
  absl::Status guarded = parts_.gates.Guard(id, context.deadline);
  if (guarded.ok()) {
    return guarded;
  }
  SLUICE_LOG(kWarning, "the names of closed tables are not all guarded",
             {{"workflow", id.workflow}, {"database", id.database}, {"error", guarded}});
  // A free name takes a table, and writes that nobody will find. So the request fails, and is
  // repeated, as long as that may help; what it can't cure must not keep a cutover from its end.
  return CanPass(guarded) ? guarded : absl::OkStatus();
}

absl::Status ControlService::ReadJournal(schemas::ReadJournalRequest::Reader request,
                                         schemas::ReadJournalReply::Builder reply) {
  SLUICE_ASSIGN_OR_RETURN(const size_t shard, ShardOf(wire::Str(request.getDatabase())));
  const gate::GateId id = {.workflow = wire::Str(request.getWorkflow()),
                           .database = parts_.config.shards[shard].database};
  SLUICE_ASSIGN_OR_RETURN(Session session, parts_.pool.Borrow());
  SLUICE_ASSIGN_OR_RETURN(const auto row, gate::ReadGateRow(*session, id));
  const uint32_t limit = std::clamp(request.getLimit(), 1U, kJournalEntriesMax);
  SLUICE_ASSIGN_OR_RETURN(const std::vector<sidecar::JournalEntry> entries,
                          sidecar::ReadJournal(*session, id.workflow, limit));
  auto list = reply.initEntries(wire::Size(entries));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setCutoverId(entries[i].cutover_id);
    list[i].setRecord(entries[i].record);
    list[i].setWrittenUs(entries[i].written_us);
  }
  if (row.has_value()) {
    reply.setGateState(row->state);
    reply.setGateWanted(row->wanted);
    reply.setGateEpoch(row->epoch);
  }
  return absl::OkStatus();
}

}  // namespace sluice::agent
