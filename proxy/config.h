// ProxyConfig: the configuration file of sluice-proxy.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "proxy/rules/rules_client.h"
#include "proxy/rules/rules_machine.h"
#include "proxy/server/server.h"

namespace sluice::proxy {

struct ProxyConfig {
  RulesClientOptions rules;
  ServerOptions server;
  BufferLimits buffer;
  std::string users_file;
};

// Reads the TOML file, and the password file that it names. Errors name the file and the key.
absl::StatusOr<ProxyConfig> LoadConfig(const std::string& path);

}  // namespace sluice::proxy
