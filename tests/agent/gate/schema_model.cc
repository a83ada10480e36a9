// SchemaModel: what RENAME, CREATE and DROP of a gate do to the names in a schema.

#include "tests/agent/gate/schema_model.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "agent/gate/closed_name.h"

namespace sluice::gate {
namespace {

// Every `d`.`name`, in order.
std::vector<std::string> QualifiedNames(const std::string& sql) {
  constexpr const char* kSchema = "`d`.`";
  std::vector<std::string> names;
  for (size_t at = sql.find(kSchema); at != std::string::npos; at = sql.find(kSchema, at)) {
    at += std::string(kSchema).size();
    const size_t end = sql.find('`', at);
    names.push_back(sql.substr(at, end - at));
  }
  return names;
}

bool IsView(Object object) {
  return object == Object::kGateView || object == Object::kGuard || object == Object::kOtherView;
}

}  // namespace

SchemaModel::SchemaModel(const std::vector<TableNames>& tables) {
  for (const TableNames& names : tables) {
    Put(names.table, names.name);
    Put(ClosedName(names.table), names.closed);
    Put(ViewName(names.table), names.view);
  }
}

std::string SchemaModel::Run(const std::string& sql) {
  const std::vector<std::string> names = QualifiedNames(sql);
  if (names.empty()) {
    return "names nothing: " + sql;
  }
  std::string error;
  if (absl::StartsWith(sql, "RENAME TABLE ")) {
    error = Rename(names);
  } else if (absl::StartsWith(sql, "DROP VIEW ")) {
    error = Drop(names, true);
  } else if (absl::StartsWith(sql, "DROP TABLE ")) {
    error = Drop(names, false);
  } else if (absl::StartsWith(sql, "CREATE ")) {
    error = Create(names, sql);
  } else {
    error = "is unknown";
  }
  return error.empty() ? error : absl::StrCat(error, ": ", sql);
}

TableNames SchemaModel::Names(const std::string& table) const {
  return {.table = table,
          .name = At(table),
          .closed = At(ClosedName(table)),
          .view = At(ViewName(table)),
          .columns = {"id"}};
}

void SchemaModel::Put(const std::string& name, Object object) {
  if (object != Object::kAbsent) {
    objects_[name] = object;
  }
}

Object SchemaModel::At(const std::string& name) const {
  const auto found = objects_.find(name);
  return found == objects_.end() ? Object::kAbsent : found->second;
}

// From left to right, and as a whole or not at all.
std::string SchemaModel::Rename(const std::vector<std::string>& names) {
  std::map<std::string, Object> after = objects_;
  for (size_t i = 0; i + 1 < names.size(); i += 2) {
    if (!after.contains(names[i])) {
      return names[i] + " does not exist";
    }
    if (after.contains(names[i + 1])) {
      return names[i + 1] + " exists";
    }
    after[names[i + 1]] = after[names[i]];
    after.erase(names[i]);
  }
  objects_ = std::move(after);
  return {};
}

std::string SchemaModel::Drop(const std::vector<std::string>& names, bool views) {
  std::map<std::string, Object> after = objects_;
  for (const std::string& name : names) {
    if (!after.contains(name) || IsView(after[name]) != views) {
      return name + " is not there to be dropped so";
    }
    if (after[name] == Object::kTable) {
      return name + " has rows";
    }
    after.erase(name);
  }
  objects_ = std::move(after);
  return {};
}

std::string SchemaModel::Create(const std::vector<std::string>& names, const std::string& sql) {
  if (objects_.contains(names[0])) {
    return names[0] + " exists";
  }
  if (absl::StartsWith(sql, "CREATE TABLE ")) {
    objects_[names[0]] = Object::kPlaceholder;
  } else if (absl::StrContains(sql, " FROM _sluice.schema_version")) {
    objects_[names[0]] = Object::kGuard;
  } else if (names.size() == 2 && objects_.contains(names[1])) {
    objects_[names[0]] = Object::kGateView;
  } else {
    return "reads nothing that exists";
  }
  return {};
}

}  // namespace sluice::gate
