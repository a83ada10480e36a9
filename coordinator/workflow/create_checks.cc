// What a move must not begin with.

#include "coordinator/workflow/create_checks.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/base/status_macros.h"

namespace sluice::workflow {
namespace {

constexpr char kReservedPrefix[] = "_sluice_";
constexpr char kIsView[] = "it is a view; leave it out and create it on the target";

absl::Status CheckNames(const std::vector<std::string>& names, absl::string_view what) {
  std::set<std::string> seen;
  for (const std::string& name : names) {
    if (name.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("an empty name in ", what));
    }
    if (!seen.insert(name).second) {
      return absl::InvalidArgumentError(absl::StrCat("table ", name, " is twice in ", what));
    }
  }
  return absl::OkStatus();
}

absl::Status NotFound(const std::string& keyspace, const std::vector<std::string>& missing) {
  return absl::NotFoundError(absl::StrCat("table(s) not found in source keyspace ", keyspace, ": ",
                                          absl::StrJoin(missing, ", ")));
}

absl::Status Refuse(const std::string& keyspace, const std::string& table, absl::string_view why) {
  return absl::FailedPreconditionError(
      absl::StrCat("table ", keyspace, ".", table, " can't be moved: ", why));
}

// Those of the tables that are not moved.
std::vector<std::string> Staying(const std::vector<std::string>& tables,
                                 const std::set<std::string>& moved) {
  std::vector<std::string> staying;
  std::copy_if(tables.begin(), tables.end(), std::back_inserter(staying),
               [&moved](const std::string& table) { return !moved.contains(table); });
  return staying;
}

absl::Status CheckForeignKeys(const std::string& keyspace, const TableDescription& table,
                              const std::set<std::string>& moved, bool may_leave) {
  constexpr absl::string_view kRemedy =
      "; move both, drop the key, or say --drop-foreign-keys to create the target's tables "
      "without such keys";
  const std::vector<std::string> parents = Staying(table.foreign_key_parents, moved);
  const std::vector<std::string> children = Staying(table.foreign_key_children, moved);
  if (!may_leave && !parents.empty()) {
    return Refuse(keyspace, table.name,
                  absl::StrCat("its foreign key refers to ", parents.front(),
                               ", which is not moved", kRemedy));
  }
  if (!may_leave && !children.empty()) {
    return Refuse(keyspace, table.name,
                  absl::StrCat("a foreign key of ", children.front(),
                               ", which is not moved, refers to it", kRemedy));
  }
  const std::vector<std::string> cascading = Staying(table.cascade_parents, moved);
  if (!cascading.empty()) {
    return Refuse(keyspace, table.name,
                  absl::StrCat("its foreign key to ", cascading.front(),
                               ", which is not moved, has a rule ON DELETE or ON UPDATE that "
                               "would change its rows on the source after they have moved; move "
                               "both, or give the key the rule RESTRICT"));
  }
  return absl::OkStatus();
}

absl::Status RefuseCascades(const std::string& keyspace, const TableDescription& table,
                            absl::string_view server) {
  return Refuse(
      keyspace, table.name,
      absl::StrCat("rows that its foreign key(s) ", absl::StrJoin(table.cascades, ", "),
                   " change by ON DELETE or ON UPDATE are not in the binlog of the ", server,
                   ", which holds them since MySQL 9.6 with innodb_native_foreign_keys=OFF; "
                   "upgrade it, or give the key the rule RESTRICT for the time of the move"));
}

bool IsBehindGate(GateState state) {
  return state == GateState::kClosed || state == GateState::kReadable || state == GateState::kMixed;
}

}  // namespace

absl::Status CheckStreamOptions(const stream::StreamOptions& options) {
  if (options.on_ddl != stream::OnDdl::kExec && options.on_ddl != stream::OnDdl::kExecIgnore) {
    return absl::OkStatus();
  }
  const auto refused = [&options](absl::string_view what, absl::string_view why) {
    return absl::InvalidArgumentError(absl::StrCat(
        what, " and --on-ddl ", stream::OnDdlName(options.on_ddl), " exclude each other: ", why));
  };
  if (options.defer_secondary_keys == stream::DeferKeys::kAlways) {
    return refused("--defer-secondary-keys", "a statement could name a key that is put off");
  }
  return options.allow_no_key
             ? refused("--allow-no-key", "a statement could take a table's key away or give it one")
             : absl::OkStatus();
}

absl::Status CheckSelection(const TableSelection& selection) {
  if (selection.all_tables == !selection.tables.empty()) {
    return absl::InvalidArgumentError(
        "say which tables: exactly one of --tables and --all-tables is needed");
  }
  SLUICE_RETURN_IF_ERROR(CheckNames(selection.tables, "--tables"));
  return CheckNames(selection.exclude_tables, "--exclude-tables");
}

absl::StatusOr<std::vector<std::string>> SelectTables(
    const TableSelection& selection, const std::vector<TableDescription>& existing) {
  std::map<std::string, const TableDescription*> found;
  for (const TableDescription& table : existing) {
    if (table.exists || IsBehindGate(table.gate_state)) {
      found.emplace(table.name, &table);
    }
  }
  std::set<std::string> wanted;
  std::vector<std::string> missing;
  if (selection.all_tables) {
    for (const auto& [name, table] : found) {
      if (!table->is_view && !absl::StartsWith(name, kReservedPrefix)) {
        wanted.insert(name);
      }
    }
  }
  for (const std::string& name : selection.tables) {
    if (absl::StartsWith(name, kReservedPrefix) || !found.contains(name)) {
      missing.push_back(name);
    }
    wanted.insert(name);
  }
  for (const std::string& name : selection.exclude_tables) {
    if (!found.contains(name)) {
      missing.push_back(name);
    }
    wanted.erase(name);
  }
  if (!missing.empty()) {
    return NotFound(selection.source_keyspace, missing);
  }
  if (wanted.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("no table is left to move out of keyspace ", selection.source_keyspace));
  }
  return std::vector<std::string>(wanted.begin(), wanted.end());
}

