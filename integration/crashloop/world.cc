// World: processes that are killed and started again, and the configuration that leads through the
// relays.

#include "integration/crashloop/world.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::crashloop {
namespace {

constexpr absl::Duration kEndTimeout = absl::Seconds(60);
constexpr size_t kSourceMysqld = 0;
constexpr size_t kTargetMysqld = 1;
constexpr size_t kSourceAgent = 2;
constexpr size_t kTargetAgent = 3;
constexpr size_t kCoordinator = 4;

cluster::Topology TwoSides() {
  cluster::Topology topology;
  topology.proxies = 0;
  topology.tablets.push_back({.uid = kSourceUid, .keyspace = "source"});
  topology.tablets.push_back({.uid = kTargetUid, .keyspace = "target"});
  return topology;
}

}  // namespace

uint64_t FaultCounts::kills() const {
  uint64_t sum = points_reached;
  for (const FaultKind kind : {FaultKind::kKillAgent, FaultKind::kRivalAgent,
                               FaultKind::kKillMysqld, FaultKind::kKillCoordinator}) {
    sum += done[static_cast<size_t>(kind)];
  }
  return sum;
}

uint64_t FaultCounts::all() const {
  uint64_t sum = 0;
  for (const uint64_t one : done) {
    sum += one;
  }
  return sum;
}

absl::StatusOr<std::unique_ptr<World>> World::Start(const std::string& directory,
                                                    const std::string& bin_directory) {
  cluster::ClusterOptions options;
  options.directory = directory;
  options.bin_directory = bin_directory;
  options.dies_with_parent = true;
  SLUICE_ASSIGN_OR_RETURN(auto cluster, cluster::Cluster::Up(TwoSides(), options));
  std::unique_ptr<World> world(new World(std::move(cluster)));
  SLUICE_RETURN_IF_ERROR(world->TakeOver());
  return world;
}

World::~World() {
  stalled_.clear();
  for (const auto* list : {&rivals_, &programs_}) {
    for (const Program& program : *list) {
      cluster::StopProcess(program.id, absl::ZeroDuration()).IgnoreError();
    }
  }
}

absl::Status World::WriteAgentFiles(uint32_t uid, Side side) {
  const cluster::TabletLayout& tablet = *cluster_->FindTablet(uid);
  const bool source = side == Side::kSource;
  const auto relay_port = [&](Link link) { return Of(link).port(); };
  std::vector<std::pair<std::string, std::string>> changes = {
      {cluster_->layout().coordinator_url(),
       absl::StrCat("tcp://127.0.0.1:",
                    relay_port(source ? Link::kSourceCoordinator : Link::kTargetCoordinator))},
      {absl::StrCat("\nport = ", tablet.mysql_port),
       absl::StrCat("\nport = ", relay_port(source ? Link::kSourceMysqld : Link::kTargetMysqld),
                    "\nadvertise_port = ", tablet.mysql_port)}};
  const std::string listen = absl::StrCat("listen = \"tcp://127.0.0.1:", tablet.agent_port, "\"");
  if (source) {
    changes.emplace_back(listen, absl::StrCat(listen, "\nadvertise_url = \"tcp://127.0.0.1:",
                                              relay_port(Link::kAgents), "\""));
  }
  const std::string path = cluster_->layout().Path(tablet.agent_name() + ".toml");
  SLUICE_RETURN_IF_ERROR(cluster::RewriteFile(path, path + ".relayed", changes));
  // A rival listens elsewhere: the port is the stopped agent's.
  return cluster::RewriteFile(
      path + ".relayed", path + ".rival",
      {{listen, "listen = \"tcp://127.0.0.1:0\""}, {"advertise_url", "#advertise_url"}});
}

