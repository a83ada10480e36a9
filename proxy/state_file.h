// The last good rule set on disk, so that a proxy can serve when the coordinator is away.

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/rule_snapshot.h"
#include "schemas/routing.capnp.h"

namespace sluice::proxy {

// Replaces the file in one step: after a crash the old or the new set is there, whole. UNAVAILABLE
// names the file and why.
absl::Status SaveRules(const std::string& path, schemas::RuleSet::Reader set);

// NOT_FOUND when there is no file; DATA_LOSS when it is not what SaveRules wrote;
// INVALID_ARGUMENT when the set in it is broken.
absl::StatusOr<std::shared_ptr<const RuleSnapshot>> LoadRules(const std::string& path);

}  // namespace sluice::proxy
