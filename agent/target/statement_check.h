// CheckStatement: may a stream pass over a statement that stands in the source's binlog? Pure.

#pragma once

#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace sluice::target {

struct WatchedTables {
  std::string database;  // on the source
  absl::flat_hash_set<std::string> tables;
};

// OK for a statement that does not change a watched table or its definition, and for the renames of
// our own gates (they name closed names or views of ours). FAILED_PRECONDITION, with the statement
// and what to do, for DDL of a watched table and for a statement that writes its rows. What cannot
// be parsed and contains a watched name is refused too. `default_database` is the session's of the
// statement.
absl::Status CheckStatement(const WatchedTables& watched, absl::string_view default_database,
                            absl::string_view sql);

}  // namespace sluice::target
