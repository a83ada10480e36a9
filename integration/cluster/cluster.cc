// Cluster: starting in order, stopping in reverse, and the faults in between.

#include "integration/cluster/cluster.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <thread>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"

namespace sluice::cluster {
namespace {

namespace fs = std::filesystem;

constexpr absl::Duration kReady = absl::Seconds(60);

bool IsMysqld(const std::string& name) {
  return absl::StartsWith(name, "mysqld-");
}

// Proxies end first and mysqlds last, so that nobody complains about a lost peer.
int StopRank(const std::string& name) {
  if (absl::StartsWith(name, "proxy-")) {
    return 0;
  }
  if (absl::StartsWith(name, "agent-")) {
    return 1;
  }
  return name == "coordinator" ? 2 : 3;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Up(const Topology& topology,
                                                     const ClusterOptions& options) {
  if (fs::exists(options.directory + "/cluster.json")) {
    return absl::AlreadyExistsError(
        absl::StrCat(options.directory, " holds a cluster: take it down first"));
  }
  std::error_code error;
  fs::create_directories(options.directory, error);
  SLUICE_ASSIGN_OR_RETURN(Layout layout,
                          PlanLayout(topology, options.directory, options.bin_directory));
  layout.mysqld_settings = options.mysqld_settings;
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(layout)));
  cluster->dies_with_parent_ = options.dies_with_parent;
  cluster->timeout_ = options.timeout;
  SLUICE_RETURN_IF_ERROR(WriteConfiguration(cluster->layout_));
  SLUICE_RETURN_IF_ERROR(cluster->StartEverything());
  return cluster;
}

absl::StatusOr<std::unique_ptr<Cluster>> Cluster::Attach(const std::string& directory) {
  SLUICE_ASSIGN_OR_RETURN(Layout layout, LoadLayout(directory));
  std::unique_ptr<Cluster> cluster(new Cluster(std::move(layout)));
  cluster->detached_ = true;
  return cluster;
}

Cluster::~Cluster() {
  if (!detached_) {
    Down().IgnoreError();
  }
}

absl::Status Cluster::AllowServerGates() const {
  for (const TabletLayout& server : layout_.Servers()) {
    if (server.spec.type == routing::TabletType::kPrimary) {
      SLUICE_RETURN_IF_ERROR(cluster::AllowServerGates(server.mysql_port));
    }
  }
  return absl::OkStatus();
}

absl::Status Cluster::StartMysqlds() {
  // Prepared side by side, but started from this thread: a child that dies with its parent dies
  // with the thread that made it.
  const std::vector<TabletLayout> servers = layout_.Servers();
  std::vector<absl::Status> prepared(servers.size());
  SLUICE_RETURN_IF_ERROR(PrepareMysqld(layout_.MysqldOf(servers[0])));
  {
    std::vector<std::jthread> threads;
    for (size_t i = 1; i < servers.size(); ++i) {
      threads.emplace_back([&, i] { prepared[i] = PrepareMysqld(layout_.MysqldOf(servers[i])); });
    }
  }
  for (const absl::Status& status : prepared) {
    SLUICE_RETURN_IF_ERROR(status);
  }
  for (const TabletLayout& server : servers) {
    SLUICE_ASSIGN_OR_RETURN(auto argv, MysqldCommand(layout_.MysqldOf(server)));
    layout_.processes[server.mysqld_name()] = {std::move(argv), {}};
    SLUICE_RETURN_IF_ERROR(Launch(server.mysqld_name(), {}, absl::ZeroDuration()));
  }
  for (const TabletLayout& server : servers) {
    const std::string name = server.mysqld_name();
    SLUICE_RETURN_IF_ERROR(AwaitMysqld(server.mysql_port, layout_.processes[name].id,
                                       layout_.Path(name + "/error.log"), kReady));
    if (server.spec.type == routing::TabletType::kPrimary) {
      std::vector<std::string> databases;
      for (const TabletLayout& tablet : layout_.TabletsOn(server)) {
        databases.push_back(tablet.spec.database());
      }
      SLUICE_RETURN_IF_ERROR(CreateAccounts(server.mysql_port, layout_.accounts, databases));
    }
  }
  for (const TabletLayout& server : servers) {
    if (server.spec.type != routing::TabletType::kPrimary) {
      const TabletSpec* primary = layout_.topology.PrimaryOf(server.spec);
      SLUICE_RETURN_IF_ERROR(StartReplication(
          server.mysql_port, FindTablet(primary->uid)->mysql_port, layout_.accounts));
    }
  }
  return absl::OkStatus();
}

absl::Status Cluster::StartEverything() {
  const auto program = [&](const std::string& binary, const std::string& name) {
    layout_.processes[name] = {
        {layout_.bin_directory + "/" + binary, "--config", layout_.Path(name + ".toml")}, {}};
  };
  SLUICE_RETURN_IF_ERROR(StartMysqlds());
  program("sluice-coordinator", "coordinator");
  SLUICE_RETURN_IF_ERROR(Launch("coordinator", {}, kReady));
  for (const std::string& keyspace : layout_.topology.Keyspaces()) {
    SLUICE_ASSIGN_OR_RETURN(CommandResult made,
                            Sluice({"keyspace", "create", keyspace, "--shards",
                                    absl::StrJoin(layout_.topology.Shards(keyspace), ",")}));
    if (made.exit_code != 0) {
      return absl::InternalError(absl::StrCat("keyspace create ", keyspace, ": ", made.errors));
    }
  }
  for (const TabletLayout& server : layout_.Servers()) {
    program("sluice-agent", server.agent_name());
    SLUICE_RETURN_IF_ERROR(Launch(server.agent_name(), {}, absl::ZeroDuration()));
  }
  SLUICE_RETURN_IF_ERROR(AwaitServing(kReady));
  for (const ProxyLayout& proxy : layout_.proxies) {
    program("sluice-proxy", proxy.name);
    SLUICE_RETURN_IF_ERROR(Launch(proxy.name, {}, kReady));
  }
  return SaveLayout(layout_);
}

absl::Status Cluster::Launch(const std::string& name, const std::vector<std::string>& environment,
                             absl::Duration ready_timeout) {
  ProcessLayout& process = layout_.processes[name];
  SpawnOptions options;
  options.argv = process.argv;
  options.environment = environment;
  options.log = layout_.LogOf(name);
  options.dies_with_parent = dies_with_parent_;
  options.ready_timeout = ready_timeout;
  SLUICE_ASSIGN_OR_RETURN(process.id, Spawn(options));
  return SaveLayout(layout_);
}

absl::Status Cluster::Down() {
  std::vector<std::string> names = ProcessNames();
  std::stable_sort(names.begin(), names.end(), [](const std::string& a, const std::string& b) {
    return StopRank(a) < StopRank(b);
  });
  // A mysqld whose data is thrown away need not shut down in order.
  absl::Status result;
  for (const std::string& name : names) {
    const ProcessId id = layout_.processes[name].id;
    const absl::Status stopped =
        StopProcess(id, IsMysqld(name) ? absl::ZeroDuration() : absl::Seconds(5));
    if (!stopped.ok()) {
      result = Annotate(stopped, name);
    }
  }
  detached_ = true;
  std::error_code error;
  if (result.ok() && std::getenv("SLUICE_KEEP_CLUSTER") == nullptr) {
    fs::remove_all(layout_.directory, error);
  }
  return result;
}

absl::StatusOr<ProcessLayout*> Cluster::Find(const std::string& name) {
  const auto found = layout_.processes.find(name);
  if (found == layout_.processes.end()) {
    return absl::NotFoundError(absl::StrCat(
        "no process \"", name, "\"; there are: ", absl::StrJoin(ProcessNames(), ", ")));
  }
  return &found->second;
}

absl::Status Cluster::Kill(const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  SLUICE_RETURN_IF_ERROR(Annotate(Signal(process->id, SIGKILL), name));
  return AwaitExit(process->id, absl::Seconds(20));
}

absl::Status Cluster::Terminate(const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  return StopProcess(process->id, absl::Seconds(30));
}

absl::Status Cluster::Pause(const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  return Annotate(Signal(process->id, SIGSTOP), name);
}

absl::Status Cluster::Resume(const std::string& name) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  return Annotate(Signal(process->id, SIGCONT), name);
}

