// ProxyConfig: the configuration file of sluice-proxy.

#include "proxy/config.h"

#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/base/config.h"
#include "common/base/status_macros.h"

namespace sluice::proxy {

absl::StatusOr<ProxyConfig> LoadConfig(const std::string& path) {
  SLUICE_ASSIGN_OR_RETURN(ConfigFile file, ConfigFile::Load(path));
  ProxyConfig config;
  config.rules.proxy_id = file.RequireString("id");
  config.rules.coordinator = file.RequireString("coordinator");
  config.rules.state_file = file.String("state_file");
  config.server.cell = file.String("cell");
  config.rules.cell = config.server.cell;
  config.server.listen = file.RequireString("listen");
  config.users_file = file.RequireString("users.file");
  config.server.backend.user = file.RequireString("backend.user");
  const std::string password_file = file.String("backend.password_file");

  constexpr int64_t kSize = int64_t{1} << 40U;
  SessionLimits& limits = config.server.limits;
  limits.window = absl::Milliseconds(file.Int("buffer.window_ms", 10000, {0, 3'600'000}));
  config.buffer.statements_max =
      static_cast<size_t>(file.Int("buffer.statements_max", 1000, {0, 1'000'000}));
  config.buffer.bytes_max =
      static_cast<size_t>(file.Int("buffer.bytes_max", int64_t{16} << 20U, {0, kSize}));
  config.server.connections_max =
      static_cast<size_t>(file.Int("limits.connections_max", 1000, {1, 100'000}));
  limits.packet_bytes_max =
      static_cast<size_t>(file.Int("limits.packet_bytes_max", int64_t{64} << 20U, {1024, kSize}));
  limits.idle_timeout = file.Duration("limits.idle_timeout", limits.idle_timeout);
  SLUICE_RETURN_IF_ERROR(file.Finish());

  if (!password_file.empty()) {
    std::ifstream password(password_file);
    if (!std::getline(password, config.server.backend.password) && !password.eof()) {
      return absl::NotFoundError(
          absl::StrCat(path, ": backend.password_file ", password_file, " can't be read"));
    }
  }
  return config;
}

}  // namespace sluice::proxy
