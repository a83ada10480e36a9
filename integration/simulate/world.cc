// World: servers with their replicas, and what befalls them.

#include "integration/simulate/world.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "integration/simulate/cutover_run.h"
#include "integration/simulate/stream_task.h"

namespace sluice::simulate {
namespace {

constexpr uint32_t kControlHost = 90'000;
constexpr Micros kLongSince = 500 * kMilli;

}  // namespace

World::World(uint64_t seed, const Setup& setup, Trace::Print print)
    : random(seed),
      trace(scheduler, std::move(print)),
      network(scheduler, random),
      oracle(*this, setup.shards),
      setup_(setup),
      stream_failed_(setup.shards) {
  network.set_troubles(setup.network);
  workflow::WorkflowRecord& record = store.records.original;
  record.keyspace = record.target_keyspace = kKeyspaces[1];
  record.source_keyspace = kKeyspaces[0];
  record.name = "move";
  record.tables = {kTableNames.begin(), kTableNames.end()};
  record.phase = workflow::WorkflowPhase::kActive;
  for (uint32_t shard = 0; shard < setup.shards; ++shard) {
    const std::string name = absl::StrCat(shard);
    record.source_shards.push_back(name);
    record.target_shards.push_back(name);
    record.streams.push_back({.id = ++store.stream_id,
                              .source_shard = name,
                              .target_shard = name,
                              .source_database = kDatabase,
                              .target_database = kDatabase});
    touched_.emplace_back();
    for (const char* keyspace : kKeyspaces) {
      touched_.back().places.push_back(absl::StrCat(keyspace, "/", name));
      for (const char* table : kTableNames) {
        touched_.back().tables.push_back(absl::StrCat(keyspace, ".", table));
      }
    }
  }
  for (uint32_t side = 0; side < 2; ++side) {
    places_.at(side).resize(setup.shards);
    for (uint32_t shard = 0; shard < setup.shards; ++shard) {
      MakePlace(side, shard);
    }
  }
  coordinator_ = std::make_unique<Coordinator>(*this, kControlHost);
  for (uint32_t i = 1; i <= setup.proxies; ++i) {
    proxies_.push_back(std::make_unique<Proxy>(*this, i, kControlHost + i));
  }
}

World::~World() = default;

void World::MakePlace(uint32_t side, uint32_t shard) {
  Place& place = places_.at(side).at(shard);
  for (uint32_t i = 0; i < 2; ++i) {
    Tablet& tablet = place.tablets.at(i);
    const std::string name =
        absl::StrFormat("%s/%d%s", kKeyspaces.at(side), shard, i == 0 ? "a" : "b");
    tablet.mysqld = std::make_unique<Mysqld>(
        scheduler, random, trace,
        Mysqld::Setup{.number = 1 + 4 * shard + 2 * side + i,
                      .side = static_cast<uint8_t>(side),
                      .shard = shard,
                      .name = "mysqld " + name,
                      .open = side == 0,
                      .semi_sync = setup_.semi_sync},
        Mysqld::Hooks{
            .on_binlog =
                [this](Mysqld& mysqld, const Tx& tx) {
                  oracle.Binlogged(mysqld, tx);
                  Ship(places_.at(mysqld.side()).at(mysqld.shard()));
                  for (const Action& action : std::exchange(binlog_waiters_[mysqld.number()], {})) {
                    action();
                  }
                },
            .on_applied = [this](Mysqld& mysqld, const Tx& /*tx*/) { oracle.Applied(mysqld); },
            .on_opened = [this](Mysqld& mysqld) { oracle.Opened(mysqld); },
            .on_left_open = [this](Mysqld& mysqld) { oracle.MetLeftOpen(mysqld); }});
    if (i == 1) {
      tablet.mysqld->BecomeReplica();
    }
    tablet.agents.push_back(std::make_unique<Agent>(*this, *tablet.mysqld, "agent " + name));
  }
}

// The forward streams are the first transaction of each target.
void World::Begin() {
  for (uint32_t shard = 0; shard < setup_.shards; ++shard) {
    Tablet& tablet = place(1, shard).tablets[0];
    StreamRow row;
    row.id = store.records.original.streams.at(shard).id;
    row.workflow = "customer.move";
    row.running = true;
    tablet.agent().Write(
        [row]() -> absl::StatusOr<Tx> {
          Tx tx;
          tx.rest = [row](Data& data) { data.streams.emplace(row.id, row); };
          return tx;
        },
        [&tablet](const absl::Status& /*status*/) { tablet.agent().TakeUpStreams(); });
  }
  for (std::vector<Place>& side : places_) {
    for (Place& place : side) {
      for (Tablet& tablet : place.tablets) {
        tablet.agent().Begin();
      }
    }
  }
  coordinator_->Begin();
  for (const std::unique_ptr<Proxy>& proxy : proxies_) {
    proxy->Begin();
  }
}

Mysqld& World::Server(uint32_t side, uint32_t shard, uint32_t tablet) {
  return *place(side, shard).tablets.at(tablet).mysqld;
}

Mysqld& World::Primary(uint32_t side, uint32_t shard) {
  return Server(side, shard, place(side, shard).primary);
}

Agent& World::AgentOf(uint32_t side, uint32_t shard) {
  Place& at = place(side, shard);
  return at.tablets.at(at.known).agent();
}

void World::WhenBinlogGrows(const Mysqld& mysqld, Process& process, Micros deadline,
                            Action action) {
  const auto done = std::make_shared<bool>(false);
  const Action once = [done, action = std::move(action)] {
    if (!std::exchange(*done, true)) {
      action();
    }
  };
  binlog_waiters_[mysqld.number()].push_back([&process, this, life = process.life(), once] {
    if (process.up() && process.life() == life) {
      process.Later(random.Between(20, 300), once);
    }
  });
  process.Later(deadline - scheduler.now(), once);
}

bool World::LongTransactionOn(const Mysqld& mysqld) const {
  const auto found = transactions_.find(mysqld.number());
  return mysqld.TablesInUse() && found != transactions_.end() &&
         found->second.first + kLongSince <= scheduler.now() &&
         found->second.second > scheduler.now();
}

void World::NoteTransaction(const Mysqld& mysqld, Micros lasts) {
  transactions_[mysqld.number()] = {scheduler.now(), scheduler.now() + lasts};
}

void World::StreamFailed(uint32_t shard, const absl::Status& why) {
  trace.Note("stream", "fails", shard, " ", why.message());
  stream_failed_.at(shard) = true;
}

// One transaction after the other, while both are there and see each other.
void World::Ship(Place& at) {
  Mysqld& primary = *at.tablets.at(at.primary).mysqld;
  Mysqld& replica = *at.tablets.at(1U - at.primary).mysqld;
  if (at.shipping || replica.received() >= primary.binlog().size()) {
    return;
  }
  at.shipping = true;
  const bool joined = primary.process.up() && replica.process.up() && replica.replica() &&
                      network.Joined(primary.process.host(), replica.process.host());
  // Where nobody waits for it, it may be far behind.
  const bool lags = !setup_.semi_sync && random.OneIn(30);
  const Micros delay = !joined ? 50 * kMilli
                       : lags  ? random.Between(kMilli, kSecond)
                               : random.Between(50, 400);
  scheduler.In(delay, [this, &at, &primary, &replica,
                       uuids = std::make_pair(primary.uuid(), replica.uuid())] {
    at.shipping = false;
    const bool same = uuids == std::make_pair(primary.uuid(), replica.uuid()) &&
                      &primary == at.tablets.at(at.primary).mysqld.get();
    const bool still = primary.process.up() && replica.process.up() && replica.replica() &&
                       network.Joined(primary.process.host(), replica.process.host());
    if (same && still && replica.received() < primary.binlog().size()) {
      replica.Receive(primary.binlog()[replica.received()]);
      primary.process.Later(random.Between(30, 300),
                            [&primary, n = replica.received()] { primary.Acknowledge(n); });
    }
    Ship(at);
  });
}

void World::CrashMysqld(Place& at, uint32_t tablet) {
  Tablet& down = at.tablets.at(tablet);
  down.mysqld->Crash();
  for (const std::unique_ptr<Agent>& agent : down.agents) {
    agent->MysqldLost();
  }
}

void World::RestartMysqld(Place& at, uint32_t tablet) {
  Tablet& down = at.tablets.at(tablet);
  if (down.mysqld->process.up()) {
    return;
  }
  if (tablet != at.primary && !down.mysqld->replica()) {
    Mysqld& primary = *at.tablets.at(at.primary).mysqld;
    down.mysqld->CopyFrom(primary);
    primary.Acknowledge(down.mysqld->received());
    down.agent().StopStreams();
  }
  down.mysqld->Restart();
  if (down.mysqld->ClosedByGate()) {
    ++counts.gates["restarted while closed as a whole mysqld"];
  }
  Ship(at);
}

void World::FailOver(Place& at, bool planned) {
  const uint8_t old = at.primary;
  Mysqld& before = *at.tablets.at(old).mysqld;
  Mysqld& after = *at.tablets.at(1U - old).mysqld;
  if (!after.process.up() || (planned && !before.process.up())) {
    return;
  }
  if (planned) {
    // Nobody commits any more, so all that is under way ends or fails, and the rest goes over.
    before.BecomeReplica();
    before.DrainCommits();
    while (after.received() < before.binlog().size()) {
      after.Receive(before.binlog()[after.received()]);
    }
    at.tablets.at(old).agent().StopStreams();
  } else if (before.process.up()) {
    CrashMysqld(at, old);
  }
  after.ApplyReceived();
  const std::vector<TxPointer>& all = before.binlog();
  const std::vector<TxPointer> lost(all.begin() + static_cast<ptrdiff_t>(after.received()),
                                    all.end());
  const bool seen = after.received() < before.binlog().size() - before.pending();
  oracle.Lost(before, lost, seen);
  trace.Note(after.name(), planned ? "takes over" : "is promoted", lost.size(),
             " transactions lost");
  at.primary = 1U - old;
  after.Promote();
  if (after.LeftOpen()) {
    ++counts.gates["failed over while closed as a whole mysqld"];
  }
  after.Acknowledge(after.binlog().size());
  if (planned) {
    before.FollowOn(after);
  }
}

void World::MayFailOver(const Mysqld& mysqld) {
  if (!faults_on || !random.OneIn(100)) {
    return;
  }
  scheduler.In(random.Between(0, kMilli), [this, &mysqld] {
    Place& at = place(mysqld.side(), mysqld.shard());
    if (&Primary(mysqld.side(), mysqld.shard()) == &mysqld && IsKnown(mysqld)) {
      FailOver(at, true);
      const bool done = &Primary(mysqld.side(), mysqld.shard()) != &mysqld;
      counts.faults["planned failover in the middle of a change of read_only"] += done ? 1U : 0U;
    }
  });
}

// A server is known for the PRIMARY when its agent says that it serves.
void World::Serves(const Mysqld& mysqld) {
  Place& at = place(mysqld.side(), mysqld.shard());
  if (at.tablets.at(at.primary).mysqld.get() != &mysqld || at.known == at.primary) {
    return;
  }
  scheduler.In(random.Between(5 * kMilli, kSecond), [this, &at, said = at.primary] {
    if (at.known == said || at.primary != said) {
      return;
    }
    at.known = said;
    trace.Note("topology", "known", at.tablets.at(at.primary).mysqld->name());
    if (coordinator_->process.up()) {
      coordinator_->process.Later(0, [this] { coordinator_->TopologyChanged(); });
    }
  });
}

void World::MayComplain(Mysqld& mysqld) {
  if (&Primary(mysqld.side(), mysqld.shard()) != &mysqld || mysqld.replica()) {
    return;
  }
  scheduler.In(random.Between(kSecond, 5 * kSecond), [this, &mysqld] {
    if (mysqld.process.up() && !mysqld.replica() && !mysqld.LooksPrimary()) {
      ++counts.gates["opened by a person, after what a former PRIMARY had persisted"];
      mysqld.OpenServer(false);
    }
  });
}

bool World::IsKnown(const Mysqld& mysqld) const {
  const Place& at = places_.at(mysqld.side()).at(mysqld.shard());
  return at.tablets.at(at.known).mysqld.get() == &mysqld;
}

Tablet& World::TabletOf(const Mysqld& mysqld) {
  Place& at = place(mysqld.side(), mysqld.shard());
  return at.tablets.at(at.tablets[0].mysqld.get() == &mysqld ? 0 : 1);
}

void World::MayStandStill(Agent& agent) {
  if (!faults_on || !random.OneIn(400)) {
    return;
  }
  ++counts.faults["agent stands still in the middle of a request"];
  trace.Note(agent.process.name(), "stands still");
  agent.process.StandStillUntil(scheduler.now() + random.Between(kMilli, 6 * kSecond));
  Tablet& tablet = TabletOf(agent.mysqld());
  if (random.OneIn(2) && &tablet.agent() == &agent && tablet.agents.size() < 5) {
    scheduler.In(random.Between(kMilli, 100 * kMilli), [this, &tablet] { ReplaceAgent(tablet); });
  }
}

void World::RestartAgent(Tablet& tablet) {
  Agent& agent = tablet.agent();
  if (!agent.process.up()) {
    trace.Note(agent.process.name(), "starts");
    agent.process.Start();
    agent.Begin();
  }
}

// The one before sleeps, does when it wakes what it was about to do, and ends some time later.
void World::ReplaceAgent(Tablet& tablet) {
  Agent& before = tablet.agent();
  trace.Note(before.process.name(), "is replaced");
  before.process.Later(random.Between(kMilli, 2 * kSecond), [this, &before] {
    before.process.Later(random.Between(kMilli, 2 * kSecond), [this, &before] {
      before.Crash();
      // What it was told to run, nobody runs now; a person who ends it starts its successor again.
      Tablet& there = TabletOf(before.mysqld());
      if (there.agent().process.up() && there.mysqld->process.up()) {
        there.agent().TakeUpStreams();
      }
    });
  });
  const std::string name =
      absl::StrCat(tablet.agents.front()->process.name(), "#", tablet.agents.size() + 1);
  tablet.agents.push_back(std::make_unique<Agent>(*this, *tablet.mysqld, name));
  tablet.agent().Begin();
}

}  // namespace sluice::simulate
