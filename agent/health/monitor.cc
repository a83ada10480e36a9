// Monitor: watches the agent's mysqld and says what it is and whether it can serve.

#include "agent/health/monitor.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/health/probe.h"
#include "common/base/log.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/mysql/table_schema.h"

namespace sluice::agent {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(1);
constexpr absl::Duration kPrivilegesPeriod = absl::Seconds(10);
constexpr absl::Duration kAnswerTimeout = absl::Seconds(3);

// Positions and lag move all the time.
bool SameButMoving(const TabletState& a, const TabletState& b) {
  return a.probed == b.probed && a.reachable == b.reachable && a.type == b.type &&
         a.read_only == b.read_only && a.problem == b.problem && a.ready == b.ready &&
         a.server_uuid == b.server_uuid && a.port == b.port && a.tables == b.tables;
}

void LogChange(const TabletState& before, const TabletState& now) {
  if (now.problem != before.problem && !now.problem.empty()) {
    SLUICE_LOG(kError, "mysqld cannot serve", {{"problem", now.problem}});
  }
  if (now.problem.empty() && (!before.problem.empty() || !before.probed)) {
    SLUICE_LOG(kInfo, "mysqld can serve",
               {{"type", routing::TabletTypeName(now.type)}, {"version", now.server_version}});
  } else if (now.type != before.type && now.reachable) {
    SLUICE_LOG(kInfo, "mysqld's role changed",
               {{"from", routing::TabletTypeName(before.type)},
                {"to", routing::TabletTypeName(now.type)}});
  }
}

}  // namespace

Monitor::Monitor(AgentConfig config, MonitorHooks hooks)
    : config_(std::move(config)), hooks_(std::move(hooks)) {
  const absl::MutexLock lock(&mutex_);
  state_.type =
      config_.type == routing::TabletType::kPrimary ? routing::TabletType::kReplica : config_.type;
}

Monitor::~Monitor() {
  Stop();
}

void Monitor::Start() {
  thread_ = std::jthread([this](const std::stop_token& stop) { Run(stop); });
}

void Monitor::Stop() {
  {
    const absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (thread_.joinable()) {
    thread_.request_stop();
    thread_.join();
  }
}

TabletState Monitor::Current() const {
  const absl::MutexLock lock(&mutex_);
  return state_;
}

void Monitor::Kick() {
  const absl::MutexLock lock(&mutex_);
  kicked_ = true;
}

bool Monitor::AwaitFirstLook(absl::Duration timeout) {
  const absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&state_.probed), timeout);
}

absl::Status Monitor::CheckPrimary() const {
  const TabletState state = Current();
  const std::string alias = config_.alias();
  if (!state.reachable) {
    return WithSubject(absl::UnavailableError(absl::StrCat(
                           "tablet ", alias, ": mysqld does not answer: ", state.problem)),
                       alias);
  }
  if (state.type != routing::TabletType::kPrimary) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat("tablet ", alias, " is no PRIMARY now, but ",
                                                   routing::TabletTypeName(state.type))),
        alias);
  }
  if (!state.ready) {
    return WithSubject(
        absl::UnavailableError(absl::StrCat("tablet ", alias, " is not ready yet",
                                            state.problem.empty() ? "" : ": ", state.problem)),
        alias);
  }
  return absl::OkStatus();
}

absl::Status Monitor::CheckServing() const {
  SLUICE_RETURN_IF_ERROR(CheckPrimary());
  const std::string problem = Current().problem;
  if (!problem.empty()) {
    return WithSubject(absl::FailedPreconditionError(
                           absl::StrCat("tablet ", config_.alias(), " cannot serve: ", problem)),
                       config_.alias());
  }
  return absl::OkStatus();
}

void Monitor::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto looked = Look();
    if (looked.ok()) {
      Publish(*std::move(looked));
    } else {
      connection_.reset();
      resumed_ = false;
      TabletState gone = Current();
      gone.probed = true;
      gone.reachable = false;
      gone.replica_lag_ms = -1;
      gone.problem = absl::StrCat("mysqld does not answer: ", looked.status().message());
      Publish(gone);
    }
    Rest(stop);
  }
}

