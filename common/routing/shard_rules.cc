// Shard routing rules: JSON forms, and the rules of a move shard by shard.

#include "common/routing/shard_rules.h"

#include <algorithm>
#include <array>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "nlohmann/json.hpp"

namespace sluice::routing {
namespace {

using Json = nlohmann::ordered_json;

struct Field {
  const char* name;
  const char* camel;
  std::string ShardRule::*member;
};

constexpr std::array<Field, 3> kFields = {
    Field{"from_keyspace", "fromKeyspace", &ShardRule::from_keyspace},
    Field{"to_keyspace", "toKeyspace", &ShardRule::to_keyspace},
    Field{"shard", "shard", &ShardRule::shard},
};

// `what` is the rule as far as it is known.
absl::Status RuleError(size_t index, absl::string_view what, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("shard routing rule ", index + 1,
                   what.empty() ? std::string() : absl::StrCat(" (", what, ")"), ": ", why));
}

std::string FromText(const ShardRule& rule) {
  return absl::StrCat(rule.from_keyspace, "/", rule.shard);
}

absl::StatusOr<ShardRule> ParseRule(const Json& value, size_t index) {
  if (!value.is_object()) {
    return RuleError(index, "", "not an object");
  }
  ShardRule rule;
  std::array<bool, kFields.size()> seen = {};
  for (const auto& item : value.items()) {
    const std::string& key = item.key();
    const auto* field = std::find_if(kFields.begin(), kFields.end(), [&](const Field& each) {
      return key == each.name || key == each.camel;
    });
    if (field == kFields.end()) {
      return RuleError(index, "", absl::StrCat("unknown field '", key, "'"));
    }
    bool& known = seen.at(static_cast<size_t>(field - kFields.begin()));
    if (std::exchange(known, true)) {
      return RuleError(index, "", absl::StrCat("field '", key, "' is given in both spellings"));
    }
    if (!item.value().is_string()) {
      return RuleError(index, "", absl::StrCat("field '", key, "' is not a string"));
    }
    rule.*field->member = item.value().get<std::string>();
  }
  for (const Field& field : kFields) {
    if ((rule.*field.member).empty()) {
      return RuleError(index, "", absl::StrCat("no ", field.name));
    }
  }
  if (rule.from_keyspace == rule.to_keyspace) {
    return RuleError(index, ShardRuleText(rule), "it leads to the keyspace that it comes from");
  }
  return rule;
}

absl::Status CheckTogether(const std::vector<ShardRule>& rules) {
  std::map<std::string, size_t> by_from;
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto [position, is_new] = by_from.emplace(FromText(rules[i]), i);
    if (!is_new) {
      return RuleError(i, ShardRuleText(rules[i]),
                       absl::StrCat("rule ", position->second + 1, " is about this shard already"));
    }
  }
  for (size_t i = 0; i < rules.size(); ++i) {
    const auto onward = by_from.find(absl::StrCat(rules[i].to_keyspace, "/", rules[i].shard));
    if (onward != by_from.end()) {
      return RuleError(
          i, ShardRuleText(rules[i]),
          absl::StrCat("it leads to a shard that rule ", onward->second + 1, " sends on (",
                       ShardRuleText(rules[onward->second]), "); one rule only is followed"));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<ShardRule>> ParseShardRulesJson(absl::string_view json) {
  const Json document = Json::parse(json.begin(), json.end(), nullptr, /*allow_exceptions=*/false);
  if (document.is_discarded()) {
    return absl::InvalidArgumentError("shard routing rules: not valid JSON");
  }
  if (!document.is_object()) {
    return absl::InvalidArgumentError(
        "shard routing rules: expected an object with a list \"rules\"");
  }
  std::vector<ShardRule> rules;
  for (const auto& item : document.items()) {
    if (item.key() != "rules") {
      return absl::InvalidArgumentError(
          absl::StrCat("shard routing rules: unknown field '", item.key(), "'"));
    }
    if (!item.value().is_array()) {
      return absl::InvalidArgumentError("shard routing rules: \"rules\" is not a list");
    }
    for (const Json& value : item.value()) {
      SLUICE_ASSIGN_OR_RETURN(ShardRule rule, ParseRule(value, rules.size()));
      rules.push_back(std::move(rule));
    }
  }
  SLUICE_RETURN_IF_ERROR(CheckTogether(rules));
  return rules;
}

std::string ShardRulesToJson(const std::vector<ShardRule>& rules) {
  std::vector<ShardRule> sorted = rules;
  std::sort(sorted.begin(), sorted.end(), [](const ShardRule& a, const ShardRule& b) {
    return std::tie(a.from_keyspace, a.shard) < std::tie(b.from_keyspace, b.shard);
  });
  Json list = Json::array();
  for (const ShardRule& rule : sorted) {
    Json item;
    item["from_keyspace"] = rule.from_keyspace;
    item["to_keyspace"] = rule.to_keyspace;
    item["shard"] = rule.shard;
    list.push_back(std::move(item));
  }
  Json document;
  document["rules"] = std::move(list);
  return document.dump(2, ' ', false, Json::error_handler_t::replace);
}

std::string ShardRuleText(const ShardRule& rule) {
  return absl::StrCat(FromText(rule), " -> ", rule.to_keyspace, "/", rule.shard);
}

bool IsOfMove(const ShardRule& rule, const ShardMove& move) {
  return (rule.from_keyspace == move.source_keyspace && rule.to_keyspace == move.target_keyspace) ||
         (rule.from_keyspace == move.target_keyspace && rule.to_keyspace == move.source_keyspace);
}

bool GoesToTarget(const std::vector<ShardRule>& rules, const ShardMove& move,
                  absl::string_view shard) {
  return std::any_of(rules.begin(), rules.end(), [&](const ShardRule& rule) {
    return rule.shard == shard && rule.from_keyspace == move.source_keyspace &&
           rule.to_keyspace == move.target_keyspace;
  });
}

std::vector<ShardRule> WithShardsAt(std::vector<ShardRule> rules, const ShardMove& move,
                                    const std::vector<std::string>& shards, bool target) {
  const std::string& from = target ? move.source_keyspace : move.target_keyspace;
  const std::string& to = target ? move.target_keyspace : move.source_keyspace;
  for (const std::string& shard : shards) {
    std::erase_if(
        rules, [&](const ShardRule& rule) { return rule.shard == shard && IsOfMove(rule, move); });
    rules.push_back({.from_keyspace = from, .shard = shard, .to_keyspace = to});
  }
  return rules;
}

std::vector<ShardRule> WithDefaults(std::vector<ShardRule> rules, const ShardMove& move,
                                    const std::vector<std::string>& shards) {
  for (const std::string& shard : shards) {
    const bool known = std::any_of(rules.begin(), rules.end(), [&](const ShardRule& rule) {
      return rule.shard == shard && IsOfMove(rule, move);
    });
    if (!known) {
      rules.push_back({.from_keyspace = move.target_keyspace,
                       .shard = shard,
                       .to_keyspace = move.source_keyspace});
    }
  }
  return rules;
}

std::vector<ShardRule> WithoutShardMove(std::vector<ShardRule> rules, const ShardMove& move) {
  std::erase_if(rules, [&](const ShardRule& rule) { return IsOfMove(rule, move); });
  return rules;
}

}  // namespace sluice::routing
