// SchemaModel: what RENAME, CREATE and DROP of a gate do to the names in a schema.

#pragma once

#include <map>
#include <string>
#include <vector>

#include "agent/gate/planner.h"

namespace sluice::gate {

// The schema's name is "d". A value.
class SchemaModel {
 public:
  explicit SchemaModel(const std::vector<TableNames>& tables);

  // Empty, or what MySQL (or the rule that no row is ever dropped) has against the statement;
  // nothing is changed then.
  std::string Run(const std::string& sql);

  [[nodiscard]] TableNames Names(const std::string& table) const;

  friend bool operator==(const SchemaModel&, const SchemaModel&) = default;

 private:
  void Put(const std::string& name, Object object);
  [[nodiscard]] Object At(const std::string& name) const;
  std::string Rename(const std::vector<std::string>& names);
  std::string Drop(const std::vector<std::string>& names, bool views);
  std::string Create(const std::vector<std::string>& names, const std::string& sql);

  std::map<std::string, Object> objects_;
};

}  // namespace sluice::gate
