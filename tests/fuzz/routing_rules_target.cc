// Routing rules as JSON, and the targets that clients name.

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "common/base/check.h"
#include "common/routing/rules.h"
#include "common/routing/shard_rules.h"
#include "common/routing/target.h"
#include "tests/fuzz/exact.h"
#include "tests/fuzz/target.h"

namespace sluice::fuzz {
namespace {

using routing::TableRule;

std::vector<TableRule> Sorted(std::vector<TableRule> rules) {
  std::sort(rules.begin(), rules.end(),
            [](const TableRule& a, const TableRule& b) { return a.from_table < b.from_table; });
  return rules;
}

void CheckTarget(absl::string_view text) {
  const auto target = routing::ParseTarget(text);
  if (!target.ok()) {
    return;
  }
  const auto again =
      routing::ParseTarget(absl::StrCat(target->keyspace, target->shard.empty() ? "" : ":",
                                        target->shard, "@", routing::TabletTypeName(target->type)));
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(*again == *target);
}

void CheckShardRules(absl::string_view text) {
  const auto rules = routing::ParseShardRulesJson(text);
  if (!rules.ok()) {
    return;
  }
  const std::string json = routing::ShardRulesToJson(*rules);
  const auto again = routing::ParseShardRulesJson(json);
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(again->size() == rules->size());
  SLUICE_CHECK(routing::ShardRulesToJson(*again) == json);
}

void Run(absl::string_view input) {
  const Exact text(input);
  CheckTarget(text.view());
  CheckShardRules(text.view());
  const auto rules = routing::ParseRulesJson(text.view());
  if (!rules.ok()) {
    return;
  }
  const auto again = routing::ParseRulesJson(routing::RulesToJson(*rules));
  SLUICE_CHECK_OK(again.status());
  SLUICE_CHECK(Sorted(*again) == Sorted(*rules));
  const routing::RuleTable table(*rules);
  for (const TableRule& rule : *rules) {
    CheckTarget(rule.to_table);
    const auto [name, cell] = routing::SplitCell(rule.from_table);
    if (!cell.empty()) {
      // Nobody else goes by it.
      const auto elsewhere =
          routing::RuleTable({rule}, "").Resolve("", name, routing::TabletType::kPrimary);
      SLUICE_CHECK(elsewhere.ok() && !elsewhere->has_value());
    }
    const routing::RuleTable own({rule}, cell);
    const auto found =
        (cell.empty() ? table : own).Resolve("", name, routing::TabletType::kPrimary);
    SLUICE_CHECK(found.ok() == !rule.to_table.empty());
    SLUICE_CHECK(!found.ok() || found->has_value());
  }
}

std::vector<std::string> Seeds() {
  return {
      "{\"rules\": []}",
      "{\"rules\": [{\"from_table\": \"customer\", \"to_tables\": [\"commerce.customer\"]}]}",
      "{\"rules\":[{\"fromTable\":\"customer.corder@replica\",\"toTables\":[\"a.b\"]},"
      "{\"from_table\":\"x\",\"to_tables\":[]}]}",
      routing::RulesToJson(routing::RulesOfMove({.source_keyspace = "commerce",
                                                 .target_keyspace = "customer",
                                                 .tables = {"customer", "t\"\\\xc3\xa4"},
                                                 .replica_switched = true,
                                                 .replica_exceptions = {"zone1", "eu.west"},
                                                 .rdonly_exceptions = {"z:1"}})),
      "{\"rules\":[{\"from_keyspace\":\"ks\",\"toKeyspace\":\"ks2\",\"shard\":\"-80\"},"
      "{\"fromKeyspace\":\"ks2\",\"to_keyspace\":\"ks\",\"shard\":\"80-\"}]}",
      "commerce",
      "commerce:-80@replica",
      "commerce/80-@PRIMARY",
      "@rdonly",
  };
}

}  // namespace

const Target kRoutingRules = {.run = Run, .seeds = Seeds, .memory_per_byte = 2048};

}  // namespace sluice::fuzz
