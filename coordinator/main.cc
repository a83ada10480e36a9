// sluice-coordinator: keeps the topology, the rules and the workflows, and sequences the cutovers.

#include <cstdlib>
#include <iostream>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/config.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/base/program_options.h"
#include "common/base/signals.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/rpc/server.h"
#include "coordinator/admin/admin_service.h"
#include "coordinator/config/config.h"
#include "coordinator/store/sqlite_store.h"
#include "coordinator/topology/handlers.h"
#include "coordinator/traffic/traffic_service.h"
#include "coordinator/workflow/agents.h"
#include "coordinator/workflow/move_tables.h"

namespace sluice {
namespace {

// The parts in the order in which they depend on each other.
class Coordinator {
 public:
  Coordinator(const config::CoordinatorConfig& config, store::Store& store)
      : topology_(store, config.topology),
        rules_(store, topology_, config.rules),
        agents_(topology_),
        move_tables_({store, topology_, rules_, agents_, locks_}, config.move_tables),
        traffic_({store, topology_, rules_, agents_, locks_}),
        admin_({store, topology_, rules_, move_tables_, traffic_}),
        server_({.url = config.listen, .contexts = config.contexts}) {}

  absl::Status Start() {
    SLUICE_RETURN_IF_ERROR(topology_.Load());
    SLUICE_RETURN_IF_ERROR(rules_.Start());
    // Both take the locks of unfinished work before a command can.
    if (const absl::Status recovered = traffic_.Recover(); !recovered.ok()) {
      SLUICE_LOG(kError, "unfinished work can't be taken up", {{"error", recovered}});
    }
    move_tables_.Start();
    topology::RegisterHandlers(server_, topology_);
    server_.Register<schemas::PollRulesRequest, schemas::PollRulesReply>(
        schemas::Method::POLL_RULES,
        [this](const rpc::RequestContext& context, auto request, auto reply) {
          return rules_.HandlePoll(context, request, reply);
        },
        /*remember=*/false);
    server_.Register<schemas::AdminRequest, schemas::AdminReply>(
        schemas::Method::ADMIN,
        [this](const rpc::RequestContext& context, auto request, auto reply) {
          return admin_.Handle(context, request, reply);
        });
    return server_.Start();
  }

  // Everything that waits is woken first; what is under way is left to the next coordinator.
  void Stop() {
    rules_.Close();
    agents_.Close();
    server_.Stop();
    move_tables_.Close();
    traffic_.Close();
  }

  [[nodiscard]] std::string url() const { return server_.url(); }

 private:
  topology::Topology topology_;
  rules::RuleService rules_;
  workflow::AgentPool agents_;
  workflow::OperationLocks locks_;
  workflow::MoveTables move_tables_;
  traffic::TrafficService traffic_;
  admin::AdminService admin_;
  rpc::Server server_;
};

absl::Status Run(const std::string& config_path) {
  SLUICE_ASSIGN_OR_RETURN(ConfigFile file, ConfigFile::Load(config_path));
  SLUICE_ASSIGN_OR_RETURN(const config::CoordinatorConfig config, config::ReadConfig(file));
  SLUICE_ASSIGN_OR_RETURN(const std::unique_ptr<store::Store> store,
                          store::SqliteStore::Open(config.store));
  Coordinator coordinator(config, *store);
  SLUICE_RETURN_IF_ERROR(Annotate(coordinator.Start(), "starting"));
  SLUICE_LOG(kInfo, "coordinator is ready", {{"url", coordinator.url()}, {"store", config.store}});
  if (const absl::Status notified = NotifyReady(); !notified.ok()) {
    SLUICE_LOG(kWarning, "the supervisor could not be told", {{"error", notified}});
  }
  WaitForStopSignal();
  SLUICE_LOG(kInfo, "coordinator is stopping");
  NotifyStopping().IgnoreError();
  coordinator.Stop();
  return absl::OkStatus();
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
  CLI::App app("Coordinator of Sluice: topology, routing rules, workflows and cutovers");
  std::string config_path;
  app.add_option("--config", config_path, "TOML file with the settings")->required();
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  sluice::BlockStopSignals();
  sluice::log::Init("sluice-coordinator");
  if (const absl::Status status = sluice::Run(config_path); !status.ok()) {
    std::cerr << "sluice-coordinator: " << status.message() << "\n";
    return EXIT_FAILURE;
  }
  return EXIT_SUCCESS;
}
