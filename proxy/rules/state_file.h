// The last good rule set on disk, so that a proxy can serve when the coordinator is away.

#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "proxy/rules/rule_snapshot.h"
#include "schemas/routing.capnp.h"

namespace sluice::proxy {

// Replaces the file in one step: a process that starts now finds the old or the new set, whole.
// UNAVAILABLE names the file and why.
absl::Status WriteRules(const std::string& path, schemas::RuleSet::Reader set);
// Makes what stands there outlive a crash of the host.
absl::Status SyncRules(const std::string& path);
// Removes the file, for good. OK when there is none.
absl::Status ForgetRules(const std::string& path);

// For a proxy of that cell. NOT_FOUND when there is no file; DATA_LOSS when it is not what
// WriteRules wrote; INVALID_ARGUMENT when the set in it is broken.
absl::StatusOr<std::shared_ptr<const RuleSnapshot>> LoadRules(const std::string& path,
                                                              absl::string_view cell = "");

}  // namespace sluice::proxy
