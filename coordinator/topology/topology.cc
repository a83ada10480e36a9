// Topology: registrations, reports, and who serves.

#include "coordinator/topology/topology.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"
#include "coordinator/topology/shard_names.h"

namespace sluice::topology {
namespace {

constexpr char kThrottledSetting[] = "throttled";

std::string Place(const TabletInfo& tablet) {
  return absl::StrCat(tablet.keyspace, "/", tablet.shard);
}

// Whether the registration that is stored says the same, the live fields left aside.
bool SameRegistration(const TabletInfo& a, const TabletInfo& b) {
  store::TabletRecord left = RecordOf(a);
  store::TabletRecord right = RecordOf(b);
  left.type = right.type = routing::TabletType::kUnknown;
  left.serving = right.serving = false;
  return left == right;
}

void LogRegistration(const std::vector<const TabletInfo*>& registered,
                     const std::vector<std::string>& gone) {
  for (const TabletInfo* tablet : registered) {
    SLUICE_LOG(kInfo, "tablet registered",
               {{"tablet", tablet->alias},
                {"place", Place(*tablet)},
                {"type", routing::TabletTypeName(tablet->type)},
                {"agent", tablet->agent_url}});
  }
  for (const std::string& alias : gone) {
    SLUICE_LOG(kInfo, "tablet forgotten: its agent does not serve it any more",
               {{"tablet", alias}});
  }
}

}  // namespace

Topology::Topology(store::Store& store, TopologyOptions options)
    : store_(store), options_(std::move(options)) {}

absl::Status Topology::Load() {
  std::vector<store::KeyspaceRecord> keyspaces;
  std::vector<store::TabletRecord> tablets;
  std::vector<std::pair<std::string, std::vector<std::string>>> tables;
  std::string throttled;
  SLUICE_RETURN_IF_ERROR(store_.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(keyspaces, reader.ListKeyspaces());
    SLUICE_ASSIGN_OR_RETURN(tablets, reader.ListTablets());
    SLUICE_ASSIGN_OR_RETURN(tables, reader.ListTabletTables());
    SLUICE_ASSIGN_OR_RETURN(throttled, reader.FindSetting(kThrottledSetting));
    return absl::OkStatus();
  }));
  const absl::Time now = options_.now();
  const absl::MutexLock lock(&mutex_);
  throttled_ = std::move(throttled);
  for (store::KeyspaceRecord& keyspace : keyspaces) {
    std::string name = keyspace.name;
    keyspaces_.insert_or_assign(std::move(name), std::move(keyspace));
  }
  for (const store::TabletRecord& record : tablets) {
    Entry& entry = tablets_[record.alias];
    entry.tablet = FromRecord(record);
    entry.fresh_from = now;
  }
  for (auto& [alias, names] : tables) {
    if (const auto found = tablets_.find(alias); found != tablets_.end()) {
      found->second.tables = std::make_shared<const std::vector<std::string>>(std::move(names));
    }
  }
  JudgeLocked(now);
  return absl::OkStatus();
}

absl::Status Topology::ThrottleAll(const std::string& reason) {
  const absl::MutexLock registration(&registration_mutex_);
  SLUICE_RETURN_IF_ERROR(store_.Transaction([&](store::StoreTransaction& transaction) {
    return transaction.PutSetting(kThrottledSetting, reason);
  }));
  const absl::MutexLock lock(&mutex_);
  throttled_ = reason;
  return absl::OkStatus();
}

std::string Topology::Throttled() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return throttled_;
}

