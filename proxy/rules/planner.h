// Planner: from a statement, a session's target and a rule set to the shard that serves it. Pure.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/routing/target.h"
#include "common/sql/statement.h"
#include "proxy/rules/hold_table.h"
#include "proxy/rules/rule_snapshot.h"

namespace sluice::proxy {

struct Plan {
  uint64_t epoch = 0;
  // Where it is served, behind all rules. No keyspace: any tablet will do (no table, no keyspace in
  // the session).
  Place place;
  std::string via;  // "customer/-80" where a shard rule led here from there; else empty
  routing::TabletType type = routing::TabletType::kPrimary;
  // Of statements that go to a PRIMARY: what holds are matched against. Replicas serve on while the
  // primary's tables are held.
  Touched touched;
  bool by_rule = false;  // a rule names a table or the place, so a closed gate may be met
  bool has_tables = false;
};

// A table goes by its table rule, then to the session's shard (in a keyspace of one shard, to that
// one), then by the shard's rule. Errors carry the MySQL number for the client: 1046 no keyspace,
// 1049 unknown keyspace, 1105 with the names where tables are on two sides, disabled, ambiguous, or
// the shard must be targeted.
absl::StatusOr<Plan> MakePlan(const sql::Statement& statement, const routing::Target& target,
                              const RuleSnapshot& snapshot);

// 1049 when the keyspace or the shard that a session wants is not there.
absl::Status CheckTarget(const routing::Target& target, const RuleSnapshot& snapshot);

// The statement's text for a tablet: names of keyspaces become the name of its database.
std::string RewriteFor(absl::string_view text, const sql::Statement& statement,
                       const RuleSnapshot& snapshot, const std::string& database);

}  // namespace sluice::proxy
