// Topology: questions about tablets and streams.

#include <algorithm>
#include <limits>
#include <set>
#include <string>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"
#include "coordinator/topology/topology.h"

namespace sluice::topology {
namespace {

// A replica that was not heard for so long is out of service, and nobody reads from it.
constexpr absl::Duration kGoneAfter = absl::Seconds(30);

std::string WhyNot(const TabletInfo& tablet) {
  return absl::StrCat(tablet.alias, " (", routing::TabletTypeName(tablet.type),
                      "): ", tablet.problem.empty() ? "serving" : tablet.problem);
}

// Above it a replica is read from only where nothing better serves.
constexpr int64_t kLagMsMax = 30'000;

int64_t LagOf(const TabletInfo& tablet) {
  if (tablet.type == routing::TabletType::kPrimary) {
    return 0;
  }
  return tablet.replica_lag_ms < 0 ? std::numeric_limits<int64_t>::max() : tablet.replica_lag_ms;
}

// The least is the best: healthy, near, type, lag.
auto CostOf(const SourceWish& wish, const TabletInfo& tablet) {
  const int64_t lag = LagOf(tablet);
  const bool far = !wish.near_cell.empty() && tablet.cell != wish.near_cell;
  return std::make_tuple(lag > kLagMsMax, far,
                         std::find(wish.types.begin(), wish.types.end(), tablet.type), lag);
}

absl::Status KeepCells(const SourceWish& wish, std::vector<TabletInfo>& tablets) {
  if (wish.cells.empty()) {
    return absl::OkStatus();
  }
  std::set<std::string> there;
  for (const TabletInfo& tablet : tablets) {
    there.insert(tablet.cell);
  }
  for (const std::string& cell : wish.cells) {
    if (!there.contains(cell) && !there.empty()) {
      return absl::FailedPreconditionError(
          absl::StrCat("no tablet of ", wish.keyspace, "/", wish.shard, " is in cell ", cell,
                       "; its cells are ", absl::StrJoin(there, ", ")));
    }
  }
  std::erase_if(tablets, [&](const TabletInfo& tablet) {
    return std::find(wish.cells.begin(), wish.cells.end(), tablet.cell) == wish.cells.end();
  });
  return absl::OkStatus();
}

}  // namespace

std::vector<TabletInfo> Topology::Tablets() const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<TabletInfo> result;
  result.reserve(tablets_.size());
  for (const auto& [alias, entry] : tablets_) {
    result.push_back(entry.tablet);
    result.back().remarks = entry.remarks;
  }
  return result;
}

absl::StatusOr<TabletInfo> Topology::FindTablet(absl::string_view alias) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = tablets_.find(std::string(alias));
  if (found == tablets_.end()) {
    return absl::NotFoundError(absl::StrCat("tablet ", alias, " is not registered"));
  }
  return found->second.tablet;
}

std::vector<TabletInfo> Topology::TabletsOf(absl::string_view keyspace,
                                            absl::string_view shard) const {
  // Asked for each shard of a cutover: of hundreds of tablets only these are copied.
  const absl::ReaderMutexLock lock(&mutex_);
  std::vector<TabletInfo> result;
  for (const auto& [alias, entry] : tablets_) {
    if (entry.tablet.keyspace == keyspace && entry.tablet.shard == shard) {
      result.push_back(entry.tablet);
      result.back().remarks = entry.remarks;
    }
  }
  return result;
}

