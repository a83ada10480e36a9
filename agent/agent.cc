// Agent: the parts of sluice-agent, put together.

#include "agent/agent.h"

#include <algorithm>
#include <atomic>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "agent/control/control_service.h"
#include "agent/gate/gate_keeper.h"
#include "agent/gate/server_gate.h"
#include "agent/health/monitor.h"
#include "agent/health/registrar.h"
#include "agent/session/session_pool.h"
#include "agent/sidecar/installer.h"
#include "agent/source/source_service.h"
#include "agent/target/stream_manager.h"
#include "agent/throttle/cluster_view.h"
#include "agent/throttle/sampler.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/rpc/server.h"
#include "common/wire/wire.h"

namespace sluice::agent {
namespace {

constexpr absl::Duration kFirstLookWait = absl::Seconds(5);
constexpr absl::Duration kPickSourceTimeout = absl::Seconds(5);

// Binlog readers register with their own mysqld as replicas; people number theirs from below.
constexpr uint32_t kServerIdBase = 0x40000000;
constexpr uint32_t kServerIdsPerAgent = 1024;
constexpr uint32_t kAgentSlots = 0xFFFF;

uint32_t ServerIdBase(const AgentConfig& config) {
  return kServerIdBase + (config.shards.front().uid % kAgentSlots) * kServerIdsPerAgent;
}

// What many shards need more than one: a stream reads by one session, and asks by one call that
// waits; a cutover has a session for each gate.
constexpr size_t kSessionsMin = 64;
constexpr size_t kSessionsPerShard = 8;
constexpr int kContextsMin = 128;
constexpr int kContextsPerShard = 4;

size_t SessionsMax(const AgentConfig& config) {
  return std::min<size_t>(kServerIdsPerAgent - 1,  // one is of what they share
                          kSessionsMin + kSessionsPerShard * (config.shards.size() - 1));
}

// DDL with thousands of tables takes minutes on a slow disk. Who hangs up on it meets mysqld taking
// it back, and begins anew with nothing done.
constexpr absl::Duration kGateReadTimeout = absl::Hours(1);

mysql::ConnectionOptions ForGates(mysql::ConnectionOptions options) {
  options.read_timeout = kGateReadTimeout;
  return options;
}

int Contexts(const AgentConfig& config) {
  return kContextsMin + kContextsPerShard * (static_cast<int>(config.shards.size()) - 1);
}

absl::StatusOr<target::SourceAddress> PickSource(rpc::Client& coordinator,
                                                 const target::StreamSpec& spec,
                                                 const std::string& cell) {
  target::SourceAddress picked;
  SLUICE_RETURN_IF_ERROR((coordinator.Call<schemas::PickSourceRequest, schemas::PickSourceReply>(
      schemas::Method::PICK_SOURCE,
      [&](schemas::PickSourceRequest::Builder request) {
        request.setKeyspace(spec.source_keyspace);
        request.setShard(spec.source_shard);
        auto list = request.initTypes(wire::Size(spec.source_types));
        for (unsigned i = 0; i < list.size(); ++i) {
          list.set(i, spec.source_types[i]);
        }
        wire::Fill(request.initCells(wire::Size(spec.options.cells)), spec.options.cells);
        request.setNearCell(cell);
      },
      [&](schemas::PickSourceReply::Reader reply) {
        picked = {.alias = reply.getAlias(), .agent_url = reply.getAgentUrl()};
        return absl::OkStatus();
      },
      {.timeout = kPickSourceTimeout, .idempotency_id = {}, .traceparent = {}})));
  return picked;
}

}  // namespace

// In the order of construction: what is used stands before what uses it.
struct Agent::Parts {
  explicit Parts(AgentConfig given)
      : config(std::move(given)),
        pool(config.mysql, std::max(SessionPool::kIdleMax, config.shards.size())),
        gate_pool(ForGates(config.mysql), std::max(SessionPool::kIdleMax, config.shards.size())),
        gates(gate_pool),
        sampler({.connection = config.mysql, .lag = [this] { return Lag(); }}),
        source({.connection = config.mysql,
                .databases = config.Databases(),
                .server_id_base = ServerIdBase(config),
                .sessions_max = SessionsMax(config),
                .sampler = &sampler}),
        streams(StreamOptions()),
        monitor(config, Hooks()),
        control({.config = config,
                 .monitor = monitor,
                 .pool = pool,
                 .gates = gates,
                 .url = [this] { return Url(); }}),
        server({.url = config.listen, .contexts = Contexts(config)}) {}

