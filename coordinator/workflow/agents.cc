// AgentPool: the calls of the coordinator to the agents, over rpc.

#include "coordinator/workflow/agents.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"
#include "coordinator/workflow/agents_codec.h"
#include "schemas/control.capnp.h"

namespace sluice::workflow {
namespace {

using schemas::Method;
using wire::Fill;
using wire::Size;
using wire::Str;

// Of the journal; how a workflow stands is decided by its newest ones.
constexpr uint32_t kJournalEntries = 8;

// What a peer may wait, so that its own answer arrives before the caller gives up.
uint32_t WaitMs(const CallBudget& budget) {
  const absl::Duration margin = std::min(budget.timeout / 10, absl::Milliseconds(200));
  return static_cast<uint32_t>(
      std::clamp<int64_t>(absl::ToInt64Milliseconds(budget.timeout - margin), 1, 86'400'000));
}

rpc::CallOptions OptionsOf(const CallBudget& budget) {
  rpc::CallOptions options;
  options.timeout = budget.timeout;
  options.idempotency_id = budget.idempotency_id;
  return options;
}

// For people; empty when there are none.
std::string DescribeBlockers(capnp::List<schemas::Blocker>::Reader blockers) {
  std::vector<std::string> texts;
  for (const auto blocker : blockers) {
    if (blocker.getConnectionId() == 0) {
      texts.emplace_back("a prepared XA transaction (see XA RECOVER)");
      continue;
    }
    const std::string statement = Str(blocker.getStatement());
    texts.push_back(absl::StrCat(
        "connection ", blocker.getConnectionId(), " (", Str(blocker.getUser()), "@",
        Str(blocker.getHost()), ", for ",
        absl::FormatDuration(absl::Milliseconds(static_cast<int64_t>(blocker.getAgeMs()))),
        statement.empty() ? "" : ": ", statement, ")"));
  }
  return absl::StrJoin(texts, "; ");
}

template <typename Rep>
absl::Status Nothing(typename Rep::Reader /*reply*/) {
  return absl::OkStatus();
}

// One call, its errors naming the agent and what was asked of it.
template <typename Req, typename Rep>
absl::Status Call(absl::StatusOr<std::shared_ptr<rpc::Client>> client, const AgentRef& agent,
                  Method method, absl::string_view what, const CallBudget& budget,
                  const std::function<void(typename Req::Builder)>& build,
                  const std::function<absl::Status(typename Rep::Reader)>& read) {
  if (!client.ok()) {
    return Annotate(client.status(), what);
  }
  return Annotate((*client)->Call<Req, Rep>(method, build, read, OptionsOf(budget)),
                  absl::StrCat(what, " on ", agent.ToString()));
}

}  // namespace

std::string AgentRef::ToString() const {
  return alias.empty() ? absl::StrCat(keyspace, "/", shard) : alias;
}

AgentPool::AgentPool(const topology::Topology& topology, std::string caller)
    : topology_(topology), caller_(std::move(caller)) {}

AgentPool::~AgentPool() {
  Close();
}

void AgentPool::Close() {
  std::map<std::string, std::shared_ptr<rpc::Client>> clients;
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
    clients.swap(clients_);
  }
  for (const auto& [url, client] : clients) {
    client->Close();
  }
}

absl::StatusOr<std::shared_ptr<rpc::Client>> AgentPool::ForTablet(
    const topology::TabletInfo& tablet) {
  std::vector<std::shared_ptr<rpc::Client>> ended;  // without the lock
  const absl::MutexLock lock(&mutex_);
  if (closed_) {
    return absl::CancelledError("the coordinator is stopping");
  }
  if (const auto found = clients_.find(tablet.agent_url); found != clients_.end()) {
    return found->second;
  }
  SLUICE_ASSIGN_OR_RETURN(std::shared_ptr<rpc::Client> made,
                          rpc::Client::Dial(tablet.agent_url, caller_));
  clients_.emplace(tablet.agent_url, made);
  std::set<std::string> used = {tablet.agent_url};
  for (const topology::TabletInfo& known : topology_.Tablets()) {
    used.insert(known.agent_url);
  }
  for (auto it = clients_.begin(); it != clients_.end();) {
    if (used.contains(it->first)) {
      ++it;
    } else {
      ended.push_back(std::move(it->second));
      it = clients_.erase(it);
    }
  }
  return made;
}

