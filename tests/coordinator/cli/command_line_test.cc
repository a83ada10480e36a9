// Spellings that mean the same, lines that are not understood, values that are refused.

#include "coordinator/cli/command_line.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "common/base/status.h"
#include "coordinator/cli/failure.h"

namespace sluice::cli {
namespace {

using routing::TabletType;
using testing::ElementsAre;
using testing::HasSubstr;

// Words are parted by single blanks.
std::vector<std::string> Words(absl::string_view line) {
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

Command Parsed(absl::string_view line) {
  const absl::StatusOr<Command> command = ParseCommandLine(Words(line));
  EXPECT_TRUE(command.ok()) << line << ": " << command.status();
  return command.value_or(Command());
}

Command Move(Verb verb) {
  Command command;
  command.verb = verb;
  command.keyspace = "customer";
  command.workflow = "commerce2customer";
  return command;
}

// Lines that must give the same command.
struct Spellings {
  std::string name;
  Command want;
  std::vector<std::string> lines;
};

class SpellingsTest : public testing::TestWithParam<Spellings> {};

TEST_P(SpellingsTest, GiveTheSameCommand) {
  for (const std::string& line : GetParam().lines) {
    const absl::StatusOr<Command> command = ParseCommandLine(Words(line));
    ASSERT_TRUE(command.ok()) << line << ": " << command.status();
    EXPECT_TRUE(*command == GetParam().want) << line;
  }
}

Command Create() {
  Command command = Move(Verb::kMoveTablesCreate);
  command.source_keyspace = "commerce";
  command.tables = {"customer", "corder"};
  return command;
}

Command With(Command command, const std::function<void(Command&)>& change) {
  change(command);
  return command;
}

Command OfKeyspace(Verb verb) {
  Command command;
  command.verb = verb;
  command.keyspace = "customer";
  return command;
}

std::vector<Spellings> MoveSpellings() {
  return {
      {"Create",
       Create(),
       {"movetables create customer.commerce2customer --source commerce --tables customer,corder",
        "MoveTables --workflow commerce2customer --target-keyspace customer create "
        "--source-keyspace commerce --tables customer,corder",
        "MoveTables -- --source commerce --tables customer,corder Create "
        "customer.commerce2customer",
        "move-tables CREATE customer.commerce2customer -source=commerce -tables=customer,corder",
        "move_tables -w commerce2customer --target_keyspace=customer create --source_keyspace "
        "commerce --tables ,customer,,corder",
        "--tables customer,corder movetables --source commerce create -- -w "
        "customer.commerce2customer",
        "MOVETABLES Create customer.commerce2customer -w commerce2customer --source other "
        "--SOURCE commerce --tables customer,corder"}},
      {"CreateOfAll",
       With(Move(Verb::kMoveTablesCreate),
            [](Command& command) {
              command.source_keyspace = "commerce";
              command.all_tables = true;
              command.exclude_tables = {"product"};
              command.auto_start = false;
              command.stop_after_copy = true;
              command.tablet_types = {TabletType::kReplica, TabletType::kPrimary};
            }),
       {"movetables create customer.commerce2customer --source commerce --all --exclude product "
        "--auto_start=false --stop_after_copy --tablet_types in_order:REPLICA,PRIMARY",
        "MoveTables -all -exclude=product -auto_start=0 -stop_after_copy=true -source commerce "
        "-tablet-types replica,primary Create customer.commerce2customer",
        "movetables create customer.commerce2customer --source-keyspace commerce --all-tables true "
        "--exclude-tables product --auto-start FALSE --stop-after-copy=t "
        "--tablet-types=Replica,Primary"}},
      {"Status",
       Move(Verb::kWorkflowStatus),
       {"movetables status customer.commerce2customer",
        "MoveTables -- Progress customer.commerce2customer",
        "movetables --target-keyspace customer --workflow commerce2customer progress",
        "movetables status --target-keyspace customer commerce2customer"}},
      {"Switch",
       With(Move(Verb::kSwitchTraffic),
            [](Command& command) {
              command.tablet_types = {TabletType::kRdonly, TabletType::kReplica};
              command.timeout = absl::Seconds(90);
              command.max_lag = absl::Milliseconds(500);
              command.dry_run = true;
              command.enable_reverse = false;
            }),
       {"movetables switchtraffic customer.commerce2customer --tablet-types rdonly,replica "
        "--timeout 90s --max-replication-lag-allowed 500ms --dry-run "
        "--enable-reverse-replication=false",
        "MoveTables -- --tablet_types=RDONLY,REPLICA --timeout=1m30s "
        "--max_replication_lag_allowed=0.5s --dry_run --reverse_replication=false SwitchTraffic "
        "customer.commerce2customer",
        "movetables switch-traffic customer.commerce2customer --tablettypes rdonly,replica "
        "--timeout 1m30s --max-replication-lag-allowed 500ms -d --reverse_replication false"}},
      {"Reverse",
       Move(Verb::kReverseTraffic),
       {"movetables reversetraffic customer.commerce2customer",
        "MoveTables -- ReverseTraffic customer.commerce2customer",
        "movetables Reverse_Traffic customer.commerce2customer --timeout 30s --dry-run=false"}},
      {"Complete",
       With(Move(Verb::kComplete),
            [](Command& command) {
              command.keep_data = true;
              command.keep_routing_rules = true;
              command.rename_tables = true;
            }),
       {"movetables complete customer.commerce2customer --keep-data --keep-routing-rules "
        "--rename-tables",
        "MoveTables -- --keep_data --keep_routing_rules --rename_tables Complete "
        "customer.commerce2customer"}},
      {"Cancel",
       Move(Verb::kCancel),
       {"movetables cancel customer.commerce2customer",
        "MoveTables Cancel customer.commerce2customer --keep-data=false"}},
  };
}

std::vector<Spellings> OtherSpellings() {
  return {
      {"WorkflowList",
       OfKeyspace(Verb::kWorkflowList),
       {"workflow --keyspace customer list", "workflow customer list", "Workflow customer listall",
        "workflow list customer", "workflow -k customer ListAll"}},
      {"WorkflowShow",
       Move(Verb::kWorkflowShow),
       {"Workflow customer.commerce2customer show", "workflow show customer.commerce2customer",
        "workflow -k customer show -w commerce2customer",
        "workflow --keyspace=customer show commerce2customer",
        "movetables show customer.commerce2customer"}},
      {"WorkflowStart",
       Move(Verb::kWorkflowStart),
       {"workflow customer.commerce2customer start",
        "movetables start customer.commerce2customer"}},
      {"WorkflowStop",
       Move(Verb::kWorkflowStop),
       {"workflow stop customer.commerce2customer", "movetables stop customer.commerce2customer"}},
      {"WorkflowUpdate",
       With(Move(Verb::kWorkflowUpdate),
            [](Command& command) {
              command.tablet_types = {routing::TabletType::kPrimary};
              command.stream.cells = {"*"};
              command.stream.on_ddl = stream::OnDdl::kIgnore;
              command.on_ddl_given = true;
              command.stream.tuning = {{"copy-workers", "2"}, {"target-lag", "off"}};
            }),
       {"workflow update customer.commerce2customer --tablet-types PRIMARY --cells * --on-ddl "
        "IGNORE --config-overrides copy-workers=2,target-lag=off",
        "Workflow customer.commerce2customer update --config-overrides=copy-workers=2 --on_ddl "
        "ignore --cells=* --tablet_types=primary --config_overrides target-lag=off"}},
      {"WorkflowThrottle",
       With(Move(Verb::kWorkflowThrottle), [](Command& command) { command.reason = "backup"; }),
       {"workflow throttle customer.commerce2customer --reason backup"}},
      {"WorkflowUnthrottle",
       Move(Verb::kWorkflowUnthrottle),
       {"workflow unthrottle customer.commerce2customer"}},
      {"ThrottleOn",
       With({},
            [](Command& command) {
              command.verb = Verb::kThrottleOn;
              command.reason = "peak";
            }),
       {"throttle on --reason peak", "Throttle On --reason=peak"}},
      {"ThrottleOff",
       With({}, [](Command& command) { command.verb = Verb::kThrottleOff; }),
       {"throttle off"}},
      {"ThrottleShow",
       With({}, [](Command& command) { command.verb = Verb::kThrottleShow; }),
       {"throttle show"}},
      {"WorkflowDelete",
       With(Move(Verb::kWorkflowDelete),
            [](Command& command) {
              command.keep_data = true;
              command.keep_routing_rules = true;
            }),
       {"workflow delete customer.commerce2customer --keep-data --keep-routing-rules",
        "Workflow -keep_data -keep_routing_rules customer.commerce2customer delete"}},
      {"KeyspaceCreate",
       With(OfKeyspace(Verb::kKeyspaceCreate),
            [](Command& command) {
              command.shards = {"-80", "80-"};
            }),
       {"keyspace create customer --shards -80,80-", "keyspace create --shards=-80,80- customer",
        "Keyspace Create --keyspace customer --shards -80,80-"}},
      {"KeyspaceShow",
       OfKeyspace(Verb::kKeyspaceShow),
       {"keyspace show customer", "keyspace customer show"}},
      {"GetRoutingRules",
       With({}, [](Command& command) { command.verb = Verb::kGetRoutingRules; }),
       {"getroutingrules", "GetRoutingRules", "get-routing-rules", "get_routing_rules --"}},
      {"GetShardRoutingRules",
       With({}, [](Command& command) { command.verb = Verb::kGetShardRoutingRules; }),
       {"getshardroutingrules", "GetShardRoutingRules", "get-shard-routing-rules"}},
      {"ApplyShardRoutingRules",
       With({},
            [](Command& command) {
              command.verb = Verb::kApplyShardRoutingRules;
              command.rules = "{}";
              command.dry_run = true;
            }),
       {"applyshardroutingrules --rules {} --dry-run", "ApplyShardRoutingRules -r {} -d",
        "ApplyShardRoutingRules --rules={} --skip_rebuild=false --dry_run"}},
      {"CreateOfShards",
       With(Move(Verb::kMoveTablesCreate),
            [](Command& command) {
              command.source_keyspace = "commerce";
              command.source_shards = {"-80", "80-"};
              command.all_tables = true;
            }),
       {"movetables create customer.commerce2customer --source-keyspace commerce --source-shards "
        "-80,80- --all-tables",
        "MoveTables --workflow commerce2customer --target-keyspace customer create "
        "--source-keyspace commerce --all-tables --source-shards=-80,80-",
        "MoveTables -- --source commerce --source_shards -80,80- --all Create "
        "customer.commerce2customer"}},
      {"StopOfShards",
       With(Move(Verb::kWorkflowStop), [](Command& command) { command.shards = {"-80"}; }),
       {"workflow stop customer.commerce2customer --shards -80",
        "movetables stop customer.commerce2customer --shards=-80"}},
      {"GetTablets",
       With({},
            [](Command& command) {
              command.verb = Verb::kGetTablets;
              command.coordinator = "tcp://h:1";
              command.format = Format::kJson;
              command.action_timeout = absl::Seconds(5);
            }),
       {"--coordinator tcp://h:1 --format json --action-timeout 5s gettablets",
        "GetTablets --server=tcp://h:1 --action_timeout=5s -format JSON"}},
      {"CutoverShow",
       With(Move(Verb::kCutoverShow), [](Command& command) { command.attempt = 2; }),
       {"cutover show customer.commerce2customer --attempt 2",
        "cutover customer.commerce2customer show -attempt=2"}},
      {"Repair",
       With(Move(Verb::kWorkflowRepair), [](Command& command) { command.yes = true; }),
       {"workflow repair customer.commerce2customer --yes",
        "Workflow -k customer Repair -w commerce2customer -y"}},
      {"Help",
       With({}, [](Command& command) { command.topic = "movetables create"; }),
       {"help movetables create", "movetables create --help", "MoveTables -h Create",
        "movetables create --nonsense --help", "--help move-tables create customer.w"}},
      {"HelpOfAGroup",
       With({}, [](Command& command) { command.topic = "workflow"; }),
       {"help workflow", "workflow --help"}},
      {"HelpOfAll", Command(), {"help", "--help", "-h", "help --help"}},
      {"Version",
       With({}, [](Command& command) { command.verb = Verb::kVersion; }),
       {"version", "--version"}},
  };
}

std::string NameOfCase(const testing::TestParamInfo<Spellings>& info) {
  return info.param.name;
}
INSTANTIATE_TEST_SUITE_P(Moves, SpellingsTest, testing::ValuesIn(MoveSpellings()), NameOfCase);
INSTANTIATE_TEST_SUITE_P(Others, SpellingsTest, testing::ValuesIn(OtherSpellings()), NameOfCase);

// A line that is not accepted and what the message must say.
struct Wrong {
  std::string line;
  std::string says;
  std::string subject;
};

void PrintTo(const Wrong& wrong, std::ostream* out) {
  *out << wrong.line;
}

class UsageErrorsTest : public testing::TestWithParam<Wrong> {};

TEST_P(UsageErrorsTest, NameTheMistake) {
  const absl::StatusOr<Command> command = ParseCommandLine(Words(GetParam().line));
  ASSERT_FALSE(command.ok());
  EXPECT_TRUE(IsUsageError(command.status())) << command.status();
  EXPECT_THAT(std::string(command.status().message()), HasSubstr(GetParam().says));
  EXPECT_EQ(SubjectOf(command.status()), GetParam().subject);
}

INSTANTIATE_TEST_SUITE_P(
    Lines, UsageErrorsTest,
    testing::Values(
        Wrong{"", "which command?", ""},
        Wrong{"movetabels create customer.w", "\"movetabels\"; did you mean movetables?", ""},
        Wrong{"frobnicate", "unknown command \"frobnicate\"", ""},
        Wrong{"switchtraffic customer.w", "did you mean movetables switchtraffic?", ""},
        Wrong{"help frobnicate", "unknown command \"frobnicate\"", ""},
        Wrong{"movetables", "needs an action", "movetables"},
        Wrong{"movetables creat customer.w", "\"creat\" of movetables; did you mean create?",
              "movetables"},
        Wrong{"workflow customer.w shwo", "\"shwo\" of workflow; did you mean show?", "workflow"},
        Wrong{"movetables create customer.w --sauce commerce", "--sauce; did you mean --source?",
              "movetables create"},
        Wrong{"movetables create customer.w -x", "unknown flag -x", "movetables create"},
        Wrong{"--formt json gettablets", "did you mean --format?", ""},
        Wrong{"movetables cancel customer.w --tables a", "movetables cancel has no flag --tables",
              "movetables cancel"},
        Wrong{"movetables create customer.w --tables a", "needs --source-keyspace KEYSPACE",
              "movetables create"},
        Wrong{"movetables create customer.w --tables --source commerce", "--tables needs a value",
              "movetables create"},
        Wrong{"movetables create customer.w --source", "--source-keyspace needs a value",
              "movetables create"},
        Wrong{"movetables create customer.w --source= --tables a", "--source-keyspace",
              "movetables create"},
        Wrong{"movetables status", "needs a workflow: KEYSPACE.WORKFLOW", "movetables status"},
        Wrong{"movetables status customer", "\"customer\" names no workflow", "movetables status"},
        Wrong{"movetables status customer.", "\"customer.\" names no workflow",
              "movetables status"},
        Wrong{"movetables status -w w", "needs a workflow", "movetables status"},
        Wrong{"movetables status customer.w other", "unexpected argument \"other\"",
              "movetables status"},
        Wrong{"movetables status --target-keyspace other customer.w",
              "two different keyspaces: other and customer", "movetables status"},
        Wrong{"movetables status --workflow v customer.w", "two different workflows: v and w",
              "movetables status"},
        Wrong{"movetables switchtraffic customer.w --timeout soon",
              "--timeout: \"soon\" is not a duration", "movetables switchtraffic"},
        Wrong{"movetables switchtraffic customer.w --timeout 30", "\"30\" is not a duration",
              "movetables switchtraffic"},
        Wrong{"movetables switchtraffic customer.w --timeout inf", "\"inf\" is not a duration",
              "movetables switchtraffic"},
        Wrong{"movetables switchtraffic customer.w --dry-run=perhaps",
              "\"perhaps\" is neither true nor false", "movetables switchtraffic"},
        Wrong{"gettablets --format xml", "\"xml\" is neither text nor json", "gettablets"},
        Wrong{"gettablets all", "unexpected argument \"all\"", "gettablets"},
        Wrong{"applyroutingrules", "one of --rules JSON and --rules-file FILE",
              "applyroutingrules"},
        Wrong{"applyroutingrules -r {} -f rules.json", "one of --rules JSON and --rules-file FILE",
              "applyroutingrules"},
        Wrong{"keyspace create", "needs a keyspace", "keyspace create"},
        Wrong{"workflow list", "needs a keyspace", "workflow list"},
        // What is not understood comes before what is refused.
        Wrong{"movetables switchtraffic --tablet-types master2", "needs a workflow",
              "movetables switchtraffic"}));

class RefusalsTest : public testing::TestWithParam<Wrong> {};

TEST_P(RefusalsTest, NameTheValue) {
  const absl::StatusOr<Command> command = ParseCommandLine(Words(GetParam().line));
  ASSERT_FALSE(command.ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(command.status())) << command.status();
  EXPECT_THAT(std::string(command.status().message()), HasSubstr(GetParam().says));
}

INSTANTIATE_TEST_SUITE_P(
    Lines, RefusalsTest,
    testing::Values(
        Wrong{"movetables switchtraffic customer.w --tablet-types replica,master2",
              "unknown tablet type \"master2\"", ""},
        Wrong{"movetables create a.b --source c --all --on-ddl maybe",
              "--on-ddl: \"maybe\" is none of IGNORE, STOP, EXEC and EXEC_IGNORE", ""},
        Wrong{"movetables create a.b --source c --all --cells ,", "--cells names no cell", ""},
        Wrong{"movetables switchtraffic customer.w --tablet-types ,", "names no type", ""},
        Wrong{"movetables switchtraffic customer.w --timeout 10ms", "--timeout 10ms is too short",
              ""},
        Wrong{"movetables reversetraffic customer.w --timeout -5s", "--timeout -5s is too short",
              ""},
        Wrong{"movetables switchtraffic customer.w --timeout 25h", "--timeout 25h is too long", ""},
        Wrong{"movetables switchtraffic customer.w --max-replication-lag-allowed 0s",
              "--max-replication-lag-allowed 0s is too short", ""},
        Wrong{"gettablets --action-timeout 1ms", "--action-timeout 1ms is too short", ""},
        Wrong{"movetables create customer.w --source commerce", "--tables or --all-tables", ""},
        Wrong{"movetables create customer.w --source commerce --tables ,",
              "--tables or --all-tables", ""},
        Wrong{"movetables create customer.w --source commerce --tables a --all-tables",
              "--tables and --all-tables exclude each other", ""}));

TEST(CommandLineTest, ADashAloneIsAValueAndTheNameOfAShard) {
  EXPECT_THAT(Parsed("keyspace create customer --shards -").shards, ElementsAre("-"));
}

TEST(CommandLineTest, AWordThatIsTrueOrFalseBelongsToTheFlagBeforeIt) {
  EXPECT_FALSE(Parsed("movetables cancel --keep-data false customer.w").keep_data);
  EXPECT_TRUE(Parsed("movetables cancel --keep-data true customer.w").keep_data);
  EXPECT_TRUE(Parsed("movetables cancel --keep-data customer.w").keep_data);
}

TEST(CommandLineTest, OfAFlagGivenTwiceTheLastCounts) {
  const Command command =
      Parsed("movetables switchtraffic customer.w --timeout 5s --timeout 7s --dry-run=false -d");
  EXPECT_EQ(command.timeout, absl::Seconds(7));
  EXPECT_TRUE(command.dry_run);
}

TEST(CommandLineTest, RulesAreTakenAsTheyAre) {
  const absl::StatusOr<Command> command =
      ParseCommandLine({"ApplyRoutingRules", "--rules", R"({"rules": []})", "--dry-run"});
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_EQ(command->rules, R"({"rules": []})");
  EXPECT_TRUE(command->dry_run);
}

TEST(CommandLineTest, AWorkflowNameKeepsItsFurtherDots) {
  EXPECT_EQ(Parsed("movetables show customer.a.b").workflow, "a.b");
}

}  // namespace
}  // namespace sluice::cli
