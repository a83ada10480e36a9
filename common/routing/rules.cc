// Routing rules: JSON forms, resolution, and the rules that a move writes.

#include "common/routing/rules.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace sluice::routing {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::array<const char*, 3> kTypeSuffixes = {"", "@replica", "@rdonly"};

// "t" or "ks.t" with no empty part and at most one dot.
bool IsTableName(absl::string_view name, bool needs_keyspace) {
  const std::vector<absl::string_view> parts = absl::StrSplit(name, '.');
  if (parts.size() > 2 || (needs_keyspace && parts.size() != 2)) {
    return false;
  }
  return std::none_of(parts.begin(), parts.end(),
                      [](absl::string_view part) { return part.empty(); });
}

absl::Status RuleError(absl::string_view from_table, size_t index, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat(
      "routing rule ", index + 1,
      from_table.empty() ? std::string() : absl::StrCat(" ('", from_table, "')"), ": ", why));
}

// The from_table with its type in lower case, so that one rule has one spelling.
absl::StatusOr<std::string> NormalizeFrom(absl::string_view from, size_t index) {
  const size_t at = from.find('@');
  const absl::string_view name = from.substr(0, at);
  if (!IsTableName(name, false)) {
    return RuleError(from, index, "from_table is not a table name; expected t or keyspace.t");
  }
  if (at == absl::string_view::npos) {
    return std::string(from);
  }
  if (const absl::Status known = CheckFromType(from); !known.ok()) {
    return RuleError(from, index, known.message());
  }
  const auto [typed, cell] = SplitCell(from);
  return absl::StrCat(name, absl::AsciiStrToLower(typed.substr(at)), cell.empty() ? "" : ":", cell);
}

absl::StatusOr<std::string> ParseToTables(const Json& value, absl::string_view from, size_t index) {
  if (!value.is_array()) {
    return RuleError(from, index, "to_tables is not a list");
  }
  if (value.empty()) {
    return std::string();
  }
  if (value.size() > 1) {
    return RuleError(from, index, "more than one table in to_tables");
  }
  if (!value[0].is_string()) {
    return RuleError(from, index, "to_tables holds something else than a string");
  }
  auto to = value[0].get<std::string>();
  if (to.find('@') != std::string::npos) {
    return RuleError(from, index, absl::StrCat("to_table '", to, "' may not name a tablet type"));
  }
  if (!IsTableName(to, true)) {
    return RuleError(from, index,
                     absl::StrCat("to_table '", to, "' is not of the form keyspace.table"));
  }
  return to;
}

absl::StatusOr<TableRule> ParseRule(const Json& value, size_t index) {
  if (!value.is_object()) {
    return RuleError("", index, "not an object");
  }
  const Json* from = nullptr;
  const Json* to = nullptr;
  for (const auto& item : value.items()) {
    const std::string& key = item.key();
    const bool is_from = key == "from_table" || key == "fromTable";
    if (!is_from && key != "to_tables" && key != "toTables") {
      return RuleError("", index, absl::StrCat("unknown field '", key, "'"));
    }
    const Json*& slot = is_from ? from : to;
    if (slot != nullptr) {
      return RuleError("", index, absl::StrCat("field '", key, "' is given in both spellings"));
    }
    slot = &item.value();
  }
  if (from == nullptr || !from->is_string() || from->get<std::string>().empty()) {
    return RuleError("", index, "no from_table");
  }
  TableRule rule;
  SLUICE_ASSIGN_OR_RETURN(rule.from_table, NormalizeFrom(from->get<std::string>(), index));
  if (to != nullptr) {
    SLUICE_ASSIGN_OR_RETURN(rule.to_table, ParseToTables(*to, rule.from_table, index));
  }
  return rule;
}

std::string Key(absl::string_view keyspace, absl::string_view table) {
  return keyspace.empty() ? std::string(table) : absl::StrCat(keyspace, ".", table);
}

}  // namespace

std::pair<absl::string_view, absl::string_view> SplitCell(absl::string_view from_table) {
  const size_t at = from_table.find('@');
  const size_t colon =
      at == absl::string_view::npos ? absl::string_view::npos : from_table.find(':', at);
  if (colon == absl::string_view::npos) {
    return {from_table, absl::string_view()};
  }
  return {from_table.substr(0, colon), from_table.substr(colon + 1)};
}

absl::Status CheckFromType(absl::string_view from_table) {
  const auto [typed, cell] = SplitCell(from_table);
  const size_t at = typed.find('@');
  if (at == absl::string_view::npos) {
    return absl::OkStatus();
  }
  SLUICE_ASSIGN_OR_RETURN(const TabletType type, ParseTabletType(typed.substr(at + 1)));
  if (typed.size() == from_table.size()) {
    return absl::OkStatus();
  }
  if (cell.empty()) {
    return absl::InvalidArgumentError("no cell is named behind ':'");
  }
  return type == TabletType::kPrimary
             ? absl::InvalidArgumentError(
                   "a rule of one cell is for @replica or @rdonly: writes go to one side for all")
             : absl::OkStatus();
}