absl::StatusOr<std::shared_ptr<rpc::Client>> AgentPool::ForPrimary(absl::string_view keyspace,
                                                                   absl::string_view shard) {
  SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo tablet, topology_.PrimaryOf(keyspace, shard));
  return ForTablet(tablet);
}

absl::StatusOr<std::shared_ptr<rpc::Client>> AgentPool::ForAlias(absl::string_view alias) {
  SLUICE_ASSIGN_OR_RETURN(const topology::TabletInfo tablet, topology_.FindTablet(alias));
  return ForTablet(tablet);
}

absl::StatusOr<std::shared_ptr<rpc::Client>> AgentPool::Find(const AgentRef& agent) {
  return agent.alias.empty() ? ForPrimary(agent.keyspace, agent.shard) : ForAlias(agent.alias);
}

absl::StatusOr<std::vector<TableDescription>> AgentPool::DescribeTables(
    const AgentRef& agent, const std::string& database, const std::vector<std::string>& tables,
    const CallBudget& budget) {
  std::vector<TableDescription> result;
  SLUICE_RETURN_IF_ERROR((Call<schemas::DescribeTablesRequest, schemas::DescribeTablesReply>(
      Find(agent), agent, Method::DESCRIBE_TABLES, "reading table definitions", budget,
      [&](auto request) {
        request.setDatabase(database);
        Fill(request.initTables(Size(tables)), tables);
      },
      [&](auto reply) {
        for (const auto table : reply.getTables()) {
          result.push_back(DecodeTable(table));
        }
        return absl::OkStatus();
      })));
  return result;
}

absl::Status AgentPool::CheckTimeZone(const AgentRef& agent, const std::string& database,
                                      const std::vector<std::string>& tables,
                                      const std::string& zone, const CallBudget& budget) {
  return Call<schemas::DescribeTablesRequest, schemas::DescribeTablesReply>(
      Find(agent), agent, Method::DESCRIBE_TABLES, "looking up a time zone", budget,
      [&](auto request) {
        request.setDatabase(database);
        Fill(request.initTables(Size(tables)), tables);
        request.setTimeZone(zone);
      },
      [](auto) { return absl::OkStatus(); });
}

absl::Status AgentPool::PrepareTarget(const AgentRef& agent, const std::string& workflow,
                                      const std::string& database,
                                      const std::vector<TableDescription>& tables,
                                      const CallBudget& budget) {
  return Call<schemas::PrepareTargetRequest, schemas::Empty>(
      Find(agent), agent, Method::PREPARE_TARGET, "creating tables", budget,
      [&](auto request) {
        request.setWorkflow(workflow);
        request.setDatabase(database);
        auto list = request.initTables(Size(tables));
        for (unsigned i = 0; i < list.size(); ++i) {
          EncodeTable(tables[i], list[i]);
        }
      },
      &Nothing<schemas::Empty>);
}

absl::Status AgentPool::CreateStream(const AgentRef& agent, const StreamSpec& spec, bool start,
                                     const CallBudget& budget) {
  return Call<schemas::CreateStreamRequest, schemas::Empty>(
      Find(agent), agent, Method::CREATE_STREAM, absl::StrCat("creating stream ", spec.id), budget,
      [&](auto request) {
        EncodeSpec(spec, request.initSpec());
        request.setStart(start);
      },
      &Nothing<schemas::Empty>);
}