absl::Status Cluster::AwaitEnd(const std::string& name, absl::Duration timeout) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  return Annotate(AwaitExit(process->id, timeout), name);
}

absl::Status Cluster::AwaitStopped(const std::string& name, absl::Duration timeout) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  const absl::Time deadline = absl::Now() + timeout;
  while (!IsStopped(process->id)) {
    if (absl::Now() > deadline || !IsAlive(process->id)) {
      return absl::DeadlineExceededError(absl::StrCat(name, " does not stand still"));
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(2));  // Delay: between two looks
  }
  return absl::OkStatus();
}

absl::Status Cluster::Start(const std::string& name, const std::vector<std::string>& environment) {
  SLUICE_ASSIGN_OR_RETURN(ProcessLayout * process, Find(name));
  if (IsAlive(process->id)) {
    return absl::FailedPreconditionError(absl::StrCat(name, " is running"));
  }
  if (!IsMysqld(name)) {
    return Launch(name, environment, kReady);
  }
  SLUICE_RETURN_IF_ERROR(Launch(name, environment, absl::ZeroDuration()));
  for (const TabletLayout& tablet : layout_.tablets) {
    if (tablet.mysqld_name() == name) {
      return AwaitMysqld(tablet.mysql_port, process->id, layout_.Path(name + "/error.log"), kReady);
    }
  }
  return absl::OkStatus();
}

