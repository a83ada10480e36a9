// World: all that is simulated, and who knows whom.

#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "integration/simulate/agent.h"
#include "integration/simulate/coordinator.h"
#include "integration/simulate/mysqld.h"
#include "integration/simulate/network.h"
#include "integration/simulate/oracle.h"
#include "integration/simulate/proxy.h"
#include "integration/simulate/random.h"
#include "integration/simulate/setup.h"
#include "integration/simulate/trace.h"

namespace sluice::simulate {

// A server with its agents: the last one is the one that is asked, earlier ones may still wake.
struct Tablet {
  std::unique_ptr<Mysqld> mysqld;
  std::vector<std::unique_ptr<Agent>> agents;
  [[nodiscard]] Agent& agent() const { return *agents.back(); }
};

// One shard of one side: a PRIMARY and its REPLICA.
struct Place {
  std::array<Tablet, 2> tablets;
  uint8_t primary = 0;
  uint8_t known = 0;      // what the coordinator has heard
  bool shipping = false;  // a transaction is on its way to the replica
};

class World {
 public:
  World(uint64_t seed, const Setup& setup, Trace::Print print);
  World(const World&) = delete;
  World& operator=(const World&) = delete;
  ~World();

  void Begin();

  [[nodiscard]] const Setup& setup() const { return setup_; }
  [[nodiscard]] uint32_t shards() const { return setup_.shards; }
  Place& place(uint32_t side, uint32_t shard) { return places_.at(side).at(shard); }
  Mysqld& Server(uint32_t side, uint32_t shard, uint32_t tablet);
  Mysqld& Primary(uint32_t side, uint32_t shard);
  // As far as the coordinator knows.
  Agent& AgentOf(uint32_t side, uint32_t shard);
  Agent& SourceOf(uint32_t shard, uint32_t side) { return AgentOf(side, shard); }
  [[nodiscard]] uint8_t ServingSide() const { return store.writes_side(); }
  Coordinator& coordinator() { return *coordinator_; }
  std::vector<std::unique_ptr<Proxy>>& proxies() { return proxies_; }
  const proxy::Touched& TouchedBy(uint32_t shard) const { return touched_.at(shard); }

  void WhenBinlogGrows(const Mysqld& mysqld, Process& process, Micros deadline, Action action);
  [[nodiscard]] bool LongTransactionOn(const Mysqld& mysqld) const;
  void NoteTransaction(const Mysqld& mysqld, Micros lasts);
  void StreamFailed(uint32_t shard, const absl::Status& why);
  [[nodiscard]] bool stream_failed(uint32_t shard) const { return stream_failed_.at(shard); }

  void CrashMysqld(Place& place, uint32_t tablet);
  void RestartMysqld(Place& place, uint32_t tablet);
  // The REPLICA becomes PRIMARY. Planned: it has everything first, and the old one stays as its
  // replica; else the old one is dead, and comes back as a copy.
  void FailOver(Place& place, bool planned);
  // In the middle of a change of read_only.
  void MayFailOver(const Mysqld& mysqld);
  void Serves(const Mysqld& mysqld);
  // A PRIMARY that no gate keeps read-only and that is: a person opens it, as its agent says.
  void MayComplain(Mysqld& mysqld);
  [[nodiscard]] bool IsKnown(const Mysqld& mysqld) const;  // to the coordinator, for the PRIMARY
  Tablet& TabletOf(const Mysqld& mysqld);
  void MayStandStill(Agent& agent);
  void RestartAgent(Tablet& tablet);
  void ReplaceAgent(Tablet& tablet);

  Random random;
  Scheduler scheduler;
  Trace trace;
  Network network;
  Store store;
  Oracle oracle;
  Counts counts;
  bool faults_on = false;

 private:
  void Ship(Place& place);
  void MakePlace(uint32_t side, uint32_t shard);

  const Setup setup_;
  std::array<std::vector<Place>, 2> places_;
  std::vector<proxy::Touched> touched_;
  std::vector<bool> stream_failed_;
  std::unique_ptr<Coordinator> coordinator_;
  std::vector<std::unique_ptr<Proxy>> proxies_;
  std::map<uint32_t, std::vector<Action>> binlog_waiters_;
  std::map<uint32_t, std::pair<Micros, Micros>> transactions_;  // from, until
};

}  // namespace sluice::simulate