std::vector<ClusterView> Topology::ViewsOf(const std::vector<TabletReport>& reports) const {
  using Replicas =
      std::vector<std::pair<const TabletInfo*, absl::Duration>>;  // and how long silent
  const absl::Time now = options_.now();
  const absl::ReaderMutexLock lock(&mutex_);
  std::map<std::pair<std::string, std::string>, Replicas> by_shard;
  for (const auto& [alias, entry] : tablets_) {
    const TabletInfo& tablet = entry.tablet;
    const absl::Duration silent = now - entry.fresh_from;
    if (tablet.type == routing::TabletType::kReplica && silent <= kGoneAfter) {
      by_shard[{tablet.keyspace, tablet.shard}].emplace_back(&tablet, silent);
    }
  }
  std::vector<ClusterView> views;
  for (const TabletReport& report : reports) {
    ClusterView& view = views.emplace_back();
    view.throttled = throttled_;
    for (const auto& [tablet, silent] : by_shard[{report.tablet.keyspace, report.tablet.shard}]) {
      if (tablet->alias == report.tablet.alias) {
        continue;
      }
      std::string problem;
      if (silent > options_.stale_after || tablet->last_heard == absl::InfinitePast()) {
        problem = "its agent is silent";
      } else if (!tablet->reachable) {
        problem = "its mysqld does not answer";
      } else if (tablet->replica_lag_ms < 0) {
        problem = "its replication does not run";
      }
      if (!problem.empty() ||
          (view.replica_problem.empty() && tablet->replica_lag_ms >= view.replica_lag_ms)) {
        view.replica = tablet->alias;
        view.replica_lag_ms = tablet->replica_lag_ms;
        view.replica_problem = std::move(problem);
      }
    }
  }
  return views;
}

absl::StatusOr<TabletInfo> Topology::PrimaryOf(absl::string_view keyspace,
                                               absl::string_view shard) const {
  const absl::ReaderMutexLock lock(&mutex_);
  return PrimaryOfLocked(keyspace, shard);
}

absl::StatusOr<TabletInfo> Topology::PrimaryOfLocked(absl::string_view keyspace,
                                                     absl::string_view shard) const {
  const auto known = keyspaces_.find(std::string(keyspace));
  if (known == keyspaces_.end()) {
    return absl::NotFoundError(absl::StrCat("keyspace ", keyspace, " does not exist"));
  }
  const std::vector<std::string>& shards = known->second.shards;
  if (std::find(shards.begin(), shards.end(), std::string(shard)) == shards.end()) {
    return absl::NotFoundError(absl::StrCat("keyspace ", keyspace, " has no shard ", shard));
  }
  std::vector<std::string> reasons;
  for (const auto& [alias, entry] : tablets_) {
    const TabletInfo& tablet = entry.tablet;
    if (tablet.keyspace != keyspace || tablet.shard != shard) {
      continue;
    }
    if (tablet.serving && tablet.type == routing::TabletType::kPrimary) {
      return tablet;
    }
    reasons.push_back(WhyNot(tablet));
  }
  return absl::UnavailableError(
      absl::StrCat("no serving PRIMARY tablet in ", keyspace, "/", shard, ": ",
                   reasons.empty() ? "no agent has registered" : absl::StrJoin(reasons, "; ")));
}

absl::StatusOr<TabletInfo> Topology::AwaitPrimary(absl::string_view keyspace,
                                                  absl::string_view shard,
                                                  absl::Time deadline) const {
  const auto settled = [&] {
    mutex_.AssertReaderHeld();
    return closed_ || !absl::IsUnavailable(PrimaryOfLocked(keyspace, shard).status());
  };
  const absl::ReaderMutexLock lock(&mutex_);
  mutex_.AwaitWithDeadline(absl::Condition(&settled), deadline);
  return PrimaryOfLocked(keyspace, shard);
}

absl::StatusOr<TabletInfo> Topology::PickSource(const SourceWish& wish) const {
  std::vector<TabletInfo> tablets = TabletsOf(wish.keyspace, wish.shard);
  SLUICE_RETURN_IF_ERROR(KeepCells(wish, tablets));
  const TabletInfo* best = nullptr;
  for (const TabletInfo& tablet : tablets) {
    const bool wanted =
        std::find(wish.types.begin(), wish.types.end(), tablet.type) != wish.types.end();
    if (tablet.serving && wanted &&
        (best == nullptr || CostOf(wish, tablet) < CostOf(wish, *best))) {
      best = &tablet;
    }
  }
  if (best != nullptr) {
    return *best;
  }
  for (const TabletInfo& tablet : tablets) {
    if (tablet.contested &&
        std::find(wish.types.begin(), wish.types.end(), tablet.type) != wish.types.end()) {
      return absl::FailedPreconditionError(tablet.problem);
    }
  }
  const std::string wanted =
      absl::StrJoin(wish.types, ", ", [](std::string* out, routing::TabletType type) {
        absl::StrAppend(out, routing::TabletTypeName(type));
      });
  const std::string found =
      tablets.empty()
          ? "no agent has registered"
          : absl::StrJoin(tablets, "; ", [](std::string* out, const TabletInfo& tablet) {
              absl::StrAppend(out, WhyNot(tablet));
            });
  return absl::UnavailableError(absl::StrCat("no serving tablet of type ", wanted, " in ",
                                             wish.keyspace, "/", wish.shard, ": ", found));
}

