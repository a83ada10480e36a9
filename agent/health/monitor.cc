// Monitor: watches the agent's mysqld and says what it is and whether it can serve.

#include "agent/health/monitor.h"

#include <algorithm>
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

constexpr absl::Duration kUnseenMax = absl::Seconds(5);
constexpr absl::Duration kPeriod = absl::Seconds(1);
constexpr absl::Duration kPrivilegesPeriod = absl::Seconds(10);
constexpr absl::Duration kAnswerTimeout = absl::Seconds(3);

// Positions and lag move all the time.
bool SameButMoving(const MysqldState& a, const MysqldState& b) {
  return a.probed == b.probed && a.reachable == b.reachable && a.primary == b.primary &&
         a.read_only == b.read_only && a.server_uuid == b.server_uuid && a.port == b.port &&
         a.shards == b.shards;
}

bool SameForLog(const ShardState& a, const ShardState& b) {
  return a.problem == b.problem && a.type == b.type;
}

void LogShardChange(const std::string& alias, const MysqldState& before, const MysqldState& now,
                    size_t i) {
  const ShardState& old = before.shards[i];
  const ShardState& shard = now.shards[i];
  if (shard.problem != old.problem && !shard.problem.empty()) {
    SLUICE_LOG(kError, "mysqld cannot serve", {{"tablet", alias}, {"problem", shard.problem}});
  }
  if (shard.problem.empty() && (!old.problem.empty() || !before.probed)) {
    SLUICE_LOG(kInfo, "mysqld can serve",
               {{"tablet", alias},
                {"type", routing::TabletTypeName(shard.type)},
                {"version", now.server_version}});
  } else if (shard.type != old.type && now.reachable) {
    SLUICE_LOG(kInfo, "mysqld's role changed",
               {{"tablet", alias},
                {"from", routing::TabletTypeName(old.type)},
                {"to", routing::TabletTypeName(shard.type)}});
  }
}

// What is true of the first shard and of others likewise is said once.
void LogChange(const AgentConfig& config, const MysqldState& before, const MysqldState& now) {
  for (size_t i = 0; i < now.shards.size(); ++i) {
    if (i == 0 || !SameForLog(before.shards[i], before.shards[0]) ||
        !SameForLog(now.shards[i], now.shards[0])) {
      LogShardChange(config.AliasOf(config.shards[i]), before, now, i);
    }
  }
}

// What keeps a shard from taking commands that write.
absl::Status WhyNoPrimary(const MysqldState& state, size_t i, const std::string& alias) {
  const ShardState& shard = state.shards[i];
  if (!state.reachable) {
    return WithSubject(absl::UnavailableError(absl::StrCat(
                           "tablet ", alias, ": mysqld does not answer: ", shard.problem)),
                       alias);
  }
  if (!state.primary) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat("tablet ", alias, " is no PRIMARY now, but ",
                                                   routing::TabletTypeName(shard.type))),
        alias);
  }
  if (!shard.ready) {
    return WithSubject(
        absl::UnavailableError(absl::StrCat("tablet ", alias, " is not ready yet",
                                            shard.problem.empty() ? "" : ": ", shard.problem)),
        alias);
  }
  return absl::OkStatus();
}

}  // namespace

Monitor::Monitor(AgentConfig config, MonitorHooks hooks)
    : config_(std::move(config)), hooks_(std::move(hooks)), taken_(config_.shards.size(), false) {
  const absl::MutexLock lock(&mutex_);
  for (const ShardConfig& shard : config_.shards) {
    state_.shards.emplace_back().type =
        shard.type == routing::TabletType::kPrimary ? routing::TabletType::kReplica : shard.type;
  }
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

MysqldState Monitor::Current() const {
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

absl::Status Monitor::CheckPrimary(size_t shard) const {
  return WhyNoPrimary(Current(), shard, config_.AliasOf(config_.shards[shard]));
}

absl::Status Monitor::CheckAnyPrimary() const {
  const MysqldState state = Current();
  absl::Status first;
  for (size_t i = 0; i < config_.shards.size(); ++i) {
    absl::Status status = WhyNoPrimary(state, i, config_.AliasOf(config_.shards[i]));
    if (status.ok()) {
      return status;
    }
    first.Update(status);
  }
  return first;
}

absl::Status Monitor::CheckServing(size_t shard) const {
  SLUICE_RETURN_IF_ERROR(CheckPrimary(shard));
  const std::string problem = Current().shards[shard].problem;
  if (!problem.empty()) {
    const std::string alias = config_.AliasOf(config_.shards[shard]);
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat("tablet ", alias, " cannot serve: ", problem)),
        alias);
  }
  return absl::OkStatus();
}

