// Topology: keyspaces, and the tablets and streams that the agents report.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordinator/store/store.h"
#include "coordinator/topology/tablet.h"

namespace sluice::topology {

struct TopologyOptions {
  absl::Duration stale_after = absl::Seconds(5);  // not heard for that long: not serving
  absl::Duration report_interval = absl::Seconds(1);
  std::function<absl::Time()> now = absl::Now;
};

// What a stream may be read from.
struct SourceWish {
  std::string keyspace;
  std::string shard;
  std::vector<routing::TabletType> types;  // in order of preference
  std::vector<std::string> cells;          // empty: any
  std::string near_cell;                   // where the stream runs; empty: nowhere is near
};

// Thread-safe. Methods that return tablets or streams return copies of this moment.
class Topology {
 public:
  explicit Topology(store::Store& store, TopologyOptions options = {});

  // Reads keyspaces and last registrations. Tablets that served go on serving for stale_after, so
  // that a restart of the coordinator takes nothing away from the proxies.
  absl::Status Load();

  // ALREADY_EXISTS, INVALID_ARGUMENT (names, key ranges that overlap or leave holes).
  absl::Status CreateKeyspace(const std::string& name, std::vector<std::string> shards);
  [[nodiscard]] std::vector<store::KeyspaceRecord> Keyspaces() const;
  // NOT_FOUND "keyspace customer does not exist".
  [[nodiscard]] absl::StatusOr<store::KeyspaceRecord> FindKeyspace(absl::string_view name) const;

  // Registers all tablets of one agent process, as they stand in one message: one status each, and
  // what is OK is durable. FAILED_PRECONDITION for an unknown keyspace or shard (with the remedy),
  // and for an older incarnation of the alias. A tablet of an earlier process at the same address
  // that is not among them is gone: it was taken out of the agent's configuration, and is
  // forgotten.
  std::vector<absl::Status> RegisterAgent(const std::vector<TabletReport>& reports);
  // NOT_FOUND, and nothing is taken, when one of them is not registered by this incarnation: the
  // agent registers again.
  absl::Status ReportAgent(const std::vector<TabletReport>& reports);
  // Of an agent with one tablet.
  absl::Status Register(const TabletReport& report) { return RegisterAgent({report}).front(); }
  absl::Status Report(const TabletReport& report) { return ReportAgent({report}); }

  [[nodiscard]] std::vector<TabletInfo> Tablets() const;  // by alias
  [[nodiscard]] absl::StatusOr<TabletInfo> FindTablet(absl::string_view alias) const;
  [[nodiscard]] std::vector<TabletInfo> TabletsOf(absl::string_view keyspace,
                                                  absl::string_view shard) const;
  // The serving PRIMARY. NOT_FOUND for an unknown keyspace or shard; UNAVAILABLE, with the reason
  // of each candidate, when there is none or more than one.
  [[nodiscard]] absl::StatusOr<TabletInfo> PrimaryOf(absl::string_view keyspace,
                                                     absl::string_view shard) const;
  // As PrimaryOf, waiting for one until `deadline`.
  [[nodiscard]] absl::StatusOr<TabletInfo> AwaitPrimary(absl::string_view keyspace,
                                                        absl::string_view shard,
                                                        absl::Time deadline) const;
  // A serving tablet as wished: one that is up to date before one that lags much, a near one before
  // a far one, then the first of the types that has one; of several the one that lags least.
  // FAILED_PRECONDITION names a cell that has no tablet of the shard, or says that none serves
  // because two take writes; UNAVAILABLE says what keeps each candidate from serving.
  [[nodiscard]] absl::StatusOr<TabletInfo> PickSource(const SourceWish& wish) const;

  // Adds tables that stand on a tablet, as its agent has just said outside its reports (which go on
  // to count). Callers that remove rules do this first, so that the homes of that epoch are right.
  void NoteTables(absl::string_view alias, const std::vector<std::string>& tables);
  // Base tables by tablet, as last reported; shared and immutable.
  using TableNames = std::shared_ptr<const std::vector<std::string>>;
  [[nodiscard]] std::map<std::string, TableNames> TablesByTablet() const;
  // (keyspace, tables that stand in any PRIMARY of it), by keyspace.
  [[nodiscard]] std::map<std::string, std::set<std::string>> TablesByKeyspace() const;

  // The last report about a stream; nullopt when no tablet reports it.
  [[nodiscard]] std::optional<StreamInfo> FindStream(uint64_t id) const;
  // All that were reported last, by id.
  [[nodiscard]] std::vector<StreamInfo> Streams() const;
  // Makes these the remarks of the tablets, by alias; those that are not named have none.
  void SetRemarks(const std::map<std::string, std::vector<std::string>>& remarks);
  // Waits until `wanted` holds for the last report. It runs under the lock: it must not call back.
  // DEADLINE_EXCEEDED, or CANCELLED after Close.
  absl::StatusOr<StreamInfo> AwaitStream(uint64_t id,
                                         const std::function<bool(const StreamInfo&)>& wanted,
                                         absl::Time deadline) const;

  // Stops the copies of all workflows until it is called with an empty reason. Durable when this
  // returns OK; agents hear of it with the answer to their next report.
  absl::Status ThrottleAll(const std::string& reason);
  // The reason of the last ThrottleAll.
  [[nodiscard]] std::string Throttled() const;
  // What an agent is told of the cluster for each of its tablets; at least one.
  [[nodiscard]] std::vector<ClusterView> ViewsOf(const std::vector<TabletReport>& reports) const;

  // A number that grows whenever what proxies see of the topology changes.
  [[nodiscard]] uint64_t routes_version() const;
  // Judges staleness; returns when routes_version() is not `known` any more, at `deadline` or on
  // Close.
  uint64_t AwaitRoutesChange(uint64_t known, absl::Time deadline);

  // Ends all waits for good.
  void Close();

  [[nodiscard]] const TopologyOptions& options() const { return options_; }

 private:
  struct Entry {
    TabletInfo tablet;
    std::string reported_problem;
    std::vector<std::string> remarks;
    TableNames tables;      // null: never reported
    absl::Time fresh_from;  // last heard, or the start of a grace
  };

  // Decides anew who serves; a new routes_version_ when proxies would see a difference.
  void JudgeLocked(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] absl::Time NextExpiryLocked() const ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRegistrationLocked(const TabletInfo& tablet) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::vector<std::string> GoneLocked(const std::vector<TabletReport>& reports) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  void ForgetLocked(const std::string& alias) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeReportsLocked(const std::vector<const TabletReport*>& reports, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeReportLocked(const TabletReport& report, absl::Time now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeTablesLocked(Entry& entry, std::vector<std::string> tables)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<TabletInfo> PrimaryOfLocked(absl::string_view keyspace,
                                             absl::string_view shard) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  store::Store& store_;
  const TopologyOptions options_;

  absl::Mutex registration_mutex_;  // over a store transaction and what follows from it
  mutable absl::Mutex mutex_;
  std::map<std::string, store::KeyspaceRecord> keyspaces_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Entry> tablets_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, StreamInfo> streams_ ABSL_GUARDED_BY(mutex_);
  uint64_t routes_version_ ABSL_GUARDED_BY(mutex_) = 1;
  std::vector<store::TabletRecord> routes_ ABSL_GUARDED_BY(mutex_);  // of that version
  absl::Time last_judged_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::string throttled_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace sluice::topology