  [[nodiscard]] std::string Url() const {
    return config.advertise_url.empty() ? server.url() : config.advertise_url;
  }

  target::StreamManagerOptions StreamOptions() {
    return {.local = config.mysql,
            .agent_name = config.name(),
            .databases = config.Databases(),
            .pick_source = [this](const target::StreamSpec& spec) { return PickFrom(spec); },
            .on_change = [this] { NotifyChanged(); },
            .tuning = {},
            .check_primary = [this](const std::string& keyspace, const std::string& shard)
                -> absl::Status { return CheckPrimary(keyspace, shard); },
            .throttles = &throttles};
  }

  // Who serves writes in the shard: this agent's tablet of it, or nobody else. FAILED_PRECONDITION
  // names another one; other errors: nobody could be asked.
  absl::Status AskForPrimary(const std::string& keyspace, const std::string& shard) {
    target::StreamSpec shard_of;
    shard_of.source_keyspace = keyspace;
    shard_of.source_shard = shard;
    shard_of.source_types = {schemas::TabletType::PRIMARY};
    SLUICE_ASSIGN_OR_RETURN(const target::SourceAddress picked, PickFrom(shard_of));
    const bool ours =
        std::any_of(config.shards.begin(), config.shards.end(), [&](const ShardConfig& each) {
          return each.keyspace == keyspace && each.shard == shard &&
                 config.AliasOf(each) == picked.alias;
        });
    return ours ? absl::OkStatus()
                : absl::FailedPreconditionError(absl::StrCat(picked.alias, " is the PRIMARY of ",
                                                             keyspace, "/", shard, " now"));
  }

  absl::Status CheckPrimary(const std::string& keyspace, const std::string& shard) {
    const absl::Status asked = AskForPrimary(keyspace, shard);
    return absl::IsFailedPrecondition(asked) ? asked : absl::OkStatus();
  }

  // A PRIMARY of old that comes back writable must not get transactions of its own.
  std::vector<absl::Status> BecomePrimary(const std::vector<size_t>& shards) {
    std::vector<absl::Status> statuses;
    bool somebody_answers = true;
    for (const size_t i : shards) {
      const ShardConfig& shard = config.shards[i];
      absl::Status status;
      if (somebody_answers) {
        status = AskForPrimary(shard.keyspace, shard.shard);
        // Of the shards after it nobody would know either, and each question may take seconds.
        somebody_answers = !absl::IsDeadlineExceeded(status);
      }
      if (!absl::IsFailedPrecondition(status)) {
        status = InstallSidecar(shard.database);
      }
      statuses.push_back(std::move(status));
    }
    return statuses;
  }

  absl::Status InstallSidecar(const std::string& database) {
    SLUICE_ASSIGN_OR_RETURN(Session session, pool.Borrow());
    SLUICE_RETURN_IF_ERROR(
        Annotate(sidecar::InstallSidecar(*session, database, sidecar::Migrations()),
                 "installing the sidecar"));
    return gate::KeepServerClosed(*session);
  }

  // Of the thread that samples, which begins before the monitor stands.
  throttle::Reading Lag() const {
    const Monitor* const looker = started_monitor.load();
    const MysqldState state = looker == nullptr ? MysqldState() : looker->Current();
    return cluster.Lag({.known = state.probed && state.reachable,
                        .primary = state.primary,
                        .lag_ms = state.replica_lag_ms},
                       absl::Now());
  }

