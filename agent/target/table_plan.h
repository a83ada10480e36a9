// TablePlan: how a stream writes one table: where it stands, its columns, its key.

#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "agent/target/time_conversion.h"
#include "common/gtid/gtid_set.h"
#include "common/mysql/connection.h"
#include "common/mysql/table_schema.h"

namespace sluice::target {

// What an operator has said of all tables of a stream.
struct PlanOptions {
  bool allow_no_key = false;
  std::string from_zone;  // of DATETIMEs; empty: they stay as they are
  std::string to_zone;
};

struct TablePlan {
  std::string database;
  std::string table;     // as the source's binlog names it
  std::string physical;  // the name under which it stands here: the closed one, or the same
  mysql::TableSchema schema;
  std::vector<size_t> written;  // ordinals of the columns that are not generated
  std::vector<size_t> key;      // ordinals of the key's columns; empty: rows are known by all
  TimeConversion times;
  std::string replace_head;  // REPLACE INTO `d`.`t` (`a`, `b`) VALUES
  std::string insert_head;   // the same with INSERT, and of the same length
  // How rows are named by their key. A list of row constructors, (`a`, `b`) IN ((1, 2), …), is
  // quick, but mysqld 9.7 compares its values by the types of the left side's columns alone: an
  // ENUM or SET of a composite key is taken for text and never equals a number. Keys that have
  // anything but integers and strings are therefore compared column by column, joined by OR.
  bool key_in_list = true;
  std::vector<std::string> key_names;  // quoted, in the order of `key`
  std::string delete_head;             // DELETE FROM `d`.`t` WHERE, and the left side of IN

  // Of a table without a key: its events do not count until it is copied, nor do those of
  // transactions that the copy holds.
  bool awaits_copy = false;
  gtid::GtidSet copied_at;

  [[nodiscard]] bool HasKey() const { return !key.empty(); }
  [[nodiscard]] std::vector<std::string> WrittenNames() const;
  [[nodiscard]] std::vector<std::string> KeyNames() const;
};

// The plan for a table of this schema that stands under `physical`. FAILED_PRECONDITION names a
// table without a key, unless that is allowed, one whose triggers would fire for rows that a stream
// writes, or one whose DATETIMEs can't be converted (CheckConvertible).
absl::StatusOr<TablePlan> MakeTablePlan(mysql::TableSchema schema, const std::string& table,
                                        const PlanOptions& options = {});

// The plans of a stream's tables. Plans keep their addresses. Owned by one thread, but for Find and
// what Reload keeps.
class TablePlans {
 public:
  // Reads the schemas. A table is taken where its gate has put it: under its closed name if there
  // is such a table, else under its own. FAILED_PRECONDITION names a table that has neither.
  static absl::StatusOr<TablePlans> Load(mysql::Connection& connection, const std::string& database,
                                         const std::vector<std::string>& tables,
                                         const PlanOptions& options = {});
  explicit TablePlans(std::vector<TablePlan> plans, PlanOptions options = {});

  // Looks again where the tables stand: renews names and heads of statements, and nothing else,
  // since another thread may be using the rest. UNAVAILABLE when a table has other columns now.
  absl::Status Reload(mysql::Connection& connection);

  // nullptr when the stream has no such table.
  [[nodiscard]] const TablePlan* Find(absl::string_view table) const;

  // Of a table without a key; before a feed decodes by the plans.
  void SetAwaitsCopy(absl::string_view table);
  void SetCopiedAt(absl::string_view table, gtid::GtidSet position);

 private:
  PlanOptions options_;
  absl::flat_hash_map<std::string, std::unique_ptr<TablePlan>> plans_;
};

}  // namespace sluice::target