absl::Status Topology::CreateKeyspace(const std::string& name, std::vector<std::string> shards) {
  SLUICE_RETURN_IF_ERROR(ValidateKeyspaceName(name));
  store::KeyspaceRecord keyspace;
  keyspace.name = name;
  SLUICE_ASSIGN_OR_RETURN(keyspace.shards, ValidateShards(std::move(shards)));
  const absl::MutexLock registration(&registration_mutex_);
  {
    const absl::ReaderMutexLock lock(&mutex_);
    if (keyspaces_.contains(name)) {
      return absl::AlreadyExistsError(absl::StrCat("keyspace ", name, " already exists"));
    }
  }
  SLUICE_RETURN_IF_ERROR(store_.Transaction(
      [&](store::StoreTransaction& transaction) { return transaction.PutKeyspace(keyspace); }));
  const absl::MutexLock lock(&mutex_);
  keyspaces_.emplace(name, std::move(keyspace));
  ++routes_version_;
  return absl::OkStatus();
}

std::vector<store::KeyspaceRecord> Topology::Keyspaces() const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<store::KeyspaceRecord> result;
  result.reserve(keyspaces_.size());
  for (const auto& [name, keyspace] : keyspaces_) {
    result.push_back(keyspace);
  }
  return result;
}

absl::StatusOr<store::KeyspaceRecord> Topology::FindKeyspace(absl::string_view name) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = keyspaces_.find(std::string(name));
  if (found == keyspaces_.end()) {
    return absl::NotFoundError(absl::StrCat("keyspace ", name, " does not exist"));
  }
  return found->second;
}

absl::Status Topology::CheckRegistrationLocked(const TabletInfo& tablet) const {
  if (tablet.cell.empty() || tablet.agent_url.empty() || tablet.mysql_host.empty() ||
      tablet.mysql_port == 0 || tablet.database.empty() || tablet.incarnation == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("registration of tablet ", tablet.alias,
                     " lacks its cell, addresses, database or incarnation"));
  }
  const auto keyspace = keyspaces_.find(tablet.keyspace);
  if (keyspace == keyspaces_.end()) {
    return absl::FailedPreconditionError(
        absl::StrCat("keyspace ", tablet.keyspace, " of tablet ", tablet.alias,
                     " does not exist; create it with: sluice keyspace create ", tablet.keyspace));
  }
  const std::vector<std::string>& shards = keyspace->second.shards;
  if (std::find(shards.begin(), shards.end(), tablet.shard) == shards.end()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "keyspace ", tablet.keyspace, " has no shard ", tablet.shard, " (tablet ", tablet.alias,
        "); its shards are ", absl::StrJoin(shards, ", "), "; correct the agent's configuration"));
  }
  const auto known = tablets_.find(tablet.alias);
  if (known == tablets_.end()) {
    return absl::OkStatus();
  }
  const TabletInfo& old = known->second.tablet;
  if (old.incarnation > tablet.incarnation ||
      (old.incarnation == tablet.incarnation && old.agent_url != tablet.agent_url)) {
    return absl::FailedPreconditionError(
        absl::StrCat("tablet ", tablet.alias, " is registered by a newer agent at ", old.agent_url,
                     "; stop one of the two, or give one another uid"));
  }
  return absl::OkStatus();
}

// Tablets of earlier processes at the agent's address that it does not have any more.
std::vector<std::string> Topology::GoneLocked(const std::vector<TabletReport>& reports) const {
  const TabletInfo& agent = reports.front().tablet;
  std::vector<std::string> gone;
  for (const auto& [alias, entry] : tablets_) {
    const bool earlier =
        entry.tablet.agent_url == agent.agent_url && entry.tablet.incarnation < agent.incarnation;
    const bool told = std::any_of(
        reports.begin(), reports.end(),
        [&name = alias](const TabletReport& report) { return report.tablet.alias == name; });
    if (earlier && !told) {
      gone.push_back(alias);
    }
  }
  return gone;
}

void Topology::ForgetLocked(const std::string& alias) {
  tablets_.erase(alias);
  absl::erase_if(streams_, [&](const auto& item) { return item.second.tablet == alias; });
}

