// Tests of the shard routing rules: JSON, and the rules of a move shard by shard.

#include "common/routing/shard_rules.h"

#include <string>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace sluice::routing {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;

constexpr char kJson[] =
    R"({"rules":[{"from_keyspace":"ks2","to_keyspace":"ks","shard":"80-"},
                 {"fromKeyspace":"ks","toKeyspace":"ks2","shard":"-80"}]})";

std::vector<std::string> Lines(const std::vector<ShardRule>& rules) {
  std::vector<std::string> lines;
  lines.reserve(rules.size());
  for (const ShardRule& rule : rules) {
    lines.push_back(ShardRuleText(rule));
  }
  return lines;
}

std::string Refusal(const std::string& rules) {
  const auto parsed = ParseShardRulesJson("{\"rules\":[" + rules + "]}");
  EXPECT_EQ(parsed.status().code(), absl::StatusCode::kInvalidArgument) << rules;
  return std::string(parsed.status().message());
}

TEST(ShardRulesJsonTest, ReadsBothSpellingsAndWritesSnakeCaseSorted) {
  const auto rules = ParseShardRulesJson(kJson);
  ASSERT_TRUE(rules.ok()) << rules.status();
  EXPECT_THAT(Lines(*rules), ElementsAre("ks2/80- -> ks/80-", "ks/-80 -> ks2/-80"));
  EXPECT_EQ(ShardRulesToJson(*rules),
            "{\n  \"rules\": [\n    {\n      \"from_keyspace\": \"ks\",\n"
            "      \"to_keyspace\": \"ks2\",\n      \"shard\": \"-80\"\n    },\n    {\n"
            "      \"from_keyspace\": \"ks2\",\n      \"to_keyspace\": \"ks\",\n"
            "      \"shard\": \"80-\"\n    }\n  ]\n}");
  EXPECT_THAT(*ParseShardRulesJson(ShardRulesToJson(*rules)),
              UnorderedElementsAre((*rules)[0], (*rules)[1]));
  EXPECT_EQ(ShardRulesToJson({}), "{\n  \"rules\": []\n}");
}

TEST(ShardRulesJsonTest, NamesTheRuleAndWhatIsWrongWithIt) {
  EXPECT_THAT(ParseShardRulesJson("{").status().ToString(), HasSubstr("not valid JSON"));
  EXPECT_THAT(ParseShardRulesJson("[]").status().ToString(), HasSubstr("an object with a list"));
  EXPECT_THAT(ParseShardRulesJson(R"({"rules":{}})").status().ToString(), HasSubstr("not a list"));
  EXPECT_THAT(ParseShardRulesJson(R"({"rule":[]})").status().ToString(),
              HasSubstr("unknown field 'rule'"));
  const std::string good = R"({"from_keyspace":"a","to_keyspace":"b","shard":"-80"},)";
  EXPECT_THAT(Refusal(good + "3"), HasSubstr("shard routing rule 2: not an object"));
  EXPECT_THAT(Refusal(R"({"to_keyspace":"b","shard":"0"})"), HasSubstr("no from_keyspace"));
  EXPECT_THAT(Refusal(R"({"from_keyspace":"a","shard":"0"})"), HasSubstr("no to_keyspace"));
  EXPECT_THAT(Refusal(R"({"from_keyspace":"a","to_keyspace":"b","shard":""})"),
              HasSubstr("no shard"));
  EXPECT_THAT(Refusal(R"({"from_keyspace":"a","to_keyspace":"b","shard":80})"),
              HasSubstr("field 'shard' is not a string"));
  EXPECT_THAT(Refusal(R"({"from_keyspace":"a","fromKeyspace":"a","to_keyspace":"b","shard":"0"})"),
              HasSubstr("in both spellings"));
  EXPECT_THAT(Refusal(R"({"from_keyspace":"a","to_keyspace":"b","shard":"0","x":1})"),
              HasSubstr("unknown field 'x'"));
}

TEST(ShardRulesJsonTest, RulesThatContradictEachOtherAreRefusedByName) {
  EXPECT_THAT(Refusal(R"({"from_keyspace":"a","to_keyspace":"a","shard":"0"})"),
              HasSubstr("(a/0 -> a/0): it leads to the keyspace that it comes from"));
  const std::string first = R"({"from_keyspace":"a","to_keyspace":"b","shard":"-80"},)";
  EXPECT_THAT(Refusal(first + R"({"from_keyspace":"a","to_keyspace":"c","shard":"-80"})"),
              HasSubstr("rule 2 (a/-80 -> c/-80): rule 1 is about this shard already"));
  EXPECT_THAT(Refusal(first + R"({"from_keyspace":"b","to_keyspace":"c","shard":"-80"})"),
              HasSubstr("rule 1 (a/-80 -> b/-80): it leads to a shard that rule 2 sends on"));
  EXPECT_THAT(Refusal(first + R"({"from_keyspace":"b","to_keyspace":"a","shard":"-80"})"),
              HasSubstr("sends on (b/-80 -> a/-80)"));
  EXPECT_TRUE(ParseShardRulesJson("{\"rules\":[" + first +
                                  R"({"from_keyspace":"b","to_keyspace":"a","shard":"80-"}]})")
                  .ok());
}

const ShardMove& Move() {
  static const ShardMove move = {.source_keyspace = "ks", .target_keyspace = "ks2"};
  return move;
}

TEST(ShardMoveTest, EveryShardHasOneRuleAtEachMoment) {
  const ShardRule other = {"x", "-80", "y"};
  std::vector<ShardRule> rules = WithShardsAt({other}, Move(), {"80-"}, false);
  rules = WithDefaults(std::move(rules), Move(), {"-80", "80-"});
  EXPECT_THAT(Lines(rules),
              UnorderedElementsAre("x/-80 -> y/-80", "ks2/80- -> ks/80-", "ks2/-80 -> ks/-80"));
  EXPECT_FALSE(GoesToTarget(rules, Move(), "80-"));
  rules = WithShardsAt(std::move(rules), Move(), {"80-"}, true);
  EXPECT_THAT(Lines(rules),
              UnorderedElementsAre("x/-80 -> y/-80", "ks/80- -> ks2/80-", "ks2/-80 -> ks/-80"));
  EXPECT_TRUE(GoesToTarget(rules, Move(), "80-"));
  EXPECT_FALSE(GoesToTarget(rules, Move(), "-80"));
  // A second workflow leaves what the first one switched.
  EXPECT_EQ(WithDefaults(rules, Move(), {"-80", "80-"}), rules);
  rules = WithShardsAt(std::move(rules), Move(), {"80-"}, false);
  EXPECT_FALSE(GoesToTarget(rules, Move(), "80-"));
  EXPECT_THAT(WithoutShardMove(std::move(rules), Move()), ElementsAre(other));
  EXPECT_THAT(WithoutShardMove({}, Move()), IsEmpty());
}

}  // namespace
}  // namespace sluice::routing
