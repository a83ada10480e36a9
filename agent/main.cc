// sluice-agent: stands beside a mysqld; copies, applies, and keeps the gate of its shard.

#include <cstdlib>
#include <iostream>
#include <string>

#include "absl/strings/str_cat.h"
#include "agent/agent.h"
#include "agent/config/agent_config.h"
#include "common/base/log.h"
#include "common/base/notify.h"
#include "common/base/program_options.h"
#include "common/base/signals.h"

namespace {

int Run(const std::string& path) {
  auto config = sluice::agent::LoadAgentConfig(path);
  if (!config.ok()) {
    std::cerr << "sluice-agent: " << config.status().message() << "\n";
    return EXIT_FAILURE;
  }
  sluice::log::Init(absl::StrCat("sluice-agent ", config->name()));
  auto agent = sluice::agent::Agent::Create(*std::move(config));
  if (!agent.ok()) {
    std::cerr << "sluice-agent: " << agent.status().message() << "\n";
    return EXIT_FAILURE;
  }
  const int signal = sluice::WaitForStopSignal();
  SLUICE_LOG(kInfo, "stopping", {{"signal", signal}});
  if (const absl::Status status = sluice::NotifyStopping(); !status.ok()) {
    SLUICE_LOG(kWarning, "supervisor can't be told", {{"error", status}});
  }
  (*agent)->Stop();
  return EXIT_SUCCESS;
}

}  // namespace

int main(int argc, char** argv) {
  sluice::BlockStopSignals();
  CLI::App app("Agent of one mysqld: source and target of streams, and keeper of its gate.");
  std::string config;
  app.add_option("--config", config, "Configuration file (TOML)")->required()->type_name("FILE");
  if (const auto exit_code = sluice::ParseOptions(app, argc, argv)) {
    return *exit_code;
  }
  return Run(config);
}
