// CheckStatement: may a stream pass over a statement that stands in the source's binlog? Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::target {

// What is done about a statement that changes the definition of a stream's table.
enum class DdlPolicy {
  kRefuse,
  kIgnore,    // pass over it, where no row goes with it
  kHandOver,  // end the decoding there; somebody carries it out on the target
};

struct WatchedTables {
  std::string database;  // on the source
  absl::flat_hash_set<std::string> tables;
  DdlPolicy on_ddl = DdlPolicy::kRefuse;
};

enum class StatementEffect {
  kNone,        // on watched tables
  kDefinition,  // changes the definition of a watched table
  kTables,      // takes away, renames, empties or creates one, or a part of one
  kRows,        // writes rows of one
  kUnreadable,  // cannot be parsed, and contains the name of one
};

// kNone also for the renames of our own gates (they name closed names or views of ours).
// `default_database` is the session's of the statement.
StatementEffect JudgeStatement(const WatchedTables& watched, absl::string_view default_database,
                               absl::string_view sql);

// OK for kNone, else FAILED_PRECONDITION with the statement and what to do.
absl::Status RefuseStatement(StatementEffect effect, absl::string_view sql);

// Both in one.
absl::Status CheckStatement(const WatchedTables& watched, absl::string_view default_database,
                            absl::string_view sql);

}  // namespace sluice::target
