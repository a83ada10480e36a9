// RuleService: changes of the rule set, their epochs, and the thread that follows the topology.

#include "coordinator/rules/rule_service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/status_macros.h"

namespace sluice::rules {

RuleService::RuleService(store::Store& store, topology::Topology& topology,
                         RuleServiceOptions options)
    : store_(store), topology_(topology), options_(options) {}

RuleService::~RuleService() {
  Close();
}

absl::Status RuleService::Start() {
  store::RuleState rules;
  std::vector<store::ProxyRecord> proxies;
  SLUICE_RETURN_IF_ERROR(store_.Read([&](store::StoreReader& reader) -> absl::Status {
    SLUICE_ASSIGN_OR_RETURN(rules, reader.ReadRules());
    SLUICE_ASSIGN_OR_RETURN(proxies, reader.ListProxies());
    return absl::OkStatus();
  }));
  {
    const absl::MutexLock lock(&mutex_);
    for (store::ProxyRecord& record : proxies) {
      ProxyState& state = proxies_[record.id].state;
      state.id = record.id;
      state.address = record.address;
      state.epoch = record.epoch;
      state.last_heard = absl::FromUnixMillis(record.last_heard_ms);
      saved_proxies_.emplace(record.id, std::move(record));
    }
    auto snapshot = std::make_shared<RuleSnapshot>();
    snapshot->rules = std::move(rules);
    snapshot_ = std::move(snapshot);
  }
  // An epoch stands for one content for all time, and the topology may have changed since the last.
  const uint64_t known = topology_.routes_version();
  SLUICE_RETURN_IF_ERROR(SaveTopology());
  watcher_ =
      std::jthread([this, known](const std::stop_token& stop) { WatchTopology(stop, known); });
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> RuleService::Change(
    const std::function<absl::Status(store::StoreTransaction&, store::RuleState&)>& change) {
  const absl::MutexLock changing(&change_mutex_);
  // Nobody else writes them, and whoever holds change_mutex_ publishes before it lets go.
  const store::RuleState before = Rules();
  store::RuleState rules;
  uint64_t epoch = 0;
  const absl::Status status =
      store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
        rules = before;
        SLUICE_RETURN_IF_ERROR(change(transaction, rules));
        SLUICE_ASSIGN_OR_RETURN(const uint64_t last, transaction.ReadEpoch());
        epoch = last + 1;
        SLUICE_RETURN_IF_ERROR(transaction.WriteEpoch(epoch));
        return rules == before ? absl::OkStatus() : transaction.WriteRules(rules);
      });
  SLUICE_RETURN_IF_ERROR(status);
  Publish(epoch, std::move(rules));
  return epoch;
}

void RuleService::Publish(uint64_t epoch, store::RuleState rules) {
  auto snapshot = std::make_shared<RuleSnapshot>();
  snapshot->epoch = epoch;
  snapshot->rules = std::move(rules);
  snapshot->tablets = topology_.Tablets();
  for (const store::KeyspaceRecord& keyspace : topology_.Keyspaces()) {
    snapshot->keyspaces.push_back(keyspace.name);
  }
  snapshot->homes = ComputeHomes(topology_.TablesByKeyspace(), snapshot->rules.homes);
  const absl::MutexLock lock(&mutex_);
  snapshot_ = std::move(snapshot);
}

uint64_t RuleService::epoch() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return snapshot_ == nullptr ? 0 : snapshot_->epoch;
}

store::RuleState RuleService::Rules() const {
  const absl::ReaderMutexLock lock(&mutex_);
  return snapshot_ == nullptr ? store::RuleState() : snapshot_->rules;
}

absl::Status RuleService::SaveTopology() {
  std::map<std::string, store::TabletRecord> tablets;
  for (const topology::TabletInfo& tablet : topology_.Tablets()) {
    tablets.emplace(tablet.alias, topology::RecordOf(tablet));
  }
  std::map<std::string, topology::Topology::TableNames> tables = topology_.TablesByTablet();
  const absl::StatusOr<uint64_t> changed =
      Change([&](store::StoreTransaction& transaction, store::RuleState&) -> absl::Status {
        for (const auto& [alias, tablet] : tablets) {
          const auto saved = saved_tablets_.find(alias);
          if (saved == saved_tablets_.end() || saved->second != tablet) {
            SLUICE_RETURN_IF_ERROR(transaction.PutTablet(tablet));
          }
        }
        for (const auto& [alias, names] : tables) {
          const auto saved = saved_tables_.find(alias);
          if (saved == saved_tables_.end() || saved->second != names) {
            SLUICE_RETURN_IF_ERROR(transaction.PutTabletTables(alias, *names));
          }
        }
        return absl::OkStatus();
      });
  SLUICE_RETURN_IF_ERROR(changed.status());
  saved_tablets_ = std::move(tablets);
  saved_tables_ = std::move(tables);
  SLUICE_LOG(kInfo, "topology changed", {{"epoch", *changed}});
  return absl::OkStatus();
}

absl::Status RuleService::SaveProxies() {
  std::vector<store::ProxyRecord> changed;
  for (const ProxyState& proxy : Proxies()) {
    const store::ProxyRecord record{proxy.id, proxy.address, proxy.epoch,
                                    absl::ToUnixMillis(proxy.last_heard)};
    const auto saved = saved_proxies_.find(proxy.id);
    if (saved == saved_proxies_.end() || saved->second.epoch != record.epoch ||
        saved->second.address != record.address) {
      changed.push_back(record);
    }
  }
  if (changed.empty()) {
    return absl::OkStatus();
  }
  const absl::Status status =
      store_.Transaction([&](store::StoreTransaction& transaction) -> absl::Status {
        for (const store::ProxyRecord& record : changed) {
          SLUICE_RETURN_IF_ERROR(transaction.PutProxy(record));
        }
        return absl::OkStatus();
      });
  SLUICE_RETURN_IF_ERROR(status);
  for (store::ProxyRecord& record : changed) {
    saved_proxies_.insert_or_assign(record.id, std::move(record));
  }
  return absl::OkStatus();
}

void RuleService::WatchTopology(const std::stop_token& stop, uint64_t known) {
  const auto closed = [this] {
    mutex_.AssertReaderHeld();
    return closed_;
  };
  absl::Time proxies_due = absl::Now() + options_.save_proxies_every;
  while (!stop.stop_requested()) {
    const uint64_t version = topology_.AwaitRoutesChange(known, proxies_due);
    absl::Status status;
    if (stop.stop_requested()) {
      return;
    }
    if (version != known) {
      status = SaveTopology();
    }
    if (status.ok()) {
      known = version;
    }
    if (status.ok() && absl::Now() >= proxies_due) {
      status = SaveProxies();
      proxies_due = absl::Now() + options_.save_proxies_every;
    }
    if (!status.ok()) {
      SLUICE_LOG(kError, "the topology's change can't be stored; trying again",
                 {{"error", status}});
      const absl::MutexLock lock(&mutex_);
      mutex_.AwaitWithTimeout(absl::Condition(&closed), absl::Seconds(1));
    }
  }
}

void RuleService::Close() {
  {
    const absl::MutexLock lock(&mutex_);
    closed_ = true;
  }
  watcher_.request_stop();
  // The watcher waits inside the topology.
  topology_.Close();
  if (watcher_.joinable()) {
    watcher_.join();
  }
}

}  // namespace sluice::rules
