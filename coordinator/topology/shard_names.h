// Names of keyspaces and shards, and whether shards cover a keyspace. Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace sluice::topology {

// Letters, digits, '_' and '-', 1 to 64 bytes, not beginning with '_'. INVALID_ARGUMENT names it.
absl::Status ValidateKeyspaceName(absl::string_view name);

// The shards in the order of their ranges. Good are: one shard with any plain name ("0"), "-", or
// key ranges ("-80", "80-c0", "c0-") that cover everything once; none means "0". INVALID_ARGUMENT
// names the shard that is malformed, twice, overlapping or missing.
absl::StatusOr<std::vector<std::string>> ValidateShards(std::vector<std::string> shards);

}  // namespace sluice::topology
