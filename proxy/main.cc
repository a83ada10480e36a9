// sluice-proxy: a MySQL-protocol router that obeys the coordinator's routing rules.

#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/base/program_options.h"
#include "common/base/signals.h"
#include "common/base/status_macros.h"
#include "proxy/config.h"
#include "proxy/rules/rules_client.h"
#include "proxy/rules/traffic.h"
#include "proxy/server/auth.h"
#include "proxy/server/server.h"

namespace sluice::proxy {
namespace {

constexpr absl::Duration kStopGrace = absl::Seconds(10);

int HashPassword() {
  std::string password;
  std::getline(std::cin, password);
  if (password.empty()) {
    std::cerr << "sluice-proxy hash-password: no password on standard input\n";
    return 1;
  }
  std::cout << StoredPassword(password) << "\n";
  return 0;
}

absl::Status Serve(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(ProxyConfig config, LoadConfig(path));
  log::Init(absl::StrCat("sluice-proxy ", config.rules.proxy_id));
  SLUICE_ASSIGN_OR_RETURN(UserTable users, UserTable::Load(config.users_file));
  Traffic traffic(config.buffer);
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<Server> server,
                          Server::Listen(config.server, std::move(users), traffic));
  config.rules.address = server->address();
  SLUICE_ASSIGN_OR_RETURN(std::unique_ptr<RulesClient> rules,
                          RulesClient::Start(config.rules, traffic));
  SLUICE_LOG(kInfo, "listening", {{"address", server->address()}});

  bool ready = false;
  bool stop = false;
  while (!ready && !stop) {
    ready = traffic.AwaitFirst(absl::Now() + absl::Milliseconds(100));
    stop = WaitForStopSignal(absl::ZeroDuration()).has_value();
    if (!ready) {
      SLUICE_LOG_EVERY(absl::Seconds(10), kInfo, "waiting for the first rules",
                       {{"coordinator", config.rules.coordinator}});
    }
  }
  if (!stop) {
    server->Start();
    SLUICE_RETURN_IF_ERROR(NotifyReady());
    SLUICE_LOG(kInfo, "ready", {{"address", server->address()}});
    WaitForStopSignal();
  }
  NotifyStopping().IgnoreError();
  SLUICE_LOG(kInfo, "stopping", {});
  server->Stop(kStopGrace);
  traffic.Close();
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  CLI::App app("MySQL-protocol router that obeys Sluice's routing rules", "sluice-proxy");
  std::string config;
  app.add_option("--config", config, "configuration file (TOML)");
  CLI::App* hash = app.add_subcommand(
      "hash-password", "reads a password from standard input, prints its form for the users' file");
  if (const auto exit_code = ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  if (hash->parsed()) {
    return HashPassword();
  }
  if (config.empty()) {
    std::cerr << "sluice-proxy: --config FILE is needed (see --help)\n";
    return 2;
  }
  BlockStopSignals();
  if (const absl::Status status = Serve(config); !status.ok()) {
    std::cerr << "sluice-proxy: " << status.message() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace sluice::proxy

int main(int argc, char** argv) {
  return sluice::proxy::Main(argc, argv);
}