std::vector<absl::Status> Topology::RegisterAgent(const std::vector<TabletReport>& reports) {
  const absl::MutexLock registration(&registration_mutex_);
  std::vector<absl::Status> statuses;
  std::vector<const TabletInfo*> changed;
  std::vector<std::string> gone;
  {
    const absl::ReaderMutexLock lock(&mutex_);
    for (const TabletReport& report : reports) {
      const TabletInfo& tablet = report.tablet;
      statuses.push_back(CheckRegistrationLocked(tablet));
      const auto known = tablets_.find(tablet.alias);
      const bool same = known != tablets_.end() && SameRegistration(known->second.tablet, tablet);
      if (statuses.back().ok() && !same) {
        changed.push_back(&tablet);
      }
    }
    gone = GoneLocked(reports);
  }
  if (!changed.empty() || !gone.empty()) {
    const absl::Status stored =
        store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
          for (const TabletInfo* tablet : changed) {
            SLUICE_RETURN_IF_ERROR(transaction.PutTablet(RecordOf(*tablet)));
          }
          for (const std::string& alias : gone) {
            SLUICE_RETURN_IF_ERROR(transaction.DeleteTablet(alias));
          }
          return absl::OkStatus();
        });
    if (!stored.ok()) {
      return std::vector<absl::Status>(reports.size(), stored);
    }
    LogRegistration(changed, gone);
  }
  const absl::Time now = options_.now();
  const absl::MutexLock lock(&mutex_);
  for (const std::string& alias : gone) {
    ForgetLocked(alias);
  }
  std::vector<const TabletReport*> taken;
  for (size_t i = 0; i < reports.size(); ++i) {
    if (statuses[i].ok()) {
      taken.push_back(&reports[i]);
    }
  }
  TakeReportsLocked(taken, now);
  return statuses;
}

absl::Status Topology::ReportAgent(const std::vector<TabletReport>& reports) {
  const absl::Time now = options_.now();
  const absl::MutexLock lock(&mutex_);
  for (const TabletReport& report : reports) {
    const auto known = tablets_.find(report.tablet.alias);
    if (known == tablets_.end() || !SameRegistration(known->second.tablet, report.tablet)) {
      return absl::NotFoundError(
          absl::StrCat("tablet ", report.tablet.alias, " is not registered by this agent process"));
    }
  }
  std::vector<const TabletReport*> taken;
  taken.reserve(reports.size());
  for (const TabletReport& report : reports) {
    taken.push_back(&report);
  }
  TakeReportsLocked(taken, now);
  return absl::OkStatus();
}

void Topology::TakeReportsLocked(const std::vector<const TabletReport*>& reports, absl::Time now) {
  std::map<absl::string_view, std::set<uint64_t>> reported;
  for (const TabletReport* report : reports) {
    TakeReportLocked(*report, now);
    std::set<uint64_t>& streams = reported[report->tablet.alias];
    for (const StreamInfo& stream : report->streams) {
      streams.insert(stream.id);
    }
  }
  // Once for all shards of an agent: of them and of streams there may be hundreds.
  absl::erase_if(streams_, [&](const auto& item) {
    const auto tablet = reported.find(item.second.tablet);
    return tablet != reported.end() && !tablet->second.contains(item.first);
  });
  JudgeLocked(now);
}

void Topology::TakeReportLocked(const TabletReport& report, absl::Time now) {
  const std::string& alias = report.tablet.alias;
  Entry& entry = tablets_[alias];
  const TabletInfo before = std::move(entry.tablet);
  entry.tablet = report.tablet;
  entry.tablet.serving = before.serving;
  if (!report.tablet.reachable && before.type != routing::TabletType::kUnknown) {
    entry.tablet.type = before.type;  // an agent without a session can't know better
  }
  entry.tablet.last_heard = now;
  entry.reported_problem = report.tablet.problem;
  entry.fresh_from = now;
  // A mysqld that is down has its tables still.
  if (report.tablet.reachable) {
    TakeTablesLocked(entry, report.tables);
  }
  for (const StreamInfo& stream : report.streams) {
    const auto known = streams_.find(stream.id);
    // After a failover two tablets hold the stream's rows; the one that is primary runs it.
    if (known != streams_.end() && known->second.tablet != alias &&
        report.tablet.type != routing::TabletType::kPrimary) {
      continue;
    }
    StreamInfo& kept = streams_[stream.id];
    kept = stream;
    kept.tablet = alias;
    kept.heard = now;
  }
}