absl::StatusOr<topology::StreamInfo> AgentPool::ControlStream(const AgentRef& agent,
                                                              uint64_t stream_id,
                                                              StreamAction action, uint64_t epoch,
                                                              const CallBudget& budget) {
  topology::StreamInfo stream;
  SLUICE_RETURN_IF_ERROR((Call<schemas::ControlStreamRequest, schemas::ControlStreamReply>(
      Find(agent), agent, Method::CONTROL_STREAM,
      absl::StrCat(StreamActionName(action), " of stream ", stream_id), budget,
      [&](auto request) {
        request.setStreamId(stream_id);
        request.setAction(WireAction(action));
        request.setEpoch(epoch);
      },
      [&](auto reply) {
        stream = topology::DecodeStream(reply.getStatus());
        return absl::OkStatus();
      })));
  return stream;
}

absl::Status AgentPool::PlaceStream(const AgentRef& agent, uint64_t stream_id,
                                    const std::string& position, StreamAction action,
                                    uint64_t epoch, const CallBudget& budget) {
  return Call<schemas::ControlStreamRequest, schemas::ControlStreamReply>(
      Find(agent), agent, Method::CONTROL_STREAM,
      absl::StrCat(StreamActionName(action), " of stream ", stream_id, " at its position"), budget,
      [&](auto request) {
        request.setStreamId(stream_id);
        request.setAction(WireAction(action));
        request.setEpoch(epoch);
        request.setStartPosition(position);
      },
      &Nothing<schemas::ControlStreamReply>);
}

absl::StatusOr<topology::StreamInfo> AgentPool::UpdateStream(const AgentRef& agent,
                                                             const StreamUpdate& update,
                                                             const CallBudget& budget) {
  topology::StreamInfo stream;
  SLUICE_RETURN_IF_ERROR((Call<schemas::UpdateStreamRequest, schemas::ControlStreamReply>(
      Find(agent), agent, Method::UPDATE_STREAM,
      absl::StrCat("update of stream ", update.stream_id), budget,
      [&](auto request) {
        request.setStreamId(update.stream_id);
        request.setEpoch(update.epoch);
        Fill(request.initSourceTypes(Size(update.source_types)), update.source_types);
        stream::WriteStreamOptions(update.options, request.initOptions());
        request.setThrottled(update.throttled);
      },
      [&](auto reply) {
        stream = topology::DecodeStream(reply.getStatus());
        return absl::OkStatus();
      })));
  return stream;
}

absl::StatusOr<std::vector<topology::StreamInfo>> AgentPool::ListStreams(
    const AgentRef& agent, const std::string& workflow, const CallBudget& budget) {
  std::vector<topology::StreamInfo> streams;
  SLUICE_RETURN_IF_ERROR((Call<schemas::ListStreamsRequest, schemas::ListStreamsReply>(
      Find(agent), agent, Method::LIST_STREAMS, "listing streams", budget,
      [&](auto request) { request.setWorkflow(workflow); },
      [&](auto reply) {
        for (const auto stream : reply.getStreams()) {
          streams.push_back(topology::DecodeStream(stream));
        }
        return absl::OkStatus();
      })));
  return streams;
}

absl::StatusOr<GateResult> AgentPool::SetGate(const AgentRef& agent, const GateChange& change,
                                              const CallBudget& budget) {
  GateResult result;
  SLUICE_RETURN_IF_ERROR((Call<schemas::SetGateRequest, schemas::SetGateReply>(
      Find(agent), agent, Method::SET_GATE,
      absl::StrCat("moving the gate to ", GateStateName(change.state)), budget,
      [&](auto request) {
        request.setWorkflow(change.workflow);
        request.setDatabase(change.database);
        Fill(request.initTables(Size(change.tables)), change.tables);
        request.setState(WireGate(change.state));
        request.setEpoch(change.epoch);
        request.setLockWaitMs(change.lock_wait_ms);
        request.setMarkerId(change.marker_id);
        request.setCutoverId(change.cutover_id);
        request.setJournal(change.journal);
        request.setKind(change.server ? schemas::GateKind::SERVER : schemas::GateKind::TABLES);
        Fill(request.initBeside(Size(change.beside)), change.beside);
      },
      [&](auto reply) {
        result = {GateOf(reply.getState()), Str(reply.getPosition()), reply.getTookUs(),
                  wire::Strs(reply.getKeptBy())};
        return absl::OkStatus();
      })));
  return result;
}

