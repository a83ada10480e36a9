// RunBounded: a statement that needs metadata locks, ended when it waits for them too long.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "agent/gate/blocker.h"
#include "agent/session/session_pool.h"

namespace sluice::gate {

// Whose locks a statement waits for: those of these names, and the global read or backup lock; of
// them only those of transactions that have written, or locked rows; or those of everybody who
// writes.
enum class LockScope { kNames, kWriters, kServer };

// Names in one schema.
struct SchemaNames {
  std::string database;
  std::vector<std::string> names;
};

// Sessions that hold such locks. `ours` are connections left out.
absl::StatusOr<std::vector<Blocker>> ReadBlockers(mysql::Connection& connection,
                                                  absl::string_view database,
                                                  const std::vector<std::string>& names,
                                                  const std::vector<uint64_t>& ours,
                                                  LockScope scope = LockScope::kNames);

// Waits until no transaction is open that has written to any of the names, for `bound` at most. Who
// is left.
absl::StatusOr<std::vector<Blocker>> AwaitWriters(agent::SessionPool& pool,
                                                  const std::vector<SchemaNames>& schemas,
                                                  absl::Duration bound);

struct BoundedStatement {
  std::string sql;
  std::string database;
  std::vector<std::string> names;  // whose locks it needs
  // Where it needs locks in several schemas: all of them, instead of the two above.
  std::vector<SchemaNames> schemas = {};
  absl::Duration bound;
  LockScope scope = LockScope::kNames;
  // Only who waits for locks is ended: with them it may take what thousands of tables take.
  bool may_work_on = false;
};

// Where a session holds locks, or waits for one. A schema; empty: on the server as a whole.
using LockPlace = std::string;

struct BoundedOutcome {
  absl::Status status;            // of the statement; CANCELLED when it was ended at the bound
  std::vector<Blocker> blockers;  // as they were at the bound
  // Only of a statement that needs locks in several schemas.
  std::vector<std::vector<LockPlace>> places;  // of each blocker
  std::optional<LockPlace> waits_at;           // nullopt: it was not seen waiting
};

// MySQL's lock_wait_timeout knows whole seconds only, so a second session ends the statement at the
// bound; lock_wait_timeout is the net below. The session is fit for use afterwards unless it was
// lost. An error of RunBounded itself means that the statement was not sent.
absl::StatusOr<BoundedOutcome> RunBounded(agent::SessionPool& pool, mysql::Connection& session,
                                          const BoundedStatement& statement);

}  // namespace sluice::gate
