// Registrar: tells the coordinator what this tablet is and how it fares.

#include "agent/health/registrar.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
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
void FillRequest(const AgentConfig& config, const std::string& url, const TabletState& state,
                 uint64_t incarnation, const RegistrarHooks& hooks, Builder request) {
  FillIdentity(config, url, state, request.initIdentity());
  FillHealth(state, request.initHealth());
  request.setIncarnation(incarnation);
  wire::Fill(request.initTables(wire::Size(state.tables)), state.tables);
  hooks.fill_streams([&](unsigned streams) { return request.initStreams(streams); });
}

}  // namespace

void FillIdentity(const AgentConfig& config, const std::string& url, const TabletState& state,
                  schemas::TabletIdentity::Builder identity) {
  identity.setCell(config.cell);
  identity.setUid(config.uid);
  identity.setKeyspace(config.keyspace);
  identity.setShard(config.shard);
  identity.setDatabase(config.database);
  identity.setAgentUrl(url);
  identity.setMysqlHost(config.mysql_advertise_host);
  identity.setMysqlPort(config.mysql_advertise_port != 0 ? config.mysql_advertise_port
                                                         : state.port);
  identity.setConfiguredType(wire::WireOf(config.type));
}

void FillHealth(const TabletState& state, schemas::TabletHealth::Builder health) {
  health.setReachable(state.reachable);
  health.setType(wire::WireOf(state.type));
  health.setReadOnly(state.read_only);
  health.setReplicaLagMs(state.replica_lag_ms);
  health.setProblem(state.problem);
  health.setServerUuid(state.server_uuid);
  health.setServerVersion(state.server_version);
  health.setGtidExecuted(state.gtid_executed);
}

absl::StatusOr<std::unique_ptr<Registrar>> Registrar::Create(AgentConfig config, std::string url,
                                                             const Monitor& monitor,
                                                             RegistrarHooks hooks) {
  SLUICE_ASSIGN_OR_RETURN(
      auto client, rpc::Client::Dial(config.coordinator, absl::StrCat("agent ", config.alias())));
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
  bool registered = false;
  bool ever = false;
  while (!stop.stop_requested()) {
    absl::Status status = registered ? Report() : Register();
    if (absl::IsNotFound(status) && registered) {
      registered = false;
      SLUICE_LOG(kInfo, "coordinator does not know this tablet; registering anew");
      continue;
    }
    if (!status.ok() && !stop.stop_requested()) {
      SLUICE_LOG_EVERY(absl::Seconds(10), kWarning, "coordinator can't be told",
                       {{"coordinator", config_.coordinator}, {"error", status}});
    }
    if (status.ok() && !registered) {
      registered = true;
      SLUICE_LOG(kInfo, "registered", {{"coordinator", config_.coordinator}, {"url", url_}});
      if (!std::exchange(ever, true)) {
        hooks_.registered();
      }
    }
    Rest(status.ok() ? interval_ : kRetry);
  }
}

template <typename Reply>
void Registrar::Told(Reply reply) const {
  if (hooks_.told && reply.hasCluster()) {
    hooks_.told(reply.getCluster());
  }
}

absl::Status Registrar::Register() {
  SLUICE_CRASH_POINT("agent.before_register");
  const TabletState state = monitor_.Current();
  return client_->Call<schemas::RegisterTabletRequest, schemas::RegisterTabletReply>(
      schemas::Method::REGISTER_TABLET,
      [&](schemas::RegisterTabletRequest::Builder request) {
        FillRequest(config_, url_, state, incarnation_, hooks_, request);
      },
      [&](schemas::RegisterTabletReply::Reader reply) {
        const absl::Duration asked = absl::Milliseconds(reply.getReportIntervalMs());
        interval_ = std::clamp(asked, absl::Milliseconds(100), absl::Seconds(10));
        Told(reply);
        return absl::OkStatus();
      },
      {.timeout = kCallTimeout, .idempotency_id = {}, .traceparent = {}});
}

absl::Status Registrar::Report() {
  const TabletState state = monitor_.Current();
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