void Topology::NoteTables(absl::string_view alias, const std::vector<std::string>& tables) {
  const absl::MutexLock lock(&mutex_);
  const auto found = tablets_.find(std::string(alias));
  if (found == tablets_.end()) {
    return;
  }
  std::set<std::string> all(tables.begin(), tables.end());
  if (found->second.tables != nullptr) {
    all.insert(found->second.tables->begin(), found->second.tables->end());
  }
  TakeTablesLocked(found->second, {all.begin(), all.end()});
}

std::map<std::string, Topology::TableNames> Topology::TablesByTablet() const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::map<std::string, TableNames> result;
  for (const auto& [alias, entry] : tablets_) {
    if (entry.tables != nullptr) {
      result.emplace(alias, entry.tables);
    }
  }
  return result;
}

std::map<std::string, std::set<std::string>> Topology::TablesByKeyspace() const {
  const absl::ReaderMutexLock lock(&mutex_);
  std::map<std::string, std::set<std::string>> result;
  for (const auto& [alias, entry] : tablets_) {
    if (entry.tables != nullptr && entry.tablet.type == routing::TabletType::kPrimary) {
      result[entry.tablet.keyspace].insert(entry.tables->begin(), entry.tables->end());
    }
  }
  return result;
}

std::optional<StreamInfo> Topology::FindStream(uint64_t id) const {
  const absl::ReaderMutexLock lock(&mutex_);
  const auto found = streams_.find(id);
  return found == streams_.end() ? std::nullopt : std::optional<StreamInfo>(found->second);
}

std::vector<StreamInfo> Topology::Streams() const {
  std::vector<StreamInfo> streams;
  {
    const absl::ReaderMutexLock lock(&mutex_);
    for (const auto& [id, stream] : streams_) {
      streams.push_back(stream);
    }
  }
  std::sort(streams.begin(), streams.end(),
            [](const StreamInfo& a, const StreamInfo& b) { return a.id < b.id; });
  return streams;
}

void Topology::SetRemarks(const std::map<std::string, std::vector<std::string>>& remarks) {
  const absl::MutexLock lock(&mutex_);
  for (auto& [alias, entry] : tablets_) {
    const auto found = remarks.find(alias);
    entry.remarks = found == remarks.end() ? std::vector<std::string>() : found->second;
  }
}

absl::StatusOr<StreamInfo> Topology::AwaitStream(
    uint64_t id, const std::function<bool(const StreamInfo&)>& wanted, absl::Time deadline) const {
  const auto reached = [&] {
    mutex_.AssertReaderHeld();
    const auto found = streams_.find(id);
    return closed_ || (found != streams_.end() && wanted(found->second));
  };
  const absl::ReaderMutexLock lock(&mutex_);
  const bool in_time = mutex_.AwaitWithDeadline(absl::Condition(&reached), deadline);
  if (closed_) {
    return absl::CancelledError("the coordinator is stopping");
  }
  const auto found = streams_.find(id);
  if (in_time) {
    return found->second;
  }
  return absl::DeadlineExceededError(found == streams_.end()
                                         ? absl::StrCat("stream ", id, " is reported by no tablet")
                                         : absl::StrCat("stream ", id, " is ",
                                                        StreamStateName(found->second.state), " ",
                                                        found->second.message));
}

}  // namespace sluice::topology