absl::Status World::TakeOver() {
  const cluster::Layout& layout = cluster_->layout();
  const cluster::TabletLayout& source = *cluster_->FindTablet(kSourceUid);
  const cluster::TabletLayout& target = *cluster_->FindTablet(kTargetUid);
  relays_[static_cast<size_t>(Link::kSourceMysqld)] = std::make_unique<Relay>(source.mysql_port);
  relays_[static_cast<size_t>(Link::kTargetMysqld)] = std::make_unique<Relay>(target.mysql_port);
  relays_[static_cast<size_t>(Link::kAgents)] = std::make_unique<Relay>(source.agent_port);
  for (const Link link : {Link::kSourceCoordinator, Link::kTargetCoordinator}) {
    relays_[static_cast<size_t>(link)] = std::make_unique<Relay>(layout.coordinator_port);
  }
  SLUICE_RETURN_IF_ERROR(WriteAgentFiles(kSourceUid, Side::kSource));
  SLUICE_RETURN_IF_ERROR(WriteAgentFiles(kTargetUid, Side::kTarget));
  for (const std::string& name : {source.mysqld_name(), target.mysqld_name(), source.agent_name(),
                                  target.agent_name(), std::string("coordinator")}) {
    const cluster::ProcessLayout& process = layout.processes.at(name);
    programs_.push_back({.name = name, .argv = process.argv, .id = process.id});
  }
  for (const size_t agent : {kSourceAgent, kTargetAgent}) {
    programs_[agent].argv.back() += ".relayed";
    SLUICE_RETURN_IF_ERROR(KillAndStart(programs_[agent], SIGKILL));
  }
  // A kill takes no page cache along, so neither syncs are needed for what this loop can do.
  for (const uint32_t uid : {kSourceUid, kTargetUid}) {
    SLUICE_ASSIGN_OR_RETURN(auto connection, cluster_->ConnectMysqld(uid));
    SLUICE_RETURN_IF_ERROR(
        connection->Execute("SET PERSIST innodb_flush_log_at_trx_commit = 2").status());
    SLUICE_RETURN_IF_ERROR(connection->Execute("SET PERSIST sync_binlog = 0").status());
  }
  return cluster_->AwaitServing(absl::Seconds(60));
}

World::Program& World::Agent(Side side) {
  return programs_[side == Side::kSource ? kSourceAgent : kTargetAgent];
}

World::Program& World::Mysqld(Side side) {
  return programs_[side == Side::kSource ? kSourceMysqld : kTargetMysqld];
}

absl::Status World::Spawn(Program& program, const std::vector<std::string>& environment) {
  cluster::SpawnOptions options;
  options.argv = program.argv;
  if (HasRival(program.name)) {  // whose port it is
    options.argv.back() = absl::StrReplaceAll(options.argv.back(), {{".relayed", ".rival"}});
  }
  options.environment = environment;
  options.log = cluster_->layout().LogOf(program.name);
  options.dies_with_parent = true;
  SLUICE_ASSIGN_OR_RETURN(program.id, cluster::Spawn(options));
  program.armed = !environment.empty();
  program.paused_until = absl::InfiniteFuture();
  return absl::OkStatus();
}

absl::Status World::KillAndStart(Program& program, int signal,
                                 const std::vector<std::string>& environment) {
  absl::Status sent = cluster::Signal(program.id, signal);
  if (!sent.ok() && !absl::IsNotFound(sent)) {
    return sent;
  }
  SLUICE_RETURN_IF_ERROR(Annotate(cluster::AwaitExit(program.id, kEndTimeout), program.name));
  return Spawn(program, environment);
}

absl::Status World::Pause(Program& program, absl::Duration duration) {
  SLUICE_RETURN_IF_ERROR(cluster::Signal(program.id, SIGSTOP));
  program.paused_until = absl::Now() + duration;
  return absl::OkStatus();
}

// The stopped agent keeps its port, its sessions and what it was about to commit. When it wakes, it
// is no longer the one; a little later it is killed.
absl::Status World::Rival(Program& program, absl::Duration duration) {
  SLUICE_RETURN_IF_ERROR(Pause(program, duration));
  rivals_.push_back(program);
  return Spawn(program);
}

bool World::HasRival(const std::string& name) const {
  return std::any_of(rivals_.begin(), rivals_.end(),
                     [&name](const Program& rival) { return rival.name == name; });
}

absl::Status World::Stall(Relay& relay, const Fault& fault) {
  relay.Stall(true);
  stalled_.push_back({&relay, absl::Now() + fault.duration, fault.abrupt});
  return absl::OkStatus();
}

absl::Status World::Do(const Fault& fault) {
  const bool agent = fault.kind == FaultKind::kKillAgent || fault.kind == FaultKind::kCrashAgent ||
                     fault.kind == FaultKind::kPauseAgent || fault.kind == FaultKind::kRivalAgent;
  Program& victim = fault.kind == FaultKind::kKillCoordinator ? programs_[kCoordinator]
                    : agent                                   ? Agent(fault.side)
                                                              : Mysqld(fault.side);
  const bool rival_lives = agent && HasRival(victim.name);
  if (HitsProcess(fault.kind) && (cluster::IsStopped(victim.id) || !cluster::IsAlive(victim.id) ||
                                  (rival_lives && fault.kind == FaultKind::kRivalAgent))) {
    ++counts_.skipped;
    return absl::OkStatus();
  }
  ++counts_.done[static_cast<size_t>(fault.kind)];
  switch (fault.kind) {
    case FaultKind::kCut:
      Of(fault.link).Cut(fault.abrupt);
      return absl::OkStatus();
    case FaultKind::kCutOne:
      Of(fault.link).CutOne(fault.amount, fault.abrupt);
      return absl::OkStatus();
    case FaultKind::kCutWithin:
      Of(fault.link).CutWithin(fault.amount, fault.abrupt);
      return absl::OkStatus();
    case FaultKind::kStall:
      return Stall(Of(fault.link), fault);
    case FaultKind::kKillAgent:
    case FaultKind::kKillMysqld:
    case FaultKind::kKillCoordinator:
      return KillAndStart(victim, SIGKILL);
    case FaultKind::kEndMysqld:
      return KillAndStart(victim, SIGTERM);
    case FaultKind::kCrashAgent:
      return KillAndStart(victim, SIGKILL,
                          {absl::StrCat("SLUICE_CRASH_AT=", fault.point, ":", fault.amount)});
    case FaultKind::kPauseAgent:
    case FaultKind::kPauseMysqld:
      return Pause(victim, fault.duration);
    case FaultKind::kRivalAgent:
      return Rival(victim, fault.duration);
  }
  return absl::OkStatus();
}

