// TablePlan: finding a table behind its gate, and the heads of its statements.

#include "agent/target/table_plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/gate/closed_name.h"
#include "common/base/status.h"
#include "common/base/status_macros.h"
#include "common/binlog/column_family.h"

namespace sluice::target {
namespace {

std::vector<std::string> Names(const mysql::TableSchema& schema,
                               const std::vector<size_t>& ordinals) {
  std::vector<std::string> names;
  names.reserve(ordinals.size());
  for (const size_t ordinal : ordinals) {
    names.push_back(schema.columns[ordinal].name);
  }
  return names;
}

std::string QuotedList(const std::vector<std::string>& names) {
  return absl::StrJoin(names, ", ", [](std::string* out, const std::string& name) {
    absl::StrAppend(out, mysql::QuoteName(name));
  });
}

// Whether row constructors with values of the key compare right (TablePlan::key_in_list).
bool IsListable(const TablePlan& plan) {
  return std::all_of(plan.key.begin(), plan.key.end(), [&](size_t ordinal) {
    const auto family = binlog::FamilyOf(plan.schema.columns[ordinal]);
    return family.ok() &&
           (*family == binlog::ColumnFamily::kInteger || *family == binlog::ColumnFamily::kText ||
            *family == binlog::ColumnFamily::kBinary);
  });
}

absl::StatusOr<std::vector<TablePlan>> LoadPlans(mysql::Connection& connection,
                                                 const std::string& database,
                                                 const std::vector<std::string>& tables,
                                                 const PlanOptions& options) {
  std::vector<std::string> names;
  names.reserve(2 * tables.size());
  for (const std::string& table : tables) {
    names.push_back(gate::ClosedName(table));
    names.push_back(table);
  }
  SLUICE_ASSIGN_OR_RETURN(std::vector<mysql::TableSchema> schemas,
                          mysql::ReadTableSchemas(connection, database, names));
  absl::flat_hash_map<std::string, mysql::TableSchema*> found;
  for (mysql::TableSchema& schema : schemas) {
    if (!schema.is_view) {
      found.emplace(schema.name, &schema);
    }
  }
  std::vector<TablePlan> plans;
  plans.reserve(tables.size());
  for (const std::string& table : tables) {
    auto stands = found.find(gate::ClosedName(table));
    if (stands == found.end()) {
      stands = found.find(table);
    }
    if (stands == found.end()) {
      return WithSubject(
          absl::FailedPreconditionError(absl::StrCat("table ", database, ".", table,
                                                     " does not exist on the target, neither under "
                                                     "its name nor under its closed name")),
          table);
    }
    SLUICE_ASSIGN_OR_RETURN(TablePlan plan,
                            MakeTablePlan(std::move(*stands->second), table, options));
    plans.push_back(std::move(plan));
  }
  return plans;
}

}  // namespace

std::vector<std::string> TablePlan::WrittenNames() const {
  return Names(schema, written);
}
std::vector<std::string> TablePlan::KeyNames() const {
  return Names(schema, key);
}

absl::StatusOr<TablePlan> MakeTablePlan(mysql::TableSchema schema, const std::string& table,
                                        const PlanOptions& options) {
  TablePlan plan;
  plan.database = schema.database;
  plan.table = table;
  plan.physical = schema.name;
  const std::string full = absl::StrCat(schema.database, ".", schema.name);
  if (schema.key_columns.empty() && !options.allow_no_key) {
    return WithSubject(absl::FailedPreconditionError(absl::StrCat(
                           "table ", full, " has neither a primary key nor a NOT NULL unique key")),
                       table);
  }
  const absl::Status convertible = CheckConvertible(schema, options.from_zone, options.to_zone);
  if (!convertible.ok()) {
    return WithSubject(convertible, table);
  }
  if (!schema.triggers.empty()) {
    return WithSubject(
        absl::FailedPreconditionError(absl::StrCat(
            "table ", full, " has the trigger ", schema.triggers.front(),
            " on the target, which would fire for rows that the source's triggers have already "
            "dealt with; drop it there until the move is complete")),
        table);
  }
  for (const std::string& name : schema.key_columns) {
    for (size_t i = 0; i < schema.columns.size(); ++i) {
      if (schema.columns[i].name == name) {
        plan.key.push_back(i);
      }
    }
  }
  for (size_t i = 0; i < schema.columns.size(); ++i) {
    if (!schema.columns[i].is_generated) {
      plan.written.push_back(i);
    }
  }
  plan.times = TimeConversion(schema, options.from_zone, options.to_zone);
  plan.schema = std::move(schema);
  const std::string name = mysql::QuoteTable(plan.database, plan.physical);
  const std::string into =
      absl::StrCat(" INTO ", name, " (", QuotedList(plan.WrittenNames()), ") VALUES ");
  plan.replace_head = absl::StrCat("REPLACE", into);
  plan.insert_head = absl::StrCat("INSERT ", into);
  for (const std::string& column : plan.KeyNames()) {
    plan.key_names.push_back(mysql::QuoteName(column));
  }
  plan.key_in_list = plan.key.size() == 1 || IsListable(plan);
  plan.delete_head = absl::StrCat("DELETE FROM ", name, " WHERE ");
  if (plan.key_in_list) {
    absl::StrAppend(&plan.delete_head, "(", absl::StrJoin(plan.key_names, ", "), ") IN (");
  }
  return plan;
}

TablePlans::TablePlans(std::vector<TablePlan> plans, PlanOptions options)
    : options_(std::move(options)) {
  for (TablePlan& plan : plans) {
    auto owned = std::make_unique<TablePlan>(std::move(plan));
    std::string name = owned->table;
    plans_.emplace(std::move(name), std::move(owned));
  }
}

absl::StatusOr<TablePlans> TablePlans::Load(mysql::Connection& connection,
                                            const std::string& database,
                                            const std::vector<std::string>& tables,
                                            const PlanOptions& options) {
  SLUICE_ASSIGN_OR_RETURN(std::vector<TablePlan> plans,
                          LoadPlans(connection, database, tables, options));
  return TablePlans(std::move(plans), options);
}

absl::Status TablePlans::Reload(mysql::Connection& connection) {
  if (plans_.empty()) {
    return absl::OkStatus();
  }
  std::vector<std::string> tables;
  tables.reserve(plans_.size());
  for (const auto& [table, plan] : plans_) {
    tables.push_back(table);
  }
  SLUICE_ASSIGN_OR_RETURN(
      std::vector<TablePlan> plans,
      LoadPlans(connection, plans_.begin()->second->database, tables, options_));
  for (TablePlan& plan : plans) {
    TablePlan& known = *plans_.at(plan.table);
    // Another thread may be decoding by this plan, so what it reads stays as it is.
    if (known.schema.columns != plan.schema.columns || known.key != plan.key) {
      return absl::UnavailableError(
          absl::StrCat("table ", plan.table, " has got another definition, which is read anew"));
    }
    known.physical = std::move(plan.physical);
    known.replace_head = std::move(plan.replace_head);
    known.insert_head = std::move(plan.insert_head);
    known.delete_head = std::move(plan.delete_head);
  }
  return absl::OkStatus();
}

void TablePlans::SetAwaitsCopy(absl::string_view table) {
  plans_.at(table)->awaits_copy = true;
}

void TablePlans::SetCopiedAt(absl::string_view table, gtid::GtidSet position) {
  TablePlan& plan = *plans_.at(table);
  plan.awaits_copy = false;
  plan.copied_at = std::move(position);
}

const TablePlan* TablePlans::Find(absl::string_view table) const {
  const auto found = plans_.find(table);
  return found == plans_.end() ? nullptr : found->second.get();
}

}  // namespace sluice::target
