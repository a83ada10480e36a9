// Routing rules: the table of names that proxies obey, and its JSON forms. Pure.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/routing/target.h"

namespace sluice::routing {

// "customer@replica" or "commerce.customer@rdonly" or "customer" -> "commerce.customer".
// An empty to_table disables the table. "customer@replica:zone1" is for reads in that cell alone,
// where it goes before "customer@replica"; writes have no cell.
struct TableRule {
  std::string from_table;
  std::string to_table;
  friend bool operator==(const TableRule&, const TableRule&) = default;
};

// Reads {"rules":[{"from_table":…,"to_tables":[…]}]}, camelCase too. INVALID_ARGUMENT names the
// rule and what is wrong: not JSON, no from_table, a from_table twice, more than one to_table, a
// to_table without a keyspace, an unknown @type, an unknown field.
absl::StatusOr<std::vector<TableRule>> ParseRulesJson(absl::string_view json);
// snake_case, sorted by from_table, two-space indented; {"rules": []} when empty.
std::string RulesToJson(const std::vector<TableRule>& rules);

// ("customer@replica", "zone1") of "customer@replica:zone1"; the cell is empty where none is named.
std::pair<absl::string_view, absl::string_view> SplitCell(absl::string_view from_table);
// INVALID_ARGUMENT says what is wrong with the end of a from_table, "@replica" or "@rdonly:zone1":
// an unknown type, no name of a cell, a cell of writes.
absl::Status CheckFromType(absl::string_view from_table);

struct TableId {
  std::string keyspace;
  std::string table;
  friend bool operator==(const TableId&, const TableId&) = default;
};

// Resolves names by the rules: a hash look-up, the same with 0 and with 100 000 rules.
// Immutable, thread-safe.
class RuleTable {
 public:
  // `cell`: where the reader is. Rules of other cells are left out.
  explicit RuleTable(const std::vector<TableRule>& rules, absl::string_view cell = "");

  // The table to go to for a name with the session's tablet type; `keyspace` empty for a bare name.
  // Tries name@type, then name. nullopt when no rule names it (the name stands for itself).
  // FAILED_PRECONDITION when the rule disables the table.
  [[nodiscard]] absl::StatusOr<std::optional<TableId>> Resolve(absl::string_view keyspace,
                                                               absl::string_view table,
                                                               TabletType type) const;

 private:
  absl::flat_hash_map<std::string, std::string> rules_;
};

// The rules of a MoveTables at each moment (reference of the shapes: docs/design.md §7).
struct MoveRules {
  std::string source_keyspace;
  std::string target_keyspace;
  std::vector<std::string> tables;
  bool replica_switched = false;
  bool rdonly_switched = false;
  bool writes_switched = false;
  // Cells whose reads are not where the two flags say.
  std::vector<std::string> replica_exceptions = {};
  std::vector<std::string> rdonly_exceptions = {};
};
// After create: t, target.t, source.t each × {none, @replica, @rdonly} -> source.t, the identity
// rule included. Reads switched: the @replica or @rdonly ones -> target.t. Writes switched: t and
// source.t
// -> target.t, the rule of target.t removed. Each exception: the rules t@replica:<cell> and so on,
// to the other side.
std::vector<TableRule> RulesOfMove(const MoveRules& move);
// `rules` without any rule whose from_table names a table of the move in one of the three
// spellings.
std::vector<TableRule> WithoutMove(std::vector<TableRule> rules, const MoveRules& move);

}  // namespace sluice::routing