bool Cluster::IsRunning(const std::string& name) const {
  const auto found = layout_.processes.find(name);
  return found != layout_.processes.end() && IsAlive(found->second.id);
}

std::vector<std::string> Cluster::ProcessNames() const {
  std::vector<std::string> names;
  for (const auto& [name, process] : layout_.processes) {
    names.push_back(name);
  }
  return names;
}

const TabletLayout* Cluster::FindTablet(uint32_t uid) const {
  for (const TabletLayout& tablet : layout_.tablets) {
    if (tablet.spec.uid == uid) {
      return &tablet;
    }
  }
  return nullptr;
}

absl::Status Cluster::AwaitServing(absl::Duration timeout) {
  const absl::Time deadline = absl::Now() + timeout;
  std::string last;
  while (absl::Now() < deadline) {
    SLUICE_ASSIGN_OR_RETURN(CommandResult answer, Sluice({"--format", "json", "gettablets"}));
    size_t serving = 0;
    if (answer.exit_code == 0) {
      const auto document = nlohmann::json::parse(answer.output, nullptr, false);
      if (document.contains("tablets")) {
        for (const auto& tablet : document["tablets"]) {
          serving += tablet.value("state", "") == "SERVING" ? 1U : 0U;
        }
      }
    }
    if (serving == layout_.tablets.size()) {
      return absl::OkStatus();
    }
    last = answer.output + answer.errors;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));  // Delay: between two looks
  }
  return absl::DeadlineExceededError(absl::StrCat("not every tablet serves: ", last));
}

absl::StatusOr<std::unique_ptr<mysql::Connection>> Cluster::ConnectMysqld(uint32_t uid) const {
  const TabletLayout* tablet = FindTablet(uid);
  if (tablet == nullptr) {
    return absl::NotFoundError(absl::StrCat("no tablet ", uid));
  }
  mysql::ConnectionOptions options = RootOptions(tablet->mysql_port);
  options.database = tablet->spec.database();
  return mysql::Connection::Connect(options);
}

absl::StatusOr<std::unique_ptr<mysql::Connection>> Cluster::ConnectProxy(const std::string& target,
                                                                         size_t proxy) const {
  if (proxy >= layout_.proxies.size()) {
    return absl::NotFoundError(absl::StrCat("no proxy ", proxy + 1));
  }
  mysql::ConnectionOptions options;
  options.host = "127.0.0.1";
  options.port = layout_.proxies[proxy].port;
  options.user = layout_.app_user;
  options.password = layout_.app_password;
  options.database = target;
  return mysql::Connection::Connect(options);
}

absl::StatusOr<CommandResult> Cluster::Sluice(const std::vector<std::string>& arguments,
                                              absl::Duration timeout) const {
  std::vector<std::string> argv = {layout_.bin_directory + "/sluice"};
  argv.insert(argv.end(), arguments.begin(), arguments.end());
  return RunCommand(argv, {"SLUICE_COORDINATOR=" + layout_.coordinator_url()}, timeout);
}

}  // namespace sluice::cluster
