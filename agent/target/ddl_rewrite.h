// RewriteDdl: a statement of the source, made one for the target's tables. Pure.

#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/target/statement_check.h"
#include "common/sql/tokenizer.h"

namespace sluice::target {

struct DdlPlaces {
  const WatchedTables& watched;
  std::string database;  // of the target
  // The name under which a table of the stream stands there.
  std::function<std::string(const std::string& table)> physical;
};

struct RewrittenDdl {
  std::string sql;
  std::string table;  // that it changes, by its open name
};

// ALTER TABLE, CREATE INDEX, DROP INDEX and TRUNCATE of one table of the stream, with that name,
// and those that its foreign keys refer to, put in the target's terms. FAILED_PRECONDITION names
// what cannot be carried out there: statements that take a table out of the stream or bring one in,
// and foreign keys to tables that are not moved.
absl::StatusOr<RewrittenDdl> RewriteDdl(const DdlPlaces& places, absl::string_view default_database,
                                        absl::string_view sql, const sql::TokenizerOptions& quotes);

}  // namespace sluice::target
