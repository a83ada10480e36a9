// Config: the coordinator's settings.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/config.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/topology/topology.h"
#include "coordinator/workflow/move_tables.h"

namespace sluice::config {

struct CoordinatorConfig {
  std::string listen;  // tcp://host:port
  std::string store;   // path of the SQLite file
  int contexts = 256;  // requests in hand at once; each long poll of a proxy takes one
  topology::TopologyOptions topology;
  rules::RuleServiceOptions rules;
  workflow::MoveTablesOptions move_tables;
};

// INVALID_ARGUMENT names each key that is wrong, missing or unknown.
absl::StatusOr<CoordinatorConfig> ReadConfig(ConfigFile file);

}  // namespace sluice::config