absl::Status CheckSourceTables(const std::string& keyspace,
                               const std::vector<TableDescription>& tables,
                               const stream::StreamOptions& options) {
  std::set<std::string> moved;
  std::vector<std::string> missing;
  for (const TableDescription& table : tables) {
    moved.insert(table.name);
    // A view of somebody's own: nothing stands under the closed name.
    if (table.is_view && table.gate_state == GateState::kMixed) {
      return Refuse(keyspace, table.name, kIsView);
    }
    if (IsBehindGate(table.gate_state)) {
      return Refuse(keyspace, table.name,
                    absl::StrCat("it stands behind a gate (", GateStateName(table.gate_state),
                                 ") that an earlier workflow left; finish or cancel that one, or "
                                 "give the table its name back"));
    }
    if (!table.exists) {
      missing.push_back(table.name);
    }
  }
  if (!missing.empty()) {
    return NotFound(keyspace, missing);
  }
  for (const TableDescription& table : tables) {
    if (table.is_view) {
      return Refuse(keyspace, table.name, kIsView);
    }
    if (table.key_columns.empty() && !options.allow_no_key) {
      return Refuse(keyspace, table.name,
                    "it has no primary key and no unique key over NOT NULL columns; add one, or "
                    "say --allow-no-key to have it moved slowly");
    }
    if (!table.triggers.empty()) {
      return Refuse(keyspace, table.name,
                    absl::StrCat("it has trigger(s) ", absl::StrJoin(table.triggers, ", "),
                                 ", which would run twice; drop them for the time of the move"));
    }
    SLUICE_RETURN_IF_ERROR(CheckForeignKeys(keyspace, table, moved, options.drop_foreign_keys));
    if (!table.cascades.empty() && !table.cascades_logged) {
      return RefuseCascades(keyspace, table, "source");
    }
  }
  return absl::OkStatus();
}

absl::Status CheckCascadesOfTarget(const std::string& keyspace,
                                   const std::vector<TableDescription>& source,
                                   const std::vector<TableDescription>& target) {
  for (const TableDescription& table : source) {
    const bool unlogged =
        std::any_of(target.begin(), target.end(), [&table](const TableDescription& candidate) {
          return candidate.name == table.name && !candidate.cascades_logged;
        });
    if (!table.cascades.empty() && unlogged) {
      return RefuseCascades(keyspace, table, "target");
    }
  }
  return absl::OkStatus();
}

std::vector<std::string> NoteWhatStays(const std::string& keyspace,
                                       const std::vector<TableDescription>& tables) {
  std::set<std::string> moved;
  std::map<std::string, std::vector<std::string>> views;
  std::map<std::string, std::vector<std::string>> programs;
  for (const TableDescription& table : tables) {
    moved.insert(table.name);
    for (const std::string& view : table.views) {
      views[view].push_back(table.name);
    }
    for (const std::string& program : table.programs) {
      programs[program].push_back(table.name);
    }
  }
  std::vector<std::string> notes;
  notes.reserve(views.size() + programs.size());
  for (const auto& [view, names] : views) {
    notes.push_back(absl::StrCat("View ", view, " of keyspace ", keyspace, " reads ",
                                 absl::StrJoin(names, ", "),
                                 "; views are not moved: create it on the target before writes are "
                                 "switched, after which it fails on the source"));
  }
  for (const auto& [program, names] : programs) {
    notes.push_back(absl::StrCat("The ", program, " of keyspace ", keyspace, " names ",
                                 absl::StrJoin(names, ", "),
                                 "; events and routines are not moved: create it on the target, "
                                 "and see that only one side runs it"));
  }
  for (const TableDescription& table : tables) {
    for (const std::string& parent : Staying(table.foreign_key_parents, moved)) {
      notes.push_back(absl::StrCat("Table ", table.name, " has a foreign key to ", parent,
                                   ", which is not moved; the target's table is without it"));
    }
    for (const std::string& child : Staying(table.foreign_key_children, moved)) {
      notes.push_back(absl::StrCat("A foreign key of ", child, ", which is not moved, refers to ",
                                   table.name, "; drop it before the move is completed"));
    }
  }
  return notes;
}

absl::Status CheckTargetTables(const std::string& keyspace,
                               const std::vector<TableDescription>& tables) {
  std::vector<std::string> non_empty;
  std::vector<std::string> empty;
  std::vector<std::string> gated;
  for (const TableDescription& table : tables) {
    if (IsBehindGate(table.gate_state)) {
      gated.push_back(table.name);
    } else if (table.exists && (table.has_rows || table.is_view)) {
      non_empty.push_back(table.name);
    } else if (table.exists) {
      empty.push_back(table.name);
    }
  }
  if (!non_empty.empty()) {
    return absl::AlreadyExistsError(absl::StrCat("non-empty tables found in target keyspace(",
                                                 keyspace, "): ", absl::StrJoin(non_empty, ", ")));
  }
  if (!gated.empty()) {
    return absl::AlreadyExistsError(absl::StrCat(
        "closed tables of an earlier workflow found in target keyspace(", keyspace,
        "): ", absl::StrJoin(gated, ", "), "; drop the tables _sluice_closed_… there"));
  }
  if (!empty.empty()) {
    return absl::AlreadyExistsError(absl::StrCat(
        "tables found in target keyspace(", keyspace, "): ", absl::StrJoin(empty, ", "),
        "; they are empty, drop them: a move creates its own, closed to writers"));
  }
  return absl::OkStatus();
}

}  // namespace sluice::workflow