absl::StatusOr<GateReading> AgentPool::ReadGate(const AgentRef& agent, const GateQuery& query,
                                                const CallBudget& budget) {
  GateReading reading;
  SLUICE_RETURN_IF_ERROR((Call<schemas::ReadGateRequest, schemas::ReadGateReply>(
      Find(agent), agent, Method::READ_GATE, "reading the gate", budget,
      [&](auto request) {
        request.setWorkflow(query.workflow);
        request.setDatabase(query.database);
        Fill(request.initTables(Size(query.tables)), query.tables);
        request.setAskServer(query.ask_server);
        if (query.ask_end) {
          request.setAskEnd(true);
          request.setEndMode(WireMode(*query.ask_end));
        }
        Fill(request.initBeside(Size(query.beside)), query.beside);
      },
      [&](auto reply) {
        reading = {.state = GateOf(reply.getState()),
                   .epoch = reply.getEpoch(),
                   .server_obstacles = wire::Strs(reply.getServerObstacles()),
                   .end_obstacles = wire::Strs(reply.getEndObstacles()),
                   .server = reply.getKind() == schemas::GateKind::SERVER,
                   .kept_by = wire::Strs(reply.getKeptBy())};
        return absl::OkStatus();
      })));
  return reading;
}

absl::StatusOr<MarkerReached> AgentPool::AwaitMarker(const AgentRef& agent, uint64_t stream_id,
                                                     const std::string& marker_id,
                                                     const CallBudget& budget) {
  MarkerReached reached;
  SLUICE_RETURN_IF_ERROR((Call<schemas::AwaitMarkerRequest, schemas::AwaitMarkerReply>(
      Find(agent), agent, Method::AWAIT_MARKER,
      absl::StrCat("waiting for stream ", stream_id, " to apply the marker"), budget,
      [&](auto request) {
        request.setStreamId(stream_id);
        request.setMarkerId(marker_id);
        request.setWaitMs(WaitMs(budget));
      },
      [&](auto reply) {
        reached = {.applied = Str(reply.getPosition()),
                   .gtid_executed = Str(reply.getGtidExecuted())};
        return absl::OkStatus();
      })));
  return reached;
}

absl::StatusOr<ProbeResult> AgentPool::ProbeGate(const AgentRef& agent, const GateProbe& probe,
                                                 const CallBudget& budget) {
  ProbeResult result;
  SLUICE_RETURN_IF_ERROR((Call<schemas::ProbeGateRequest, schemas::ProbeGateReply>(
      Find(agent), agent, Method::PROBE_GATE, "looking who uses the tables", budget,
      [&](auto request) {
        request.setWorkflow(probe.workflow);
        request.setDatabase(probe.database);
        Fill(request.initTables(Size(probe.tables)), probe.tables);
        request.setAgeMs(probe.age_ms);
        request.setKillAfterMs(probe.kill_after_ms);
        request.setKillRowsMax(probe.kill_rows_max);
      },
      [&](auto reply) {
        result = {.blockers = DescribeBlockers(reply.getBlockers()),
                  .killed = DescribeBlockers(reply.getKilled())};
        return absl::OkStatus();
      })));
  return result;
}

absl::StatusOr<std::vector<uint64_t>> AgentPool::RaiseCounters(const AgentRef& agent,
                                                               const CounterQuery& query,
                                                               const CallBudget& budget) {
  std::vector<uint64_t> counters;
  SLUICE_RETURN_IF_ERROR((Call<schemas::RaiseCountersRequest, schemas::RaiseCountersReply>(
      Find(agent), agent, Method::RAISE_COUNTERS, "AUTO_INCREMENT counters", budget,
      [&](auto request) {
        request.setWorkflow(query.workflow);
        request.setDatabase(query.database);
        Fill(request.initTables(Size(query.tables)), query.tables);
        auto at_least = request.initAtLeast(Size(query.at_least));
        for (unsigned i = 0; i < at_least.size(); ++i) {
          at_least.set(i, query.at_least[i]);
        }
      },
      [&](auto reply) {
        for (const uint64_t counter : reply.getCounters()) {
          counters.push_back(counter);
        }
        return absl::OkStatus();
      })));
  if (counters.size() != query.tables.size()) {
    return absl::InternalError(absl::StrCat("AUTO_INCREMENT counters on ", agent.ToString(),
                                            ": an answer for ", counters.size(), " tables of ",
                                            query.tables.size()));
  }
  return counters;
}

