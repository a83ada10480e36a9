// Faults: each kind.

#include "integration/simulate/faults.h"

#include <algorithm>
#include <utility>

namespace sluice::simulate {

Faults::Faults(World& world) : world_(world) {}

const std::vector<Faults::Kind>& Faults::Kinds() {
  static const std::vector<Kind> kinds = {
      {"coordinator dies", &Faults::CoordinatorDies},
      {"coordinator dies", &Faults::CoordinatorDies},
      {"coordinator sleeps", &Faults::CoordinatorSleeps},
      {"agent dies", &Faults::AgentDies},
      {"agent dies", &Faults::AgentDies},
      {"agent sleeps", &Faults::AgentSleeps},
      {"agent sleeps and is replaced", &Faults::AgentReplaced},
      {"mysqld dies", &Faults::MysqldDies},
      {"mysqld dies", &Faults::MysqldDies},
      {"failover", &Faults::FailOver},
      {"planned failover", &Faults::PlannedFailOver},
      {"proxy dies", &Faults::ProxyDies},
      {"proxy loses its host", &Faults::ProxyHostDies},
      {"proxy sleeps", &Faults::ProxySleeps},
      {"coordinator cut off from a host", &Faults::CoordinatorCutOff},
      {"proxy cut off from the coordinator", &Faults::ProxyCutOff},
      {"proxy cut off from a server", &Faults::ProxyLosesServer},
      {"hosts cut off from each other", &Faults::HostsLoseEachOther},
      {"binlog purged", &Faults::Purge},
  };
  return kinds;
}

void Faults::Begin() {
  world_.faults_on = true;
  Next();
}

void Faults::Next() {
  const Micros every = world_.setup().fault_every;
  const Micros mean = world_.coordinator().busy() ? std::max(every / 8, kMilli) : every;
  // Looks again soon: a cutover may have begun.
  const Micros step = std::min(mean, 5 * kMilli);
  world_.scheduler.In(world_.random.Between(step / 2, step * 3 / 2), [this, mean, step] {
    if (!world_.faults_on) {
      return;
    }
    if (world_.random.Below(static_cast<uint64_t>(mean)) < static_cast<uint64_t>(step)) {
      Strike();
    }
    Next();
  });
}

void Faults::Strike() {
  const Kind& kind = Kinds().at(world_.random.Below(Kinds().size()));
  if ((this->*kind.strike)()) {
    ++world_.counts.faults[kind.name];
    world_.trace.Note("fault", kind.name);
  }
}

void Faults::Stop() {
  world_.faults_on = false;
  world_.network.set_troubles({});
  for (const auto& [hosts, times] : cuts_) {
    world_.network.Heal(hosts.first, hosts.second);
  }
  cuts_.clear();
  Coordinator& coordinator = world_.coordinator();
  coordinator.process.Wake();
  if (!coordinator.process.up()) {
    coordinator.process.Start();
    coordinator.Begin();
  }
  for (const std::unique_ptr<Proxy>& proxy : world_.proxies()) {
    proxy->process.Wake();
    if (!proxy->process.up()) {
      proxy->process.Start();
      proxy->Begin();
    }
  }
  for (uint32_t side = 0; side < 2; ++side) {
    for (uint32_t shard = 0; shard < world_.shards(); ++shard) {
      Place& place = world_.place(side, shard);
      for (uint32_t tablet = 0; tablet < 2; ++tablet) {
        world_.RestartMysqld(place, tablet);
        world_.RestartAgent(place.tablets.at(tablet));
        for (const std::unique_ptr<Agent>& agent : place.tablets.at(tablet).agents) {
          agent->process.Wake();
        }
      }
    }
  }
}

Place& Faults::DrawPlace() {
  return world_.place(static_cast<uint32_t>(world_.random.Below(2)),
                      static_cast<uint32_t>(world_.random.Below(world_.shards())));
}

Proxy& Faults::DrawProxy() {
  return *world_.proxies().at(world_.random.Below(world_.proxies().size()));
}

// Mostly at once, now and then much later.
Micros Faults::Soon(Micros last) {
  return world_.random.OneIn(3) ? world_.random.Between(kMilli, last)
                                : world_.random.Between(kMilli, std::max(last / 20, 2 * kMilli));
}

bool Faults::CoordinatorDies() {
  Coordinator& coordinator = world_.coordinator();
  if (!coordinator.process.up()) {
    return false;
  }
  coordinator.Crash();
  world_.scheduler.In(Soon(2 * kSecond), [this] {
    Coordinator& dead = world_.coordinator();
    if (!dead.process.up()) {
      dead.process.Start();
      dead.Begin();
    }
  });
  return true;
}

bool Faults::CoordinatorSleeps() {
  Process& process = world_.coordinator().process;
  process.StandStillUntil(world_.scheduler.now() + Soon(5 * kSecond));
  return process.up();
}

bool Faults::AgentDies() {
  Tablet& tablet = DrawPlace().tablets.at(world_.random.OneIn(5) ? 1 : 0);
  if (!tablet.agent().process.up()) {
    return false;
  }
  world_.trace.Note(tablet.agent().process.name(), "dies");
  tablet.agent().Crash();
  world_.scheduler.In(Soon(3 * kSecond), [this, &tablet] { world_.RestartAgent(tablet); });
  return true;
}

bool Faults::AgentSleeps() {
  Place& place = DrawPlace();
  Process& process = place.tablets.at(place.primary).agent().process;
  process.StandStillUntil(world_.scheduler.now() + Soon(8 * kSecond));
  world_.trace.Note(process.name(), "sleeps");
  return process.up();
}

bool Faults::AgentReplaced() {
  Place& place = DrawPlace();
  Tablet& tablet = place.tablets.at(place.primary);
  if (tablet.agents.size() > 4 || !tablet.agent().process.up()) {
    return false;
  }
  tablet.agent().process.StandStillUntil(world_.scheduler.now() + Soon(12 * kSecond));
  world_.scheduler.In(Soon(200 * kMilli), [this, &tablet] { world_.ReplaceAgent(tablet); });
  return true;
}

bool Faults::MysqldDies() {
  Place& place = DrawPlace();
  const uint32_t tablet = world_.random.OneIn(5) ? 1U - place.primary : place.primary;
  if (!place.tablets.at(tablet).mysqld->process.up()) {
    return false;
  }
  world_.CrashMysqld(place, tablet);
  world_.scheduler.In(Soon(3 * kSecond),
                      [this, &place, tablet] { world_.RestartMysqld(place, tablet); });
  return true;
}

// An agent that has not looked since its server was demoted would miss that as well as the
// promotion.
bool Faults::MayBePromoted(Place& place) {
  Tablet& other = place.tablets.at(1U - place.primary);
  return place.known == place.primary && other.mysqld->process.up() && !other.agent().ready();
}

bool Faults::FailOver() {
  Place& place = DrawPlace();
  const uint32_t old = place.primary;
  if (!MayBePromoted(place)) {
    return false;
  }
  world_.FailOver(place, false);
  world_.scheduler.In(Soon(3 * kSecond), [this, &place, old] { world_.RestartMysqld(place, old); });
  return true;
}

bool Faults::PlannedFailOver() {
  Place& place = DrawPlace();
  if (!MayBePromoted(place) || !place.tablets.at(place.primary).mysqld->process.up()) {
    return false;
  }
  world_.FailOver(place, true);
  return true;
}

bool Faults::ProxyDies() {
  Proxy& proxy = DrawProxy();
  if (!proxy.process.up()) {
    return false;
  }
  proxy.Crash(world_.random.OneIn(3));
  world_.scheduler.In(Soon(2 * kSecond), [&proxy] {
    if (!proxy.process.up()) {
      proxy.process.Start();
      proxy.Begin();
    }
  });
  return true;
}

bool Faults::ProxyHostDies() {
  Proxy& proxy = DrawProxy();
  if (!proxy.process.up()) {
    return false;
  }
  proxy.Crash(true);
  world_.scheduler.In(Soon(4 * kSecond), [&proxy] {
    if (!proxy.process.up()) {
      proxy.process.Start();
      proxy.Begin();
    }
  });
  return true;
}

// Also for longer than a lease.
bool Faults::ProxySleeps() {
  Process& process = DrawProxy().process;
  process.StandStillUntil(world_.scheduler.now() + Soon(25 * kSecond));
  return process.up();
}

bool Faults::Cut(uint32_t a, uint32_t b, Micros until) {
  if (!world_.network.Joined(a, b) || a == b) {
    return false;
  }
  world_.network.Cut(a, b);
  const std::pair<uint32_t, uint32_t> hosts = {std::min(a, b), std::max(a, b)};
  const uint32_t time = ++cuts_[hosts];
  world_.scheduler.In(until, [this, hosts, time] {
    const auto found = cuts_.find(hosts);
    if (found != cuts_.end() && found->second == time) {
      world_.network.Heal(hosts.first, hosts.second);
    }
  });
  return true;
}

bool Faults::CoordinatorCutOff() {
  Place& place = DrawPlace();
  return Cut(world_.coordinator().process.host(), place.tablets.at(place.primary).mysqld->number(),
             Soon(5 * kSecond));
}

bool Faults::ProxyCutOff() {
  return Cut(world_.coordinator().process.host(), DrawProxy().process.host(), Soon(25 * kSecond));
}

bool Faults::ProxyLosesServer() {
  Place& place = DrawPlace();
  return Cut(DrawProxy().process.host(), place.tablets.at(place.primary).mysqld->number(),
             Soon(5 * kSecond));
}

bool Faults::HostsLoseEachOther() {
  const auto shard = static_cast<uint32_t>(world_.random.Below(world_.shards()));
  const uint32_t first = world_.Primary(0, shard).number();
  Place& target = world_.place(1, shard);
  const uint32_t second = world_.random.OneIn(3)
                              ? target.tablets.at(1U - target.primary).mysqld->number()
                              : world_.Primary(1, shard).number();
  return Cut(world_.random.OneIn(4) ? world_.Primary(1, shard).number() : first, second,
             Soon(5 * kSecond));
}

bool Faults::Purge() {
  if (!world_.setup().purges) {
    return false;
  }
  Place& place = DrawPlace();
  place.tablets.at(place.primary).mysqld->Purge(world_.random.Below(20));
  return true;
}

}  // namespace sluice::simulate
