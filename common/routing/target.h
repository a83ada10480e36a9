// Target: where a session wants to go: keyspace[:shard][@type], as in USE and at connect. Pure.

#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::routing {

enum class TabletType { kUnknown, kPrimary, kReplica, kRdonly };

// "PRIMARY" (also "master"), "REPLICA", "RDONLY" without regard to case; INVALID_ARGUMENT else.
absl::StatusOr<TabletType> ParseTabletType(absl::string_view text);
// Upper case: "PRIMARY".
std::string TabletTypeName(TabletType type);

struct Target {
  std::string keyspace;  // may be empty
  std::string shard;     // empty: not targeted
  TabletType type = TabletType::kPrimary;
  friend bool operator==(const Target&, const Target&) = default;
};

// "commerce", "commerce@replica", "commerce:-80@primary", "commerce/-80". INVALID_ARGUMENT names
// it.
absl::StatusOr<Target> ParseTarget(absl::string_view text);

}  // namespace sluice::routing