absl::StatusOr<std::vector<TableRule>> ParseRulesJson(absl::string_view json) {
  const Json document = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::InvalidArgumentError("routing rules: not valid JSON");
  }
  if (!document.is_object()) {
    return absl::InvalidArgumentError("routing rules: expected an object with a list \"rules\"");
  }
  std::vector<TableRule> rules;
  absl::flat_hash_map<std::string, size_t> seen;
  for (const auto& item : document.items()) {
    if (item.key() != "rules") {
      return absl::InvalidArgumentError(
          absl::StrCat("routing rules: unknown field '", item.key(), "'"));
    }
    if (!item.value().is_array()) {
      return absl::InvalidArgumentError("routing rules: \"rules\" is not a list");
    }
    for (const Json& value : item.value()) {
      const size_t index = rules.size();
      SLUICE_ASSIGN_OR_RETURN(TableRule rule, ParseRule(value, index));
      const auto [position, is_new] = seen.emplace(rule.from_table, index);
      if (!is_new) {
        return RuleError(rule.from_table, index,
                         absl::StrCat("from_table is already in rule ", position->second + 1));
      }
      rules.push_back(std::move(rule));
    }
  }
  return rules;
}

std::string RulesToJson(const std::vector<TableRule>& rules) {
  std::vector<TableRule> sorted = rules;
  std::sort(sorted.begin(), sorted.end(),
            [](const TableRule& a, const TableRule& b) { return a.from_table < b.from_table; });
  Json list = Json::array();
  for (const TableRule& rule : sorted) {
    Json to = Json::array();
    if (!rule.to_table.empty()) {
      to.push_back(rule.to_table);
    }
    Json item;
    item["from_table"] = rule.from_table;
    item["to_tables"] = std::move(to);
    list.push_back(std::move(item));
  }
  Json document;
  document["rules"] = std::move(list);
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

RuleTable::RuleTable(const std::vector<TableRule>& rules, absl::string_view cell) {
  rules_.reserve(rules.size());
  for (const TableRule& rule : rules) {
    const auto [name, rule_cell] = SplitCell(rule.from_table);
    if (rule_cell.empty()) {
      rules_.emplace(name, rule.to_table);
    } else if (rule_cell == cell) {
      rules_.insert_or_assign(std::string(name), rule.to_table);
    }
  }
}

absl::StatusOr<std::optional<TableId>> RuleTable::Resolve(absl::string_view keyspace,
                                                          absl::string_view table,
                                                          TabletType type) const {
  const std::string name = Key(keyspace, table);
  auto found = rules_.end();
  if (type != TabletType::kUnknown) {
    found = rules_.find(absl::StrCat(name, "@", absl::AsciiStrToLower(TabletTypeName(type))));
  }
  if (found == rules_.end()) {
    found = rules_.find(name);
  }
  if (found == rules_.end()) {
    return std::optional<TableId>();
  }
  const std::string& to = found->second;
  if (to.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("table ", name, " has been disabled by a routing rule"));
  }
  const size_t dot = to.find('.');
  if (dot == std::string::npos) {
    return std::optional<TableId>(TableId{"", to});
  }
  return std::optional<TableId>(TableId{to.substr(0, dot), to.substr(dot + 1)});
}

std::vector<TableRule> RulesOfMove(const MoveRules& move) {
  std::vector<TableRule> rules;
  for (const std::string& table : move.tables) {
    const std::string source = Key(move.source_keyspace, table);
    const std::string target = Key(move.target_keyspace, table);
    const auto add = [&](absl::string_view suffix, bool switched) {
      const std::string& to = switched ? target : source;
      for (const std::string& from : {table, target, source}) {
        rules.push_back({absl::StrCat(from, suffix), to});
      }
    };
    if (move.writes_switched) {
      rules.push_back({table, target});
      rules.push_back({source, target});
    } else {
      add("", false);
    }
    const auto add_reads = [&](const std::string& suffix, bool switched,
                               const std::vector<std::string>& exceptions) {
      add(suffix, switched);
      for (const std::string& cell : exceptions) {
        add(absl::StrCat(suffix, ":", cell), !switched);
      }
    };
    add_reads("@replica", move.replica_switched, move.replica_exceptions);
    add_reads("@rdonly", move.rdonly_switched, move.rdonly_exceptions);
  }
  return rules;
}

std::vector<TableRule> WithoutMove(std::vector<TableRule> rules, const MoveRules& move) {
  absl::flat_hash_map<std::string, bool> names;
  for (const std::string& table : move.tables) {
    for (const std::string& name :
         {table, Key(move.source_keyspace, table), Key(move.target_keyspace, table)}) {
      for (const char* suffix : kTypeSuffixes) {
        names.emplace(absl::StrCat(name, suffix), true);
      }
    }
  }
  rules.erase(std::remove_if(rules.begin(), rules.end(),
                             [&](const TableRule& rule) {
                               return names.contains(SplitCell(rule.from_table).first);
                             }),
              rules.end());
  return rules;
}

}  // namespace sluice::routing