  absl::StatusOr<target::SourceAddress> PickFrom(const target::StreamSpec& spec) {
    Registrar* const teller = started_registrar.load();
    if (teller == nullptr) {
      return absl::UnavailableError("the agent is starting");
    }
    return PickSource(teller->coordinator(), spec, config.cell);
  }

  void NotifyChanged() {
    if (Registrar* const teller = started_registrar.load(); teller != nullptr) {
      teller->Changed();
    }
  }

  MonitorHooks Hooks() {
    return {.become_primary =
                [this](const std::vector<size_t>& shards) { return BecomePrimary(shards); },
            .resume = [this] { return Annotate(streams.LoadAndResume(), "loading the streams"); },
            .resign = [this] { streams.Suspend(); },
            .changed = [this] { NotifyChanged(); }};
  }

  [[nodiscard]] StreamFill FillOfStreams() const {
    auto statuses = std::make_shared<const std::vector<target::StreamStatus>>(streams.Statuses());
    return [statuses](const std::string& database, const StreamListInit& init) {
      std::vector<const target::StreamStatus*> own;
      for (const target::StreamStatus& status : *statuses) {
        if (status.spec.target_database == database) {
          own.push_back(&status);
        }
      }
      auto list = init(static_cast<unsigned>(own.size()));
      for (unsigned i = 0; i < list.size(); ++i) {
        target::WriteStreamStatus(*own[i], list[i]);
      }
    };
  }

  absl::Status Start() {
    control.Register(server);
    streams.Register(server);
    source.Register(server);
    SLUICE_RETURN_IF_ERROR(server.Start());
    RegistrarHooks hooks{
        .streams = [this] { return FillOfStreams(); },
        .registered =
            [] {
              if (const absl::Status status = NotifyReady(); !status.ok()) {
                SLUICE_LOG(kWarning, "supervisor can't be told", {{"error", status}});
              }
            },
        .told =
            [this](const std::vector<schemas::ClusterView::Reader>& views) {
              cluster.Told(views, absl::Now());
            }};
    SLUICE_ASSIGN_OR_RETURN(registrar, Registrar::Create(config, Url(), monitor, std::move(hooks)));
    started_registrar.store(registrar.get());
    started_monitor.store(&monitor);
    monitor.Start();
    // So that the first registration says what mysqld is, if mysqld answers at all.
    monitor.AwaitFirstLook(kFirstLookWait);
    registrar->Start();
    return absl::OkStatus();
  }

  const AgentConfig config;
  SessionPool pool;
  SessionPool gate_pool;
  gate::GateKeeper gates;
  throttle::ClusterView cluster;
  std::atomic<const Monitor*> started_monitor{nullptr};
  throttle::Sampler sampler;
  const target::Throttles throttles{.sampler = sampler, .cluster = cluster};
  source::SourceService source;
  std::atomic<Registrar*> started_registrar{nullptr};
  target::StreamManager streams;
  Monitor monitor;
  ControlService control;
  rpc::Server server;
  std::unique_ptr<Registrar> registrar;
};

Agent::Agent(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}

Agent::~Agent() {
  Stop();
}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(AgentConfig config) {
  auto parts = std::make_unique<Parts>(std::move(config));
  std::unique_ptr<Agent> agent(new Agent(std::move(parts)));
  SLUICE_RETURN_IF_ERROR(agent->parts_->Start());
  SLUICE_LOG(kInfo, "serving", {{"url", agent->parts_->Url()}});
  return agent;
}

void Agent::Stop() {
  Parts& parts = *parts_;
  if (parts.registrar != nullptr) {
    parts.registrar->Stop();
  }
  parts.source.Stop();
  // Handlers that run see that the server closes; a gate's change comes to its own end.
  parts.server.Stop();
  parts.monitor.Stop();
  parts.streams.Stop();
  parts.sampler.Stop();
  parts.pool.Close();
  parts.gate_pool.Close();
}

}  // namespace sluice::agent
