// RuleService: the one rule set with its epoch, and what each proxy has made of it.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "common/rpc/server.h"
#include "coordinator/rules/rule_snapshot.h"
#include "coordinator/store/store.h"
#include "coordinator/topology/topology.h"
#include "schemas/routing.capnp.h"

namespace sluice::rules {

struct RuleServiceOptions {
  absl::Duration connected_within = absl::Seconds(2);  // heard, or in a poll
  // Of one long poll. Short, since a proxy that dies in a poll counts as connected to its end.
  absl::Duration wait_max = absl::Seconds(1);
  absl::Duration save_proxies_every = absl::Seconds(5);
};

struct ProxyState {
  std::string id;
  std::string address;
  std::string cell;            // empty until it is heard
  uint64_t epoch = 0;          // obeyed
  uint64_t drained_epoch = 0;  // nothing open on held tables at this epoch
  uint32_t held_statements = 0;
  uint32_t open_transactions = 0;
  uint64_t refused_epoch = 0;
  std::string refused_reason;
  absl::Time last_heard;
  bool connected = false;
};

// A proxy that did not get there, and why, for people.
struct ProxyDelay {
  std::string id;
  std::string
      reason;  // "2 transactions open on held tables", "refused epoch 7: …", "obeys epoch 6"
};

enum class ProxyProgress { kObeyed, kDrained };

// When a proxy said that it had got somewhere.
struct ProxyArrival {
  std::string id;
  absl::Time at;
};

// Thread-safe.
class RuleService {
 public:
  RuleService(store::Store& store, topology::Topology& topology, RuleServiceOptions options = {});
  RuleService(const RuleService&) = delete;
  RuleService& operator=(const RuleService&) = delete;
  ~RuleService();  // Close()

  // Reads the stored rules and starts the thread that makes topology changes new epochs.
  absl::Status Start();

  // Runs `change` on the rules as they stand, in one store transaction with whatever else it writes
  // there (a workflow's record, a cutover's state); the epoch grows by one in the same commit.
  // Delivered to the proxies only after it is durable. Returns the new epoch; on error nothing is
  // changed. As Store::Transaction, `change` may be run again.
  absl::StatusOr<uint64_t> Change(
      const std::function<absl::Status(store::StoreTransaction&, store::RuleState&)>& change);

  // Waits until every connected proxy has reached `progress` at `epoch` or a later one. Returns
  // those that have not at `deadline`, or sooner when all that are missing have refused; empty: all
  // have. Proxies that vanish while waiting are left out.
  std::vector<ProxyDelay> AwaitProxies(uint64_t epoch, ProxyProgress progress,
                                       absl::Time deadline) const;

  // Those that have reached `progress` at `epoch` or a later one, and when they got to where they
  // are; by id.
  [[nodiscard]] std::vector<ProxyArrival> Arrivals(uint64_t epoch, ProxyProgress progress) const;

  [[nodiscard]] uint64_t epoch() const;
  [[nodiscard]] std::vector<ProxyState> Proxies() const;  // by id
  [[nodiscard]] store::RuleState Rules() const;

  // {"rules": […]} in snake_case.
  [[nodiscard]] std::string GetRoutingRulesJson() const;
  // Replaces all table rules. INVALID_ARGUMENT for malformed rules, NOT_FOUND names an unknown
  // keyspace, FAILED_PRECONDITION when it changes the rules of a table that a workflow moves.
  // Returns the rules as JSON, as they are or (dry run) would be.
  absl::StatusOr<std::string> ApplyRoutingRules(const std::string& json, bool dry_run);

  [[nodiscard]] std::vector<store::ShardRule> ShardRules() const;
  // {"rules": […]} in snake_case.
  [[nodiscard]] std::string GetShardRoutingRulesJson() const;
  // As ApplyRoutingRules, for shards. NOT_FOUND names the rule and the keyspace or shard that does
  // not exist; FAILED_PRECONDITION a workflow whose shards it would route elsewhere.
  absl::StatusOr<std::string> ApplyShardRoutingRules(const std::string& json, bool dry_run);
  // workflow::TrafficStateText, which of a partial workflow depends on the other shards.
  [[nodiscard]] std::string TrafficState(const workflow::WorkflowRecord& record) const;

  // pollRules. Two polls of one proxy may be open at once: the older one is answered at once.
  absl::Status HandlePoll(const rpc::RequestContext& context,
                          schemas::PollRulesRequest::Reader request,
                          schemas::PollRulesReply::Builder reply);

  // Ends all waits for good and joins the thread.
  void Close();

 private:
  struct Proxy {
    ProxyState state;
    uint64_t poll = 0;  // the number of its newest poll
    // When it first said the epochs that it is at.
    absl::Time obeyed_at = absl::InfinitePast();
    absl::Time drained_at = absl::InfinitePast();
    int polls_open = 0;
  };

  void Publish(uint64_t epoch, store::RuleState rules);
  // `known` is the version of the routes that is in the store and with the proxies.
  void WatchTopology(const std::stop_token& stop, uint64_t known);
  absl::Status CheckKeyspaces(const std::vector<routing::TableRule>& rules) const;
  absl::Status CheckShards(const std::vector<store::ShardRule>& rules) const;
  absl::Status RaiseEpochAbove(uint64_t epoch);
  Proxy& TakePollLocked(schemas::PollRulesRequest::Reader request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<const RuleSnapshot> AwaitEpochAbove(uint64_t epoch, const std::string& proxy,
                                                      uint64_t poll, absl::Time deadline);
  absl::Status SaveTopology();
  absl::Status SaveProxies();
  [[nodiscard]] bool ConnectedLocked(const Proxy& proxy, absl::Time now) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);
  [[nodiscard]] std::vector<ProxyDelay> DelaysLocked(uint64_t epoch, ProxyProgress progress,
                                                     absl::Time now, bool& all_refused) const
      ABSL_SHARED_LOCKS_REQUIRED(mutex_);

  store::Store& store_;
  topology::Topology& topology_;
  const RuleServiceOptions options_;

  absl::Mutex change_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);  // over a transaction and its publishing
  mutable absl::Mutex mutex_;
  std::shared_ptr<const RuleSnapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Proxy> proxies_ ABSL_GUARDED_BY(mutex_);
  uint64_t progress_ ABSL_GUARDED_BY(mutex_) = 0;  // grows when a proxy says something new
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;

  // Of the watcher thread alone: what of the topology is in the store.
  std::map<std::string, store::TabletRecord> saved_tablets_;
  std::map<std::string, topology::Topology::TableNames> saved_tables_;
  std::map<std::string, store::ProxyRecord> saved_proxies_;
  std::jthread watcher_;
};

}  // namespace sluice::rules