absl::StatusOr<std::string> AgentPool::ReadPosition(const AgentRef& agent,
                                                    const CallBudget& budget) {
  std::string position;
  SLUICE_RETURN_IF_ERROR((Call<schemas::ReadPositionRequest, schemas::ReadPositionReply>(
      Find(agent), agent, Method::READ_POSITION, "reading the position", budget,
      [](auto /*request*/) {},
      [&](auto reply) {
        position = Str(reply.getGtidExecuted());
        return absl::OkStatus();
      })));
  return position;
}

absl::Status AgentPool::AwaitPosition(const AgentRef& agent, const std::string& gtid_set,
                                      const CallBudget& budget) {
  return Call<schemas::AwaitPositionRequest, schemas::Empty>(
      Find(agent), agent, Method::AWAIT_POSITION, "waiting for a position", budget,
      [&](auto request) {
        request.setGtidSet(gtid_set);
        request.setWaitMs(WaitMs(budget));
      },
      &Nothing<schemas::Empty>);
}

absl::Status AgentPool::WriteJournal(const AgentRef& agent, const JournalWrite& entry,
                                     const CallBudget& budget) {
  return Call<schemas::WriteJournalRequest, schemas::Empty>(
      Find(agent), agent, Method::WRITE_JOURNAL, "writing the journal", budget,
      [&](auto request) {
        request.setCutoverId(entry.cutover_id);
        request.setWorkflow(entry.workflow);
        request.setRecord(entry.record);
        request.setGuardDatabase(entry.guard_database);
      },
      &Nothing<schemas::Empty>);
}

absl::StatusOr<JournalReading> AgentPool::ReadJournal(const AgentRef& agent, const GateQuery& query,
                                                      const CallBudget& budget) {
  JournalReading reading;
  SLUICE_RETURN_IF_ERROR((Call<schemas::ReadJournalRequest, schemas::ReadJournalReply>(
      Find(agent), agent, Method::READ_JOURNAL, "reading the journal", budget,
      [&](auto request) {
        request.setWorkflow(query.workflow);
        request.setDatabase(query.database);
        request.setLimit(kJournalEntries);
      },
      [&](auto reply) {
        for (const auto entry : reply.getEntries()) {
          reading.entries.push_back({.cutover_id = Str(entry.getCutoverId()),
                                     .record = Str(entry.getRecord()),
                                     .written_us = entry.getWrittenUs()});
        }
        reading.gate_state = Str(reply.getGateState());
        reading.gate_wanted = Str(reply.getGateWanted());
        return absl::OkStatus();
      })));
  return reading;
}

absl::StatusOr<std::vector<std::string>> AgentPool::DropTables(const AgentRef& agent,
                                                               const DropRequest& request,
                                                               const CallBudget& budget) {
  std::vector<std::string> dropped;
  SLUICE_RETURN_IF_ERROR((Call<schemas::DropTablesRequest, schemas::DropTablesReply>(
      Find(agent), agent, Method::DROP_TABLES, "dropping tables", budget,
      [&](auto builder) {
        builder.setWorkflow(request.workflow);
        builder.setDatabase(request.database);
        Fill(builder.initTables(Size(request.tables)), request.tables);
        builder.setMode(WireMode(request.mode));
        builder.setEpoch(request.epoch);
      },
      [&](auto reply) {
        dropped = wire::Strs(reply.getDropped());
        return absl::OkStatus();
      })));
  return dropped;
}

}  // namespace sluice::workflow