absl::Time World::NextEnd() const {
  absl::Time next = absl::Now() + absl::Milliseconds(100);  // a process may end by itself
  for (const Stalled& one : stalled_) {
    next = std::min(next, one.until);
  }
  for (const auto* list : {&rivals_, &programs_}) {
    for (const Program& program : *list) {
      next = std::min(next, program.paused_until);
    }
  }
  return next;
}

absl::Status World::Tend() {
  const absl::Time now = absl::Now();
  for (const Stalled& one : stalled_) {
    if (one.until <= now) {
      if (one.cut) {
        one.relay->Cut(true);
      }
      one.relay->Stall(false);
    }
  }
  std::erase_if(stalled_, [now](const Stalled& one) { return one.until <= now; });
  for (Program& rival : rivals_) {
    if (rival.paused_until <= now && cluster::IsStopped(rival.id)) {
      SLUICE_RETURN_IF_ERROR(cluster::Signal(rival.id, SIGCONT));
      rival.paused_until = now + absl::Seconds(2);  // so long two of them live
    } else if (rival.paused_until <= now) {
      SLUICE_RETURN_IF_ERROR(cluster::StopProcess(rival.id, absl::ZeroDuration()));
    }
  }
  for (const size_t agent : {kSourceAgent, kTargetAgent}) {
    const std::string& name = programs_[agent].name;
    const size_t ended = std::erase_if(rivals_, [&name](const Program& rival) {
      return rival.name == name && !cluster::IsAlive(rival.id);
    });
    if (ended > 0) {  // the one that took its place gets its address back
      SLUICE_RETURN_IF_ERROR(KillAndStart(programs_[agent], SIGKILL));
    }
  }
  for (Program& program : programs_) {
    if (program.paused_until <= now) {
      cluster::Signal(program.id, SIGCONT).IgnoreError();
      program.paused_until = absl::InfiniteFuture();
    }
    if (!cluster::IsAlive(program.id)) {
      const std::string log = cluster_->layout().LogOf(program.name);
      if (!program.armed) {
        return absl::InternalError(absl::StrCat(program.name, " ended by itself; see ", log));
      }
      ++counts_.points_reached;
      SLUICE_RETURN_IF_ERROR(KillAndStart(program, SIGKILL));
    }
  }
  return absl::OkStatus();
}

absl::Status World::Heal() {
  for (const auto& relay : relays_) {
    relay->CutWithin(UINT64_MAX, false);
    relay->Stall(false);
  }
  stalled_.clear();
  for (Program& rival : rivals_) {
    SLUICE_RETURN_IF_ERROR(cluster::StopProcess(rival.id, absl::ZeroDuration()));
    rival.paused_until = absl::InfinitePast();
  }
  SLUICE_RETURN_IF_ERROR(Tend());
  for (Program& program : programs_) {
    cluster::Signal(program.id, SIGCONT).IgnoreError();
    program.paused_until = absl::InfiniteFuture();
    if (program.armed) {  // nobody ends any more
      SLUICE_RETURN_IF_ERROR(KillAndStart(program, SIGKILL));
    }
  }
  for (const size_t mysqld : {kSourceMysqld, kTargetMysqld}) {
    const uint32_t uid = mysqld == kSourceMysqld ? kSourceUid : kTargetUid;
    SLUICE_RETURN_IF_ERROR(cluster::AwaitMysqld(
        cluster_->FindTablet(uid)->mysql_port, programs_[mysqld].id,
        cluster_->layout().Path(programs_[mysqld].name + "/error.log"), kEndTimeout));
  }
  return cluster_->AwaitServing(absl::Seconds(90));
}

uint64_t World::connections_cut() const {
  uint64_t sum = 0;
  for (const auto& relay : relays_) {
    sum += relay->connections_cut();
  }
  return sum;
}

}  // namespace sluice::crashloop