absl::StatusOr<TabletState> Monitor::Look() {
  if (connection_ == nullptr) {
    mysql::ConnectionOptions options = config_.mysql;
    options.connect_timeout = kAnswerTimeout;
    options.read_timeout = kAnswerTimeout;
    options.write_timeout = kAnswerTimeout;
    SLUICE_ASSIGN_OR_RETURN(connection_, mysql::Connection::Connect(options));
    privileges_read_ = absl::InfinitePast();
  }
  SLUICE_ASSIGN_OR_RETURN(MysqldFacts facts, ReadFacts(*connection_));
  SLUICE_RETURN_IF_ERROR(EnsurePrivileges(facts));
  TabletState state;
  state.probed = true;
  state.reachable = true;
  state.type = EffectiveType(facts, config_.type);
  state.read_only = facts.read_only || facts.super_read_only;
  state.replica_lag_ms = facts.replica.configured ? facts.replica.lag_ms : -1;
  state.server_uuid = facts.server_uuid;
  state.server_version = facts.version;
  state.gtid_executed = facts.gtid_executed;
  state.port = facts.port;
  std::vector<std::string> problems = FindProblems(facts, config_.database, config_.type);
  Reign(state, problems);
  if (state.type == routing::TabletType::kPrimary) {
    SLUICE_ASSIGN_OR_RETURN(state.tables, mysql::ListTables(*connection_, config_.database));
  }
  state.problem = absl::StrJoin(problems, ". ");
  had_problems_ = !problems.empty();
  return state;
}

absl::Status Monitor::EnsurePrivileges(MysqldFacts& facts) {
  const absl::Time now = absl::Now();
  if (had_problems_ || now - privileges_read_ > kPrivilegesPeriod) {
    SLUICE_RETURN_IF_ERROR(ReadPrivileges(*connection_, known_));
    privileges_read_ = now;
  }
  facts.privileges = known_.privileges;
  facts.account = known_.account;
  return absl::OkStatus();
}

// The duties of a PRIMARY are taken up once, as soon as nothing is wrong with it. A problem that
// comes later does not end them: what is under way must be able to come to its end.
void Monitor::Reign(TabletState& state, std::vector<std::string>& problems) {
  if (state.type != routing::TabletType::kPrimary) {
    if (!reign_.empty()) {
      hooks_.resign();
    }
    reign_.clear();
    resumed_ = false;
    return;
  }
  const bool known = reign_ == state.server_uuid;
  if (!resumed_ && (known || problems.empty())) {
    if (const absl::Status status = TakeUp(state.server_uuid); !status.ok()) {
      problems.emplace_back(status.message());
    }
  }
  state.ready = reign_ == state.server_uuid && resumed_;
}

absl::Status Monitor::TakeUp(const std::string& server_uuid) {
  if (reign_ != server_uuid) {
    SLUICE_RETURN_IF_ERROR(hooks_.become_primary());
    reign_ = server_uuid;
  }
  SLUICE_RETURN_IF_ERROR(hooks_.resume());
  resumed_ = true;
  return absl::OkStatus();
}

void Monitor::Publish(const TabletState& state) {
  TabletState before;
  {
    const absl::MutexLock lock(&mutex_);
    before = std::exchange(state_, state);
  }
  if (!SameButMoving(before, state)) {
    LogChange(before, state);
    hooks_.changed();
  }
}

void Monitor::Rest(const std::stop_token& stop) {
  const absl::MutexLock lock(&mutex_);
  const auto wake = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return kicked_ || stopping_; };
  if (!stop.stop_requested()) {
    mutex_.AwaitWithTimeout(absl::Condition(&wake), kPeriod);
  }
  kicked_ = false;
}

}  // namespace sluice::agent
