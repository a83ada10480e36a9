// Planner: from a statement, a session's target and a rule set to the shard that serves it. Pure.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/routing/target.h"
#include "common/sql/statement.h"
#include "proxy/rule_snapshot.h"

namespace sluice::proxy {

struct Plan {
  uint64_t epoch = 0;
  std::string keyspace;  // empty: any tablet will do (no table, no keyspace in the session)
  std::string shard;
  routing::TabletType type = routing::TabletType::kPrimary;
  // keyspace.table before and after routing, of statements that go to a PRIMARY: what holds are
  // matched against. Replicas serve on while the primary's tables are held.
  std::vector<std::string> touched;
  bool by_rule = false;  // a rule names one of the tables, so a closed gate may be met
  bool has_tables = false;
};

// Errors carry the MySQL number for the client: 1046 no keyspace, 1049 unknown keyspace, 1105 with
// the names where tables are on two sides, disabled, ambiguous, or the shard must be targeted.
absl::StatusOr<Plan> MakePlan(const sql::Statement& statement, const routing::Target& target,
                              const RuleSnapshot& snapshot);

// 1049 when the keyspace or the shard that a session wants is not there.
absl::Status CheckTarget(const routing::Target& target, const RuleSnapshot& snapshot);

// The statement's text for a tablet: names of keyspaces become the name of its database.
std::string RewriteFor(absl::string_view text, const sql::Statement& statement,
                       const RuleSnapshot& snapshot, const std::string& database);

}  // namespace sluice::proxy
