// Registrar: tells the coordinator what this tablet is and how it fares.

#include "agent/health/registrar.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/crash_point.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/wire/wire.h"

namespace sluice::agent {
namespace {

constexpr absl::Duration kCallTimeout = absl::Seconds(5);
constexpr absl::Duration kRetry = absl::Milliseconds(200);
// Reports of changes are at least this far apart.
constexpr absl::Duration kCoalesce = absl::Milliseconds(20);

// Register and report requests have the same fields.
template <typename Builder>
void FillRequest(const AgentConfig& config, const std::string& url, const MysqldState& state,
                 uint64_t incarnation, const RegistrarHooks& hooks, Builder request) {
  const StreamFill fill = hooks.streams();
  FillIdentity(config, url, state, request.initIdentity());
  FillHealth(state, request.initHealth());
  request.setIncarnation(incarnation);
  const std::vector<std::string>& tables = state.shards.front().tables;
  wire::Fill(request.initTables(wire::Size(tables)), tables);
  fill(config.shards.front().database,
       [&](unsigned streams) { return request.initStreams(streams); });
  auto others = request.initOthers(wire::Size(config.shards) - 1);
  for (unsigned i = 0; i < others.size(); ++i) {
    const ShardState& shard = state.shards[i + 1];
    schemas::TabletShare::Builder share = others[i];
    FillShare(config.shards[i + 1], shard, share);
    wire::Fill(share.initTables(wire::Size(shard.tables)), shard.tables);
    fill(config.shards[i + 1].database,
         [&](unsigned streams) { return share.initStreams(streams); });
  }
}

}  // namespace

void FillIdentity(const AgentConfig& config, const std::string& url, const MysqldState& state,
                  schemas::TabletIdentity::Builder identity) {
  const ShardConfig& shard = config.shards.front();
  identity.setCell(config.cell);
  identity.setUid(shard.uid);
  identity.setKeyspace(shard.keyspace);
  identity.setShard(shard.shard);
  identity.setDatabase(shard.database);
  identity.setAgentUrl(url);
  identity.setMysqlHost(config.mysql_advertise_host);
  identity.setMysqlPort(config.mysql_advertise_port != 0 ? config.mysql_advertise_port
                                                         : state.port);
  identity.setConfiguredType(wire::WireOf(shard.type));
}

void FillHealth(const MysqldState& state, schemas::TabletHealth::Builder health) {
  const ShardState& shard = state.shards.front();
  health.setReachable(state.reachable);
  health.setType(wire::WireOf(shard.type));
  health.setReadOnly(state.read_only);
  health.setReplicaLagMs(state.replica_lag_ms);
  health.setProblem(shard.problem);
  health.setServerUuid(state.server_uuid);
  health.setServerVersion(state.server_version);
  health.setGtidExecuted(state.gtid_executed);
}

void FillShare(const ShardConfig& shard, const ShardState& state,
               schemas::TabletShare::Builder share) {
  share.setUid(shard.uid);
  share.setKeyspace(shard.keyspace);
  share.setShard(shard.shard);
  share.setDatabase(shard.database);
  share.setConfiguredType(wire::WireOf(shard.type));
  share.setType(wire::WireOf(state.type));
  share.setProblem(state.problem);
}

absl::StatusOr<std::unique_ptr<Registrar>> Registrar::Create(AgentConfig config, std::string url,
                                                             const Monitor& monitor,
                                                             RegistrarHooks hooks) {
  SLUICE_ASSIGN_OR_RETURN(
      auto client, rpc::Client::Dial(config.coordinator, absl::StrCat("agent ", config.name())));
  return std::unique_ptr<Registrar>(new Registrar(std::move(config), std::move(url), monitor,
                                                  std::move(hooks), std::move(client)));
}

Registrar::Registrar(AgentConfig config, std::string url, const Monitor& monitor,
                     RegistrarHooks hooks, std::unique_ptr<rpc::Client> client)
    : config_(std::move(config)),
      url_(std::move(url)),
      monitor_(monitor),
      hooks_(std::move(hooks)),
      client_(std::move(client)),
      incarnation_(static_cast<uint64_t>(absl::ToUnixMicros(absl::Now()))) {}

Registrar::~Registrar() {
  Stop();
}

void Registrar::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Registrar::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  // First, so that the call which Close ends is the last one.
  thread_.request_stop();
  client_->Close();
  if (thread_.joinable()) {
    thread_.join();
  }
}

