// World: how a case begins, what is done to its victim, and what must hold afterwards.

#include "integration/killloop/world.h"

#include <thread>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "integration/cluster/mysqld.h"
#include "integration/demo/story.h"
#include "integration/killloop/blocker.h"
#include "integration/workload/compare.h"

namespace sluice::killloop {
namespace {

constexpr uint32_t kCommerce = 100;
constexpr uint32_t kCustomer = 200;
constexpr uint64_t kOrders = 1000;
constexpr uint64_t kFirstKey = 1'000'000'000;
constexpr uint64_t kKeysOfAGeneration = 100'000'000;
constexpr uint64_t kDirectKeys = 50'000'000;  // from there on in a generation
constexpr uint64_t kJudgedByOneGeneration = 20;
constexpr char kShop[] = "shop";  // the applications' account that knows no proxy
constexpr char kThere[] = "All Reads Switched. Writes Switched";
constexpr char kHere[] = "Reads Not Switched. Writes Not Switched";
constexpr absl::Duration kReached = absl::Seconds(30);
constexpr absl::Duration kRecovery = absl::Seconds(90);
// What takes a fence back must find the blocker gone before it gives up.
constexpr absl::Duration kBlocked = absl::Seconds(5);

uint32_t OtherThan(uint32_t uid) {
  return uid == kCommerce ? kCustomer : kCommerce;
}

bool IsTeardown(const Case& one) {
  return one.boundary.story == Story::kComplete || one.boundary.story == Story::kCancel;
}

cluster::Topology TwoSides() {
  cluster::Topology topology;
  topology.proxies = 2;
  topology.tablets.push_back({.uid = kCommerce, .keyspace = "commerce"});
  topology.tablets.push_back({.uid = kCustomer, .keyspace = "customer"});
  return topology;
}

// Readers need no views of a server that is closed as a whole: becoming readable is a record.
Blocker::Of BlockedOf(const Case& one) {
  if (one.boundary.story == Story::kUndone) {
    return Blocker::Of::kCommits;
  }
  return one.gate == Gate::kServer ? Blocker::Of::kRecords : Blocker::Of::kViews;
}

std::string SwitchVerb(const Case& one) {
  return one.reverse ? "reversetraffic" : "switchtraffic";
}

}  // namespace

absl::StatusOr<std::unique_ptr<World>> World::Start(const WorldOptions& options) {
  std::unique_ptr<World> world(new World(options));
  cluster::ClusterOptions cluster_options;
  cluster_options.directory = options.directory;
  cluster_options.bin_directory = options.bin_directory;
  cluster_options.dies_with_parent = true;
  SLUICE_ASSIGN_OR_RETURN(world->cluster_, cluster::Cluster::Up(TwoSides(), cluster_options));
  cluster::Cluster& cluster = *world->cluster_;
  SLUICE_ASSIGN_OR_RETURN(world->links_, Links::Weave(cluster));
  for (const char* name : {"agent-100", "agent-200", "proxy-1", "proxy-2"}) {
    SLUICE_RETURN_IF_ERROR(cluster.Kill(name));
    SLUICE_RETURN_IF_ERROR(cluster.Start(name));
  }
  SLUICE_RETURN_IF_ERROR(cluster.AwaitServing(kRecovery));
  SLUICE_RETURN_IF_ERROR(demo::LoadCommerce(cluster, kOrders));
  world->operator_ = std::make_unique<Operator>(cluster);
  SLUICE_RETURN_IF_ERROR(cluster.AllowServerGates());
  SLUICE_RETURN_IF_ERROR(world->StartPassersBy());
  SLUICE_RETURN_IF_ERROR(world->StartClients());
  return world;
}

// Whoever writes and looks past the proxies.
absl::Status World::StartPassersBy() {
  std::vector<mysql::ConnectionOptions> owners;
  for (const uint32_t uid : {kCommerce, kCustomer}) {
    SLUICE_ASSIGN_OR_RETURN(const auto session, cluster_->ConnectMysqld(uid));
    const cluster::TabletLayout& tablet = *cluster_->FindTablet(uid);
    const std::string database = tablet.spec.database();
    for (const std::string& sql :
         {absl::StrCat("CREATE USER ", kShop, "@'127.0.0.1' IDENTIFIED BY '", kShop, "'"),
          absl::StrCat("GRANT ALL ON ", mysql::QuoteName(database), ".* TO ", kShop,
                       "@'127.0.0.1'")}) {
      SLUICE_RETURN_IF_ERROR(session->Execute(sql).status());
    }
    owners.push_back(cluster::RootOptions(tablet.mysql_port));
    owners.back().database = database;
    mysql::ConnectionOptions& shop = shops_.emplace_back(owners.back());
    shop.user = kShop;
    shop.password = kShop;
  }
  // A mysqld is closed as a whole only where nothing stays on it.
  SLUICE_ASSIGN_OR_RETURN(const auto session, cluster_->ConnectMysqld(kCommerce));
  SLUICE_RETURN_IF_ERROR(session->Execute("DROP TABLE product").status());
  watch_ = Watch::Start(owners[0], owners[1]);
  return absl::OkStatus();
}

absl::Status World::StartClients() {
  workload::WorkloadOptions options;
  for (const cluster::ProxyLayout& proxy : cluster_->layout().proxies) {
    mysql::ConnectionOptions session;
    session.host = "127.0.0.1";
    session.port = proxy.port;
    session.user = cluster_->layout().app_user;
    session.password = cluster_->layout().app_password;
    options.proxies.push_back(session);
  }
  options.writers = 2;
  options.readers = 1;
  options.replica_reads = false;
  options.think_time = absl::Milliseconds(10);
  // What an earlier generation does not know the outcome of may still come.
  options.first_key = kFirstKey + kKeysOfAGeneration * generations_++;
  judged_ = 0;
  direct_ = DirectClients::Start(shops_, options.first_key + kDirectKeys);
  SLUICE_ASSIGN_OR_RETURN(clients_, workload::Workload::Start(options));
  return clients_->AwaitWrites(10, kRecovery);
}

uint32_t World::ToUid(const Case& one) const {
  return one.reverse && !IsTeardown(one) ? move_->source_uid : move_->target_uid;
}

std::string World::NameOf(const Case& one, const std::string& role) const {
  const uint32_t to = ToUid(one);
  const uint32_t from = OtherThan(to);
  if (absl::StartsWith(role, "from-")) {
    return absl::StrCat(role.substr(5), "-", from);
  }
  if (absl::StartsWith(role, "to-")) {
    return absl::StrCat(role.substr(3), "-", to);
  }
  return role;
}

// Once there and back: only then does a switch find a stream that it replaces, and gates of the
// wanted kind on both sides.
absl::Status World::CreateMove(Gate gate) {
  SLUICE_ASSIGN_OR_RETURN(const uint32_t owner, OwnerOfOrders());
  Move move;
  move.gate = gate;
  move.source = owner == kCommerce ? "commerce" : "customer";
  move.target = owner == kCommerce ? "customer" : "commerce";
  move.source_uid = owner;
  move.target_uid = OtherThan(owner);
  move.name = absl::StrCat(move.target, ".move", ++moves_);
  SLUICE_RETURN_IF_ERROR(operator_->Insist(
      {"movetables", "create", move.name, "--source", move.source, "--tables", "customer,corder"},
      kRecovery));
  SLUICE_RETURN_IF_ERROR(operator_->AwaitRunning(move.name, kRecovery));
  move_ = move;
  SLUICE_RETURN_IF_ERROR(BringTraffic(true));
  return BringTraffic(false);
}

absl::Status World::CompleteMove() {
  SLUICE_RETURN_IF_ERROR(BringTraffic(true));
  SLUICE_RETURN_IF_ERROR(operator_->Insist({"movetables", "complete", move_->name}, kRecovery));
  move_.reset();
  return absl::OkStatus();
}

// A move whose gates are of the wanted kind; a gate opens as it was closed, so another kind takes
// another move. One that is to be taken down leads from customer to commerce where `reverse`.
absl::Status World::BringMove(const Case& one) {
  const auto fits = [&] {
    const bool is_reverse = move_->source == "customer";
    return move_->gate == one.gate && (!IsTeardown(one) || is_reverse == one.reverse);
  };
  while (!move_ || !fits()) {
    if (move_) {
      SLUICE_RETURN_IF_ERROR(CompleteMove());
    }
    SLUICE_RETURN_IF_ERROR(CreateMove(one.gate));
  }
  return absl::OkStatus();
}

absl::Status World::BringTraffic(bool there) {
  const absl::Time deadline = absl::Now() + kRecovery;
  const char* wanted = there ? kThere : kHere;
  absl::Status last;
  do {
    const absl::StatusOr<Standing> standing = operator_->Look(move_->name);
    if (standing.ok() && standing->traffic_state == wanted) {
      return operator_->AwaitRunning(there ? move_->ReverseName() : move_->name, kRecovery);
    }
    last = operator_->Insist({"movetables", there ? "switchtraffic" : "reversetraffic", move_->name,
                              "--timeout", "20s", "--gate", GateName(move_->gate)},
                             absl::Seconds(1));
  } while (absl::Now() < deadline);
  return Annotate(last, absl::StrCat("traffic can't be brought to \"", wanted, "\""));
}

absl::Status World::Prepare(const Case& one) {
  SLUICE_RETURN_IF_ERROR(BringMove(one));
  const bool there = IsTeardown(one) ? one.boundary.story == Story::kComplete : one.reverse;
  SLUICE_RETURN_IF_ERROR(BringTraffic(there));
  if (one.boundary.story == Story::kReadsLast) {
    SLUICE_RETURN_IF_ERROR(
        operator_->Insist({"movetables", SwitchVerb(one), move_->name, "--tablet-types", "primary",
                           "--gate", GateName(one.gate)},
                          kRecovery));
  }
  SLUICE_RETURN_IF_ERROR(Arm(one));
  const bool reads_last = one.boundary.story == Story::kReadsLast;
  const bool back = reads_last ? !one.reverse : there;
  return operator_->AwaitRunning(back ? move_->ReverseName() : move_->name, kRecovery);
}

absl::Status World::Arm(const Case& one) {
  const std::string owner = NameOf(one, RoleOf(one.boundary.owner));
  SLUICE_RETURN_IF_ERROR(cluster_->Kill(owner));
  SLUICE_RETURN_IF_ERROR(cluster_->Start(
      owner, {absl::StrCat(one.way == Way::kExit ? "SLUICE_CRASH_AT=" : "SLUICE_STOP_AT=",
                           one.boundary.point, ":", one.boundary.nth)}));
  return cluster_->AwaitServing(kRecovery);
}

void World::GiveCommand(const Case& one) const {
  std::vector<std::string> arguments = {"movetables", SwitchVerb(one), move_->name};
  const auto give = [&](const std::vector<std::string>& flags) {
    arguments.insert(arguments.end(), {"--gate", GateName(one.gate)});
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    operator_->Try(arguments);
  };
  switch (one.boundary.story) {
    case Story::kSwitch:
      return give({"--timeout", "5s", "--initialize-target-sequences"});
    case Story::kHeld:
      give({"--timeout", "5s", "--hold"});
      // It is held by the next coordinator too, unless it never began.
      return operator_->Insist({"cutover", "release", move_->name}, absl::Seconds(20))
          .IgnoreError();
    case Story::kUndone:
      return give({"--timeout", "3s", "--tablet-types", "primary"});
    case Story::kReadsUndone:
      return give({"--timeout", "2s", "--tablet-types", "replica,rdonly"});
    case Story::kReadsLast:
      return give({"--timeout", "5s", "--tablet-types", "replica,rdonly"});
    case Story::kComplete:
      return operator_->Try({"movetables", "complete", move_->name});
    case Story::kCancel:
      return operator_->Try({"movetables", "cancel", move_->name});
  }
}

absl::StatusOr<bool> World::Strike(const Case& one) {
  std::unique_ptr<Blocker> blocker;
  if (one.boundary.story == Story::kUndone || one.boundary.story == Story::kReadsUndone) {
    SLUICE_ASSIGN_OR_RETURN(auto session, cluster_->ConnectMysqld(ToUid(one)));
    SLUICE_ASSIGN_OR_RETURN(blocker, Blocker::Start(std::move(session), BlockedOf(one), kBlocked));
  }
  const std::jthread command([this, &one] { GiveCommand(one); });
  const std::string owner = NameOf(one, RoleOf(one.boundary.owner));
  const absl::Status reached = one.way == Way::kExit ? cluster_->AwaitEnd(owner, kReached)
                                                     : cluster_->AwaitStopped(owner, kReached);
  if (!reached.ok()) {
    return false;
  }
  SLUICE_RETURN_IF_ERROR(Inflict(one));
  return true;
}

absl::Status World::Inflict(const Case& one) {
  const std::string owner = NameOf(one, RoleOf(one.boundary.owner));
  const std::string victim = NameOf(one, one.role);
  switch (one.way) {
    case Way::kExit:
      return cluster_->Start(owner);
    case Way::kKill:
      SLUICE_RETURN_IF_ERROR(cluster_->Kill(victim));
      if (victim != owner) {
        SLUICE_RETURN_IF_ERROR(cluster_->Resume(owner));
      }
      return cluster_->Start(victim);
    case Way::kStop:
      if (victim != owner) {
        SLUICE_RETURN_IF_ERROR(cluster_->Pause(victim));
        SLUICE_RETURN_IF_ERROR(cluster_->Resume(owner));
      }
      absl::SleepFor(options_.stop_for);  // Delay: longer than any lease
      return cluster_->Resume(victim);
    case Way::kCut:
      links_->Cut(victim);
      SLUICE_RETURN_IF_ERROR(cluster_->Resume(owner));
      absl::SleepFor(options_.cut_for);  // Delay: so long nobody reaches it
      links_->Heal();
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> World::Settle(const Case& one, bool reached) {
  if (!reached) {  // it must not end there later
    const std::string owner = NameOf(one, RoleOf(one.boundary.owner));
    SLUICE_RETURN_IF_ERROR(cluster_->Kill(owner));
    SLUICE_RETURN_IF_ERROR(cluster_->Start(owner));
  }
  for (const std::string& name : cluster_->ProcessNames()) {
    if (!cluster_->IsRunning(name)) {
      return absl::InternalError(
          absl::StrCat(name, " ended by itself; see ", cluster_->layout().LogOf(name)));
    }
  }
  SLUICE_RETURN_IF_ERROR(cluster_->AwaitServing(kRecovery));
  if (IsTeardown(one)) {
    SLUICE_RETURN_IF_ERROR(AwaitTornDown(one));
    move_.reset();
    SLUICE_RETURN_IF_ERROR(clients_->AwaitWrites(10, kRecovery));
    return std::string("torn down");
  }
  SLUICE_ASSIGN_OR_RETURN(std::string end, operator_->AwaitCutoverOver(move_->name, kRecovery));
  SLUICE_RETURN_IF_ERROR(clients_->AwaitWrites(10, kRecovery));
  SLUICE_RETURN_IF_ERROR(CheckRecord());
  return end;
}

// Once it is decided it goes on by itself; before that the operator asks again.
absl::Status World::AwaitTornDown(const Case& one) {
  const absl::Time deadline = absl::Now() + kRecovery;
  absl::StatusOr<Standing> last;
  do {
    last = operator_->Look(move_->name);
    if (last.ok() && last->phase.empty()) {
      return absl::OkStatus();
    }
    if (last.ok() && last->phase != "completing" && last->phase != "cancelling") {
      GiveCommand(one);
    }
    absl::SleepFor(absl::Milliseconds(50));  // Delay: between two looks
  } while (absl::Now() < deadline);
  return absl::DeadlineExceededError(absl::StrCat(
      move_->name, " is not gone: ", last.ok() ? last->phase : last.status().ToString()));
}

absl::StatusOr<uint32_t> World::OwnerOfOrders() const {
  std::vector<uint32_t> open;
  for (const uint32_t uid : {kCommerce, kCustomer}) {
    SLUICE_ASSIGN_OR_RETURN(const auto session, cluster_->ConnectMysqld(uid));
    const absl::StatusOr<bool> is_open = IsOpen(*session);
    if (!is_open.ok()) {
      return Annotate(is_open.status(), absl::StrCat("mysqld ", uid));
    }
    if (*is_open) {
      open.push_back(uid);
    }
  }
  if (open.size() != 1) {
    return absl::DataLossError(absl::StrCat("open on ", open.size(), " sides"));
  }
  return open.front();
}

absl::Status World::CheckRecord() {
  SLUICE_ASSIGN_OR_RETURN(const Standing standing, operator_->Look(move_->name));
  SLUICE_ASSIGN_OR_RETURN(const uint32_t owner, OwnerOfOrders());
  const bool there = absl::StrContains(standing.traffic_state, "Writes Switched");
  if ((owner == move_->target_uid) != there) {
    return absl::DataLossError(absl::StrCat("the record says \"", standing.traffic_state,
                                            "\", but mysqld ", owner, " is open"));
  }
  return absl::OkStatus();
}

absl::Status World::CompareSides(uint32_t owner) {
  SLUICE_ASSIGN_OR_RETURN(const auto open, cluster_->ConnectMysqld(owner));
  SLUICE_ASSIGN_OR_RETURN(const auto closed, cluster_->ConnectMysqld(OtherThan(owner)));
  const char* prefix = move_->gate == Gate::kServer ? "" : "_sluice_closed_";
  for (const auto& [table, key] :
       {std::pair<std::string, std::string>{"customer", "customer_id"}, {"corder", "order_id"}}) {
    SLUICE_ASSIGN_OR_RETURN(
        const workload::Comparison compared,
        workload::AwaitEqualTables(*open, mysql::QuoteName(table), *closed,
                                   mysql::QuoteName(prefix + table), key, kRecovery));
    before_.rows_compared += compared.rows_compared;
    if (compared.rows_different > 0) {
      return absl::DataLossError(absl::StrCat(compared.rows_different, " rows of ", table,
                                              " differ: ", absl::StrJoin(compared.findings, "; ")));
    }
  }
  return absl::OkStatus();
}

// What is read-only without a gate would stay so for ever; and what a gate keeps closed must come
// back closed when mysqld is started again, while nobody is there.
absl::Status World::CheckReadOnly(uint32_t owner) const {
  for (const uint32_t uid : {kCommerce, kCustomer}) {
    SLUICE_ASSIGN_OR_RETURN(const auto session, cluster_->ConnectMysqld(uid));
    SLUICE_ASSIGN_OR_RETURN(
        const std::string found,
        session->QueryScalar("SELECT CONCAT(@@GLOBAL.read_only, @@GLOBAL.super_read_only, (SELECT"
                             " COUNT(*) FROM performance_schema.persisted_variables WHERE"
                             " VARIABLE_NAME LIKE '%read_only' AND VARIABLE_VALUE = 'ON'))"));
    const bool closed = uid != owner && move_ && move_->gate == Gate::kServer;
    if (found != (closed ? "101" : "000")) {
      return absl::DataLossError(absl::StrCat(
          "mysqld ", uid, " is ", closed ? "" : "not ",
          "to be read-only; read_only, super_read_only and what is persisted: ", found));
    }
  }
  return absl::OkStatus();
}

absl::Status World::Judge() {
  clients_->Pause();
  direct_->Pause();
  SLUICE_ASSIGN_OR_RETURN(const uint32_t owner, OwnerOfOrders());
  SLUICE_ASSIGN_OR_RETURN(const auto session, cluster_->ConnectMysqld(owner));
  SLUICE_ASSIGN_OR_RETURN(const workload::WorkloadReport report,
                          clients_->Judge(*session, "corder"));
  if (report.lost_writes + report.duplicated_writes + report.wrong_reads > 0) {
    return absl::DataLossError(
        absl::StrCat(report.lost_writes, " writes lost, ", report.duplicated_writes, " doubled, ",
                     report.wrong_reads, " wrong reads: ", absl::StrJoin(report.findings, "; ")));
  }
  SLUICE_RETURN_IF_ERROR(direct_->Judge(*session));
  SLUICE_RETURN_IF_ERROR(CheckReadOnly(owner));
  if (const std::string both = watch_->finding(); !both.empty()) {
    return absl::DataLossError(both);
  }
  if (move_) {
    SLUICE_RETURN_IF_ERROR(CompareSides(owner));
  }
  if (++judged_ < kJudgedByOneGeneration) {
    clients_->Resume();
    direct_->Resume();
    return absl::OkStatus();
  }
  // The tables must not grow for ever.
  const Totals so_far = totals();
  clients_.reset();
  direct_.reset();
  before_ = so_far;
  SLUICE_RETURN_IF_ERROR(
      session->Execute(absl::StrCat("DELETE FROM corder WHERE order_id >= ", kFirstKey)).status());
  return StartClients();
}

Totals World::totals() const {
  Totals totals = before_;
  if (clients_ != nullptr) {
    const workload::WorkloadReport report = clients_->Snapshot();
    totals.acknowledged_writes += report.acknowledged_writes;
    totals.unknown_writes += report.unknown_writes;
    totals.reads += report.reads;
    totals.client_errors += report.client_errors;
  }
  if (direct_ != nullptr) {
    totals.direct_writes += direct_->counts().acknowledged;
    totals.direct_refusals += direct_->counts().refused;
  }
  totals.connections_cut = links_->connections_cut();
  totals.looks = watch_->looks();
  return totals;
}

}  // namespace sluice::killloop
