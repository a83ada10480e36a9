// Config: the coordinator's settings.

#include "coordinator/config/config.h"

#include "absl/strings/match.h"
#include "common/base/status_macros.h"

namespace sluice::config {

absl::StatusOr<CoordinatorConfig> ReadConfig(ConfigFile file) {
  CoordinatorConfig config;
  config.listen = file.RequireString("listen");
  config.store = file.RequireString("store");
  if (!config.listen.empty() && !absl::StartsWith(config.listen, "tcp://")) {
    file.AddError("listen", "expected tcp://host:port");
  }
  config.contexts =
      static_cast<int>(file.Int("limits.requests_at_once", config.contexts, {16, 4096}));
  config.topology.stale_after =
      file.Duration("timeouts.tablet_stale_after", config.topology.stale_after);
  config.topology.report_interval =
      file.Duration("timeouts.report_interval", config.topology.report_interval);
  config.rules.connected_within =
      file.Duration("timeouts.proxy_connected_within", config.rules.connected_within);
  config.move_tables.forward_within =
      file.Duration("timeouts.create_forward_within", config.move_tables.forward_within);
  if (config.topology.stale_after < 2 * config.topology.report_interval ||
      config.topology.report_interval < absl::Milliseconds(10)) {
    file.AddError("timeouts.tablet_stale_after",
                  "must be at least twice timeouts.report_interval, which is at least 10ms");
  }
  SLUICE_RETURN_IF_ERROR(file.Finish());
  return config;
}

}  // namespace sluice::config