void Registrar::Changed() {
  const absl::MutexLock lock(&mutex_);
  changed_ = true;
}

void Registrar::Run(const std::stop_token& stop) {
  bool known = false;  // the coordinator has some of the tablets at least
  bool ever = false;
  while (!stop.stop_requested()) {
    absl::Status status = all_registered_ ? Report() : Register();
    if (absl::IsNotFound(status) && all_registered_) {
      all_registered_ = false;
      known = false;
      SLUICE_LOG(kInfo, "coordinator does not know this agent's tablets; registering anew");
      continue;
    }
    if (!status.ok() && !stop.stop_requested()) {
      SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "coordinator can't be told",
                       {{"coordinator", config_.coordinator}, {"error", status}});
    }
    if (status.ok() && !std::exchange(known, true)) {
      SLUICE_LOG(kInfo, "registered",
                 {{"coordinator", config_.coordinator},
                  {"url", url_},
                  {"tablets", config_.shards.size()}});
      if (!std::exchange(ever, true)) {
        hooks_.registered();
      }
    }
    Rest(status.ok() ? interval_ : kRetry);
  }
}

template <typename Reply>
void Registrar::Told(Reply reply) const {
  if (!hooks_.told || !reply.hasCluster()) {
    return;
  }
  std::vector<schemas::ClusterView::Reader> views = {reply.getCluster()};
  for (const schemas::ClusterView::Reader view : reply.getOthers()) {
    views.push_back(view);
  }
  hooks_.told(views);
}

void Registrar::TakeRefusals(capnp::List<capnp::Text>::Reader refusals) {
  std::vector<std::string> refused;
  const unsigned count = std::min(refusals.size(), wire::Size(config_.shards));
  for (unsigned i = 0; i < count; ++i) {
    if (refusals[i].size() != 0) {
      refused.push_back(wire::Str(refusals[i]));
    }
  }
  all_registered_ = refused.empty();
  if (!refused.empty()) {
    SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "coordinator refuses tablets",
                     {{"reason", absl::StrJoin(refused, "; ")}});
  }
}

absl::Status Registrar::Register() {
  SLUICE_CRASH_POINT("agent.before_register");
  const MysqldState state = monitor_.Current();
  return client_->Call<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
      schemas::Method::REGISTER_TABLET,
      [&](schemas::RegisterTabletRequest::Builder request) {
        FillRequest(config_, url_, state, incarnation_, hooks_, request);
      },
      [&](schemas::RegisterTabletReply::Reader reply) {
        const absl::Duration asked = absl::Milliseconds(reply.getReportIntervalMs());
        interval_ = std::clamp(asked, absl::Milliseconds(100), absl::Seconds(10));
        TakeRefusals(reply.getRefusals());
        Told(reply);
        return absl::OkStatus();
      },
      {.timeout = kCallTimeout, .idempotency_id = {}, .traceparent = {}});
}

absl::Status Registrar::Report() {
  const MysqldState state = monitor_.Current();
  return client_->Call<schemas::ReportTabletRequest, schemas::ReportTabletReply>(
      schemas::Method::REPORT_TABLET,
      [&](schemas::ReportTabletRequest::Builder request) {
        FillRequest(config_, url_, state, incarnation_, hooks_, request);
      },
      [this](schemas::ReportTabletReply::Reader reply) {
        Told(reply);
        return absl::OkStatus();
      },
      {.timeout = kCallTimeout, .idempotency_id = {}, .traceparent = {}});
}

void Registrar::Rest(absl::Duration interval) {
  const absl::MutexLock lock(&mutex_);
  const absl::Duration least = std::min(interval, kCoalesce);
  mutex_.AwaitWithTimeout(absl::Condition(&stopping_), least);
  const auto wake = [this]()
                        ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return changed_ || stopping_; };
  mutex_.AwaitWithTimeout(absl::Condition(&wake), interval - least);
  changed_ = false;
}

}  // namespace sluice::agent
