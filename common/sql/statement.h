// Statement: what a router must know of a statement: its kind, its tables, its schema names. Pure.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/sql/session_use.h"
#include "common/sql/tokenizer.h"

namespace sluice::sql {

enum class StatementKind {
  kEmpty,
  kSelect,  // also WITH … SELECT, TABLE t, VALUES ROW(…)
  kInsert,
  kUpdate,
  kDelete,
  kReplace,
  kLoad,
  kDdl,  // CREATE, ALTER, DROP, RENAME, TRUNCATE and the maintenance statements of tables
  kBegin,
  kCommit,
  kRollback,
  kSavepoint,  // SAVEPOINT, RELEASE SAVEPOINT, ROLLBACK TO
  kSet,
  kUse,
  kShow,
  kCall,
  kLockTables,
  kUnlockTables,
  kKill,
  kExplain,  // EXPLAIN and DESCRIBE
  kOther,
};

// A table that a statement touches. Names of common table expressions are not tables.
struct TableName {
  std::string schema;  // empty when not qualified
  std::string table;
  size_t qualifier_begin = 0;  // place of the schema's name; both 0 without one
  size_t qualifier_end = 0;
  friend bool operator==(const TableName&, const TableName&) = default;
};

// A schema name written anywhere in the statement: before a table, a table and its column, a
// routine, or alone (SHOW TABLES FROM x: name is empty).
struct Qualifier {
  std::string schema;
  std::string name;
  size_t begin = 0;  // byte offsets of the schema's token
  size_t end = 0;
};

struct Statement {
  StatementKind kind = StatementKind::kEmpty;
  std::string verb;  // first keyword, upper case
  std::vector<TableName> tables;
  std::vector<Qualifier> qualifiers;  // in the order of the text
  bool is_read = false;               // changes nothing in tables
  bool for_update = false;            // a locking read
  bool multiple = false;              // more than one statement in the text
  bool is_database_ddl = false;       // CREATE, ALTER or DROP DATABASE

  // SET: lower-case names ("autocommit", "names", "transaction", "@x", "global max_connections").
  std::vector<std::string> set_variables;
  bool sets_global = false;        // GLOBAL, PERSIST, PASSWORD: not a matter of one session
  std::optional<bool> autocommit;  // the value when SET names it
  std::string set_sql_mode;        // raw value when SET names it
  std::string set_charset;         // lower case, of SET NAMES and SET CHARACTER SET

  std::string use_target;    // USE: text after it, unquoted
  std::string show_subject;  // SHOW: "tables", "create table", … lower case, without FULL etc.
  bool chains = false;       // COMMIT or ROLLBACK … AND CHAIN
  bool releases = false;     // COMMIT or ROLLBACK … RELEASE
  std::optional<uint64_t> kill_id;  // KILL of a number
  bool kill_query = false;          // KILL QUERY

  SessionUse session;
};

// INVALID_ARGUMENT when parentheses are nested too deeply to look into. Statements that are not
// correct SQL give whatever could be found: the server will refuse them.
absl::StatusOr<Statement> AnalyzeStatement(const std::vector<Token>& tokens);

// `sql` with the schema names replaced (quoted by back-ticks) for which `mapping` gives a name;
// every other byte stays.
std::string RewriteQualifiers(
    absl::string_view sql, const std::vector<Qualifier>& qualifiers,
    const std::function<std::optional<std::string>(const Qualifier&)>& mapping);

// mysql, information_schema, performance_schema and sys, without regard to case.
bool IsSystemSchema(absl::string_view schema);

}  // namespace sluice::sql