void Topology::TakeTablesLocked(Entry& entry, std::vector<std::string> tables) {
  std::sort(tables.begin(), tables.end());
  if (entry.tables == nullptr || *entry.tables != tables) {
    entry.tables = std::make_shared<const std::vector<std::string>>(std::move(tables));
    ++routes_version_;
  }
}

void Topology::JudgeLocked(absl::Time now) {
  // This process itself stood still (stopped, starved, or the clock was set): nobody could be
  // heard, so silence proves nothing.
  const bool stood_still =
      last_judged_ != absl::InfinitePast() && now - last_judged_ > options_.stale_after / 2;
  last_judged_ = now;
  std::map<std::string, int> primaries;
  for (auto& [alias, entry] : tablets_) {
    TabletInfo& tablet = entry.tablet;
    if (stood_still && tablet.serving) {
      entry.fresh_from = now;
    }
    tablet.problem = entry.reported_problem;
    tablet.contested = false;
    if (now - entry.fresh_from > options_.stale_after) {
      tablet.problem = "its agent is not heard";
    } else if (tablet.problem.empty() && !tablet.reachable) {
      tablet.problem = "its agent has no session on the mysqld";
    }
    tablet.serving = tablet.problem.empty();
    if (tablet.serving && tablet.type == routing::TabletType::kPrimary) {
      ++primaries[Place(tablet)];
    }
  }
  std::vector<store::TabletRecord> routes;
  routes.reserve(tablets_.size());
  for (auto& [alias, entry] : tablets_) {
    TabletInfo& tablet = entry.tablet;
    if (tablet.serving && tablet.type == routing::TabletType::kPrimary &&
        primaries[Place(tablet)] > 1) {
      tablet.serving = false;
      tablet.contested = true;
      tablet.problem = absl::StrCat("more than one writable mysqld in ", Place(tablet),
                                    "; make all but one read_only");
    }
    routes.push_back(RecordOf(tablet));
    routes.back().incarnation = 0;  // of no interest to proxies
  }
  if (routes != routes_) {
    routes_ = std::move(routes);
    ++routes_version_;
  }
}

absl::Time Topology::NextExpiryLocked() const {
  absl::Time next = absl::InfiniteFuture();
  for (const auto& [alias, entry] : tablets_) {
    if (entry.tablet.serving) {
      next = std::min(next, entry.fresh_from + options_.stale_after);
    }
  }
  return next;
}

uint64_t Topology::routes_version() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return routes_version_;
}

uint64_t Topology::AwaitRoutesChange(uint64_t known, absl::Time deadline) {
  const auto changed = [this, known] {
    mutex_.AssertReaderHeld();
    return closed_ || routes_version_ != known;
  };
  const absl::MutexLock lock(&mutex_);
  while (true) {
    JudgeLocked(options_.now());
    if (changed() || absl::Now() >= deadline) {
      return routes_version_;
    }
    // Never long: JudgeLocked tells from its own rhythm whether this process stood still.
    const absl::Duration until_expiry = NextExpiryLocked() - options_.now();
    const absl::Duration wait =
        std::clamp(until_expiry, absl::Milliseconds(1), options_.stale_after / 5);
    mutex_.AwaitWithDeadline(absl::Condition(&changed), std::min(deadline, absl::Now() + wait));
  }
}

void Topology::Close() {
  const absl::MutexLock lock(&mutex_);
  closed_ = true;
}

}  // namespace sluice::topology