void Monitor::Run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    auto looked = LookAfresh();
    if (looked.ok()) {
      Publish(*std::move(looked));
    } else {
      Part();
      MysqldState gone = Current();
      gone.probed = true;
      gone.reachable = false;
      gone.replica_lag_ms = -1;
      for (ShardState& shard : gone.shards) {
        shard.problem = absl::StrCat("mysqld does not answer: ", looked.status().message());
      }
      Publish(gone);
    }
    Rest(stop);
  }
}

// The session may have been ended, or its mysqld restarted, at any time since the last look: only
// one that is opened now tells whether mysqld answers. Where it took its time to fail, it does not.
absl::StatusOr<MysqldState> Monitor::LookAfresh() {
  const bool kept = connection_ != nullptr;
  const absl::Time begun = absl::Now();
  auto looked = Look();
  if (looked.ok() || !kept || absl::Now() - begun >= kAnswerTimeout) {
    return looked;
  }
  Part();
  return Look();
}

void Monitor::Part() {
  connection_.reset();
  resumed_ = false;
}

absl::StatusOr<MysqldState> Monitor::Look() {
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
  MysqldState state;
  state.probed = true;
  state.reachable = true;
  state.primary =
      EffectiveType(facts, routing::TabletType::kPrimary) == routing::TabletType::kPrimary;
  state.read_only = facts.read_only || facts.super_read_only;
  state.replica_lag_ms = facts.replica.configured ? facts.replica.lag_ms : -1;
  state.server_uuid = facts.server_uuid;
  state.server_version = facts.version;
  state.gtid_executed = facts.gtid_executed;
  state.port = facts.port;
  for (const ShardConfig& shard : config_.shards) {
    ShardState& entry = state.shards.emplace_back();
    entry.type = EffectiveType(facts, shard.type);
    entry.problem = absl::StrJoin(FindProblems(facts, shard.database, shard.type), ". ");
  }
  Reign(state);
  if (state.primary) {
    SLUICE_ASSIGN_OR_RETURN(auto tables, mysql::ListTables(*connection_, config_.Databases()));
    for (size_t i = 0; i < state.shards.size(); ++i) {
      state.shards[i].tables = std::move(tables[config_.shards[i].database]);
    }
  }
  had_problems_ = std::any_of(state.shards.begin(), state.shards.end(),
                              [](const ShardState& shard) { return !shard.problem.empty(); });
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

// The duties of a PRIMARY are taken up once for each shard, as soon as nothing is wrong with it. A
// problem that comes later does not end them: what is under way must be able to come to its end.
// While nobody looked, another server may have been PRIMARY: then they are taken up anew, to close
// a server again that was opened by its promotion, and to run streams that the other one's agent
// ran.
void Monitor::Reign(MysqldState& state) {
  if (!state.primary) {
    if (!reign_.empty()) {
      hooks_.resign();
    }
    reign_.clear();
    taken_.assign(taken_.size(), false);
    resumed_ = false;
    return;
  }
  const absl::Time now = absl::Now();
  const bool unseen = now - looked_ > kUnseenMax;
  looked_ = now;
  if (reign_ != state.server_uuid || unseen) {
    reign_ = state.server_uuid;
    taken_.assign(taken_.size(), false);
    resumed_ = false;
  }
  TakeUp(state);
  for (size_t i = 0; i < taken_.size(); ++i) {
    state.shards[i].ready = taken_[i] && resumed_;
  }
}

void Monitor::TakeUp(MysqldState& state) {
  std::vector<size_t> fit;
  for (size_t i = 0; i < taken_.size(); ++i) {
    if (!taken_[i] && state.shards[i].problem.empty()) {
      fit.push_back(i);
    }
  }
  if (!fit.empty()) {
    const std::vector<absl::Status> taken = hooks_.become_primary(fit);
    looked_ = absl::Now();  // that may take long, and is no time in which nobody looked
    for (size_t i = 0; i < fit.size(); ++i) {
      taken_[fit[i]] = taken[i].ok();
      if (!taken[i].ok()) {
        state.shards[fit[i]].problem = std::string(taken[i].message());
      }
    }
  }
  if (resumed_ || std::find(taken_.begin(), taken_.end(), true) == taken_.end()) {
    return;
  }
  const absl::Status status = hooks_.resume();
  resumed_ = status.ok();
  for (ShardState& shard : state.shards) {
    if (!status.ok() && shard.problem.empty()) {
      shard.problem = std::string(status.message());
    }
  }
}

void Monitor::Publish(const MysqldState& state) {
  MysqldState before;
  {
    const absl::MutexLock lock(&mutex_);
    before = std::exchange(state_, state);
  }
  if (!SameButMoving(before, state)) {
    LogChange(config_, before, state);
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
