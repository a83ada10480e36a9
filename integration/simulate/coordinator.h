// Coordinator: one process over a store that outlives it. Its cutovers are driven as Run drives
// them, over the shipped machine, plans, records and stored form.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coordinator/cutover/codec.h"
#include "coordinator/cutover/effects.h"
#include "coordinator/cutover/records.h"
#include "coordinator/traffic/plans.h"
#include "integration/simulate/network.h"
#include "integration/simulate/rule_set.h"

namespace sluice::simulate {

class World;
class CutoverRun;

// Durable.
struct Store {
  std::string cutover;  // the stored form of the one under way; empty: none
  cutover::Records records;
  uint64_t rules_epoch = 1;
  std::vector<proxy::Hold> holds;
  uint8_t writes = 0;
  uint8_t reads = 0;
  uint64_t command_epoch = 1;
  uint64_t stream_id = 100;
  uint64_t commands = 0;
  std::vector<cutover::State> ended;

  [[nodiscard]] uint8_t writes_side() const { return records.original.writes_switched ? 1 : 0; }
};

struct Command {
  bool reads = false;
  bool reversal = false;
  bool held = false;  // waits for a person
  bool counters = false;
};

class Coordinator {
 public:
  Coordinator(World& world, uint32_t host);
  Coordinator(const Coordinator&) = delete;
  Coordinator& operator=(const Coordinator&) = delete;
  ~Coordinator();

  void Begin();  // of a new process
  void Crash();

  // False where it can't be begun.
  bool Run(const Command& command);
  [[nodiscard]] bool busy() const { return run_ != nullptr; }
  [[nodiscard]] bool WaitsForRelease() const;
  void Release();
  void Abort();
  void CutoverEnded() { run_.reset(); }

  // Of the rules.
  struct ProxyPoll {
    std::string id;
    proxy::Acknowledgement state;
    Micros wait = 0;
  };
  void Poll(const ProxyPoll& poll, Respond respond);
  absl::Status ChangeRules(const std::function<void(Store&)>& change);
  void TopologyChanged();
  enum class Progress : uint8_t { kObeyed, kDrained };
  void AwaitProxies(Progress progress, Micros until, Action then);
  [[nodiscard]] uint64_t epoch() const { return rules_ == nullptr ? 0 : rules_->epoch; }
  [[nodiscard]] bool release_given(const std::string& id) const { return released_ == id; }

  // A transaction of the store, which may fail with or without having happened.
  absl::Status Transact(const std::function<absl::Status(Store&)>& change);

  [[nodiscard]] World& world() { return world_; }
  Process process;

 private:
  struct ProxyState {
    proxy::Acknowledgement state;
    Micros heard = -kSecond * 1000;
    Respond polling;  // not null: its long poll
    uint64_t poll = 0;
  };
  struct Waiter {
    Progress progress;
    uint64_t epoch;
    Micros until;
    Action then;
  };

  void Publish();
  void LookAtWaiters();

  World& world_;
  std::shared_ptr<const RuleSet> rules_;
  std::map<std::string, ProxyState> proxies_;
  std::vector<Waiter> waiters_;
  std::string released_;
  std::shared_ptr<CutoverRun> run_;
};

}  // namespace sluice::simulate
