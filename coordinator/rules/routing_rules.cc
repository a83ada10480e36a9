// RuleService: the routing rules as operators read and write them.

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/routing/rules.h"
#include "coordinator/rules/rule_service.h"
#include "coordinator/workflow/record.h"

namespace sluice::rules {
namespace {

using routing::TableRule;

// The keyspace in front of "keyspace.table@type:cell"; empty for a bare name.
std::string KeyspaceOf(absl::string_view name) {
  name = name.substr(0, name.find('@'));
  const size_t dot = name.find('.');
  return dot == absl::string_view::npos ? std::string() : std::string(name.substr(0, dot));
}

// The rules about the tables of a move, sorted.
std::set<std::pair<std::string, std::string>> RulesAbout(const std::vector<TableRule>& rules,
                                                         const routing::MoveRules& move) {
  std::set<std::string> others;
  for (const TableRule& rule : routing::WithoutMove(rules, move)) {
    others.insert(rule.from_table);
  }
  std::set<std::pair<std::string, std::string>> result;
  for (const TableRule& rule : rules) {
    if (!others.contains(rule.from_table)) {
      result.emplace(rule.from_table, rule.to_table);
    }
  }
  return result;
}

absl::Status CheckWorkflows(store::StoreReader& reader, const std::vector<TableRule>& before,
                            const std::vector<TableRule>& after) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<workflow::WorkflowRecord> workflows,
                          reader.ListWorkflows());
  for (const workflow::WorkflowRecord& record : workflows) {
    const routing::MoveRules move = workflow::MoveRulesOf(record);
    if (RulesAbout(before, move) != RulesAbout(after, move)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "these rules change the routing of tables that workflow ", workflow::OperationKey(record),
          " moves; keep its rules as they are (getroutingrules), or complete or cancel it first"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

std::string RuleService::GetRoutingRulesJson() const {
  return routing::RulesToJson(Rules().table_rules);
}

absl::Status RuleService::CheckKeyspaces(const std::vector<TableRule>& rules) const {
  for (const TableRule& rule : rules) {
    for (const std::string& name : {rule.from_table, rule.to_table}) {
      const std::string keyspace = KeyspaceOf(name);
      if (!keyspace.empty() && !topology_.FindKeyspace(keyspace).ok()) {
        return absl::NotFoundError(absl::StrCat("routing rule '", rule.from_table,
                                                "' names keyspace ", keyspace,
                                                ", which does not exist"));
      }
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> RuleService::ApplyRoutingRules(const std::string& json, bool dry_run) {
  SLUICE_ASSIGN_OR_RETURN(const std::vector<TableRule> rules, routing::ParseRulesJson(json));
  SLUICE_RETURN_IF_ERROR(CheckKeyspaces(rules));
  if (dry_run) {
    const std::vector<TableRule> before = Rules().table_rules;
    SLUICE_RETURN_IF_ERROR(store_.Read(
        [&](store::StoreReader& reader) { return CheckWorkflows(reader, before, rules); }));
  } else {
    const absl::StatusOr<uint64_t> epoch =
        Change([&](store::StoreTransaction& transaction, store::RuleState& state) -> absl::Status {
          SLUICE_RETURN_IF_ERROR(CheckWorkflows(transaction, state.table_rules, rules));
          state.table_rules = rules;
          return absl::OkStatus();
        });
    SLUICE_RETURN_IF_ERROR(epoch.status());
  }
  return routing::RulesToJson(rules);
}

}  // namespace sluice::rules
