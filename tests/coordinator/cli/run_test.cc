// The whole program against a coordinator played by a server in this process.

#include "coordinator/cli/run.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "common/base/status.h"
#include "common/stream/stream_options.h"
#include "schemas/admin.capnp.h"
#include "tests/coordinator/cli/run_fixture.h"

namespace sluice::cli {
namespace {

using schemas::AdminRequest;
using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

std::string Str(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

std::vector<std::string> Strs(capnp::List<capnp::Text>::Reader list) {
  std::vector<std::string> strings;
  for (const auto text : list) {
    strings.push_back(Str(text));
  }
  return strings;
}

TEST_F(RunTest, ADoneCommandPrintsItsAnswerAndEndsWithZero) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    EXPECT_EQ(request.which(), AdminRequest::WORKFLOW_LIST);
    EXPECT_EQ(Str(request.getWorkflowList()), "customer");
    return R"({"workflows": []})";
  });
  const Result text = Sluice({"Workflow", "customer", "listall"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_EQ(text.out, "No workflows found in keyspace customer\n");
  EXPECT_EQ(text.err, "");
  const Result json = Sluice({"--format=json", "workflow", "list", "customer"});
  EXPECT_EQ(json.code, 0) << json.err;
  EXPECT_EQ(json.out, "{\n  \"workflows\": []\n}\n");
}

TEST_F(RunTest, ARefusalOfTheCoordinatorEndsWithOneAndItsReason) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> {
    return WithSubject(absl::NotFoundError("workflow customer.missing does not exist"),
                       "customer.missing");
  });
  const Result result = Sluice({"movetables", "complete", "customer.missing"});
  EXPECT_EQ(result.code, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "sluice: workflow customer.missing does not exist\n");
}

TEST_F(RunTest, ASubjectThatTheMessageDoesNotNameIsAdded) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> {
    return WithSubject(absl::AbortedError("lock wait timeout"), "commerce.corder");
  });
  EXPECT_EQ(Sluice({"movetables", "switchtraffic", "customer.w"}).err,
            "sluice: commerce.corder: lock wait timeout\n");
}

TEST_F(RunTest, UsageErrorsEndWithTwoAndTheUsageOnStderr) {
  for (const std::vector<std::string>& args :
       {std::vector<std::string>{},
        {"movetabels", "create", "customer.w"},
        {"movetables", "creat", "customer.w"},
        {"movetables", "create", "customer.w", "--sauce", "commerce"},
        {"applyroutingrules"},
        {"--format", "json"}}) {
    const Result result = Sluice(args);
    EXPECT_EQ(result.code, 2);
    EXPECT_EQ(result.out, "");
    EXPECT_THAT(result.err, AllOf(StartsWith("sluice: "), HasSubstr("Usage: sluice")));
  }
}

TEST_F(RunTest, WithoutACoordinatorTheUsageSaysHowToNameOne) {
  const Result result = Sluice({"gettablets"});
  EXPECT_EQ(result.code, 2);
  EXPECT_THAT(result.err, HasSubstr("--coordinator URL or set SLUICE_COORDINATOR"));
}

TEST_F(RunTest, HelpAndVersionNeedNoCoordinator) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{"help"},
                                               {"--help"},
                                               {"movetables", "create", "--help"},
                                               {"version"}}) {
    const Result result = Sluice(args);
    EXPECT_EQ(result.code, 0) << result.err;
    EXPECT_THAT(result.out, HasSubstr("sluice "));
    EXPECT_EQ(result.err, "");
  }
}

TEST_F(RunTest, ValuesThatNoMoveCanHaveAreRefusedWithoutACall) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> {
    ADD_FAILURE() << "nothing may be asked";
    return "{}";
  });
  const Result types =
      Sluice({"movetables", "switchtraffic", "customer.w", "--tablet-types", "master2"});
  EXPECT_EQ(types.code, 1);
  EXPECT_THAT(types.err, HasSubstr("master2"));
  const Result timeout = Sluice({"movetables", "switchtraffic", "customer.w", "--timeout", "10ms"});
  EXPECT_EQ(timeout.code, 1);
  EXPECT_THAT(timeout.err, HasSubstr("--timeout 10ms"));
  EXPECT_EQ(Sluice({"movetables", "create", "customer.w", "--source", "commerce"}).code, 1);
}

TEST_F(RunTest, ACoordinatorThatIsAwayIsNamedAtOnce) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> { return "{}"; });
  server_.reset();  // its port is free now
  const absl::Time begin = absl::Now();
  const Result result = Sluice({"movetables", "complete", "customer.w"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr(absl::StrCat("no coordinator answers at ", url_)));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
}

TEST_F(RunTest, AnUnusableUrlIsNamed) {
  const Result result = Sluice({"--coordinator", "carrier-pigeon://roof", "gettablets"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("carrier-pigeon://roof"));
}

TEST_F(RunTest, AnAddressWithoutASchemeIsTcp) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> { return R"({"tablets": []})"; });
  const Result result =
      Sluice({"gettablets", "--coordinator", url_.substr(std::string("tcp://").size())});
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(RunTest, AnAnswerThatComesTooLateTellsWhereToLook) {
  Serve([](const rpc::RequestContext& context, auto) -> absl::StatusOr<std::string> {
    absl::Mutex mutex;
    const absl::MutexLock lock(&mutex);
    // Never true: waits until nobody wants the answer any more.
    bool never = false;
    mutex.AwaitWithDeadline(absl::Condition(&never), context.deadline + absl::Milliseconds(300));
    return "{}";
  });
  const Result result = Sluice({"movetables", "complete", "customer.w", "--action-timeout", "1s"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, AllOf(HasSubstr(url_), HasSubstr("did not answer within 1s"),
                                HasSubstr("\"sluice movetables status customer.w\"")));
}

TEST_F(RunTest, ASwitchWaitsAMinuteLongerThanItsTimeout) {
  std::atomic<int64_t> left_ms = 0;
  Serve([&](const rpc::RequestContext& context,
            AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    left_ms = absl::ToInt64Milliseconds(context.deadline - absl::Now());
    const auto args = request.getSwitchTraffic();
    EXPECT_EQ(args.getTimeoutMs(), 10'000U);
    EXPECT_EQ(args.getMaxLagMs(), 500U);
    EXPECT_FALSE(args.getEnableReverse());
    EXPECT_TRUE(args.getHold());
    EXPECT_TRUE(args.getRaiseCounters());
    EXPECT_EQ(args.getKillBlockersAfterMs(), 1'500U);
    EXPECT_EQ(args.getKillBlockersRows(), 77U);
    EXPECT_TRUE(args.getServerGate()) << "an older coordinator would choose tables";
    EXPECT_EQ(args.getGate(), schemas::GateChoice::SERVER);
    EXPECT_TRUE(args.getDryRun());
    EXPECT_EQ(args.getTypes().size(), 1U);
    EXPECT_EQ(args.getTypes()[0], schemas::TabletType::RDONLY);
    return R"({"summary": "ok"})";
  });
  const Result result = Sluice({"movetables", "switchtraffic", "customer.w", "--timeout", "10s",
                                "--max-replication-lag-allowed", "500ms", "--dry-run", "--hold",
                                "--initialize-target-sequences", "--kill-blockers-after", "1.5s",
                                "--kill-blockers-rows", "77", "--gate", "server",
                                "--enable-reverse-replication=false", "--tablet-types", "rdonly"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_GT(left_ms, 60'000);
  EXPECT_LE(left_ms, 70'000);
}

TEST_F(RunTest, ASwitchAsksForNothingThatIsNotSaid) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    const auto args = request.getSwitchTraffic();
    EXPECT_EQ(args.getTimeoutMs(), 30'000U);
    EXPECT_EQ(args.getMaxLagMs(), 30'000U);
    EXPECT_TRUE(args.getEnableReverse());
    EXPECT_FALSE(args.getHold());
    EXPECT_FALSE(args.getRaiseCounters());
    EXPECT_EQ(args.getGate(), schemas::GateChoice::AUTO);
    EXPECT_FALSE(args.getServerGate());
    EXPECT_EQ(args.getKillBlockersAfterMs(), 0U) << "somebody would be ended";
    EXPECT_FALSE(args.getDryRun());
    EXPECT_EQ(args.getTypes().size(), 0U);
    return R"({"summary": "ok"})";
  });
  const Result result = Sluice({"movetables", "switchtraffic", "customer.w"});
  EXPECT_EQ(result.code, 0) << result.err;
}

TEST_F(RunTest, ACreateCarriesAllItsFlags) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    const auto create = request.getMoveTablesCreate();
    EXPECT_EQ(Str(create.getWorkflow().getKeyspace()), "customer");
    EXPECT_EQ(Str(create.getWorkflow().getName()), "w");
    EXPECT_EQ(Str(create.getSourceKeyspace()), "commerce");
    EXPECT_THAT(Strs(create.getTables()), ElementsAre());
    EXPECT_TRUE(create.getAllTables());
    EXPECT_THAT(Strs(create.getExcludeTables()), ElementsAre("product", "audit"));
    EXPECT_EQ(create.getSourceTypes().size(), 2U);
    EXPECT_FALSE(create.getAutoStart());
    EXPECT_TRUE(create.getStopAfterCopy());
    EXPECT_EQ(stream::ReadStreamOptions(create.getOptions()),
              (stream::StreamOptions{.on_ddl = stream::OnDdl::kExecIgnore,
                                     .allow_no_key = true,
                                     .drop_foreign_keys = true,
                                     .defer_secondary_keys = stream::DeferKeys::kNever,
                                     .cells = {"zone1", "zone2"},
                                     .source_time_zone = "Europe/Berlin",
                                     .target_time_zone = {},
                                     .tuning = {}}));
    EXPECT_FALSE(create.getDryRun());
    return R"({"workflow": "customer.w", "traffic_state": "Reads Not Switched."})";
  });
  const Result result = Sluice({"movetables",
                                "create",
                                "customer.w",
                                "--source",
                                "commerce",
                                "--all",
                                "--exclude",
                                "product,audit",
                                "--tablet-types",
                                "in_order:REPLICA,PRIMARY",
                                "--auto-start=false",
                                "--stop-after-copy",
                                "--on-ddl",
                                "exec_ignore",
                                "--allow-no-key",
                                "--drop-foreign-keys",
                                "--defer-secondary-keys=false",
                                "--cells",
                                "zone1,zone2",
                                "--source-time-zone",
                                "Europe/Berlin"});
  EXPECT_EQ(result.code, 0) << result.err;
  EXPECT_THAT(result.out, HasSubstr("exist for workflow customer.w:"));
}

TEST_F(RunTest, TheEndOfAWorkflowCarriesWhatIsKept) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    const auto finish = request.which() == AdminRequest::COMPLETE ? request.getComplete()
                        : request.which() == AdminRequest::CANCEL ? request.getCancel()
                                                                  : request.getWorkflowDelete();
    EXPECT_TRUE(finish.getKeepData());
    EXPECT_TRUE(finish.getKeepRoutingRules());
    EXPECT_EQ(finish.getRenameTables(), request.which() == AdminRequest::COMPLETE);
    EXPECT_TRUE(finish.getDryRun());
    return absl::StrCat(R"({"summary": ")", static_cast<int>(request.which()), "\"}");
  });
  const auto expect = [&](std::vector<std::string> args, AdminRequest::Which which) {
    args.insert(args.end(), {"customer.w", "--keep-data", "--keep-routing-rules", "--dry-run"});
    EXPECT_EQ(Sluice(args).out, absl::StrCat(static_cast<int>(which), "\n"));
  };
  expect({"movetables", "complete", "--rename-tables"}, AdminRequest::COMPLETE);
  expect({"movetables", "cancel"}, AdminRequest::CANCEL);
  expect({"workflow", "delete"}, AdminRequest::WORKFLOW_DELETE);
}

TEST_F(RunTest, EveryOtherVerbAsksForWhatItSays) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    return absl::StrCat(R"({"which": )", static_cast<int>(request.which()), "}");
  });
  const std::vector<std::pair<std::vector<std::string>, AdminRequest::Which>> cases = {
      {{"movetables", "show", "k.w"}, AdminRequest::WORKFLOW_SHOW},
      {{"movetables", "status", "k.w"}, AdminRequest::WORKFLOW_STATUS},
      {{"movetables", "start", "k.w"}, AdminRequest::WORKFLOW_START},
      {{"movetables", "stop", "k.w"}, AdminRequest::WORKFLOW_STOP},
      {{"movetables", "reversetraffic", "k.w"}, AdminRequest::REVERSE_TRAFFIC},
      {{"getroutingrules"}, AdminRequest::GET_ROUTING_RULES},
      {{"applyroutingrules", "-r", "{}"}, AdminRequest::APPLY_ROUTING_RULES},
      {{"getshardroutingrules"}, AdminRequest::GET_SHARD_ROUTING_RULES},
      {{"applyshardroutingrules", "-r", "{}"}, AdminRequest::APPLY_SHARD_ROUTING_RULES},
      {{"gettablets"}, AdminRequest::TABLET_LIST},
      {{"keyspace", "create", "k", "--shards", "-80,80-"}, AdminRequest::KEYSPACE_CREATE},
      {{"keyspace", "list"}, AdminRequest::KEYSPACE_LIST},
      {{"keyspace", "show", "k"}, AdminRequest::KEYSPACE_SHOW},
      {{"cutover", "show", "k.w"}, AdminRequest::CUTOVER_SHOW},
      {{"cutover", "release", "k.w"}, AdminRequest::CUTOVER_RELEASE},
      {{"cutover", "abort", "k.w"}, AdminRequest::CUTOVER_ABORT},
      {{"workflow", "diagnose", "k.w"}, AdminRequest::WORKFLOW_DIAGNOSE},
      {{"Workflow", "k.w", "Repair"}, AdminRequest::WORKFLOW_REPAIR},
      {{"proxies"}, AdminRequest::PROXY_LIST},
  };
  for (const auto& [args, which] : cases) {
    std::vector<std::string> line = args;
    line.emplace_back("--format=json");
    EXPECT_EQ(Sluice(line).out, absl::StrCat("{\n  \"which\": ", static_cast<int>(which), "\n}\n"))
        << args[0];
  }
}

TEST_F(RunTest, ShardsAreSentWithWhatTheyAreMeantFor) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    const auto shards = request.isMoveTablesCreate()
                            ? request.getMoveTablesCreate().getSourceShards()
                        : request.isWorkflowStart() ? request.getWorkflowStart().getShards()
                        : request.isWorkflowShow()  ? request.getWorkflowShow().getShards()
                                                    : request.getWorkflowStatus().getShards();
    return absl::StrCat(R"({"summary": ")", absl::StrJoin(Strs(shards), "+"), "\"}");
  });
  for (const char* action : {"start", "status"}) {
    EXPECT_EQ(Sluice({"movetables", action, "k.w", "--shards", "-80,80-"}).out, "-80+80-\n");
    EXPECT_EQ(Sluice({"movetables", action, "k.w"}).out, "\n");
  }
  EXPECT_THAT(Sluice({"workflow", "show", "k.w", "--shards=80-"}).out, HasSubstr("\"80-\""));
  EXPECT_EQ(
      Sluice({"movetables", "create", "k.w", "--source", "s", "--all", "--source-shards", "-80"})
          .out,
      "-80\n");
  EXPECT_EQ(Sluice({"movetables", "switchtraffic", "k.w", "--shards", "-80"}).code, 2);
  EXPECT_EQ(Sluice({"movetables", "start", "k.w", "--shards", ","}).code, 2);
}

TEST_F(RunTest, AnAnswerThatSomethingIsWrongIsPrintedAndEndsWithOne) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    const bool good = request.isWorkflowRepair()
                          ? request.getWorkflowRepair().getYes()
                          : Str(request.getWorkflowDiagnose().getName()) == "good";
    return absl::StrCat(R"({"summary": "looked", "consistent": )", good ? "true" : "false",
                        R"(, "done": )", good ? "true" : "false", "}");
  });
  for (const char* action : {"diagnose", "repair"}) {
    const Result result = Sluice({"workflow", action, "k.bad", "--format", "json"});
    EXPECT_EQ(result.code, 1) << action;
    EXPECT_THAT(result.out, HasSubstr("looked"));
    EXPECT_EQ(result.err, "");
  }
  EXPECT_EQ(Sluice({"workflow", "diagnose", "k.good"}).code, 0);
  EXPECT_EQ(Sluice({"workflow", "repair", "k.bad", "--yes"}).code, 0);
}

TEST_F(RunTest, NumbersAreSentOnlyWhereTheyAreGiven) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    const auto args = request.getSwitchTraffic();
    return absl::StrCat(R"({"summary": ")", args.getForce(), " ", args.getParallelism(), " ",
                        args.getKillBlockersAfterMs(), "\"}");
  });
  EXPECT_EQ(Sluice({"movetables", "switchtraffic", "k.w"}).out, "0 0 0\n");
  EXPECT_EQ(Sluice({"movetables", "switchtraffic", "k.w", "--force", "--parallelism", "4"}).out,
            "1 4 0\n");
  EXPECT_EQ(Sluice({"movetables", "switchtraffic", "k.w", "--parallelism", "99"}).code, 1);
}

TEST_F(RunTest, RulesAreNotKeptFromTheProxies) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> { return "{}"; });
  const Result result = Sluice({"applyshardroutingrules", "-r", "{}", "--skip-rebuild"});
  EXPECT_EQ(result.code, 1);
  EXPECT_THAT(result.err, HasSubstr("--skip-rebuild: rules are obeyed by the proxies as soon as"));
}

TEST_F(RunTest, RulesComeFromTheLineOrFromAFile) {
  Serve([](const auto&, AdminRequest::Reader request) -> absl::StatusOr<std::string> {
    return Str(request.getApplyRoutingRules().getRulesJson());
  });
  const std::string rules = R"({"rules":[{"from_table":"a","to_tables":["k.a"]}]})";
  const std::string path = testing::TempDir() + "sluice_rules.json";
  std::ofstream(path) << rules;
  const std::string table = "New rules:\nFROM TABLE  TO TABLE\na           k.a\n";
  EXPECT_EQ(Sluice({"applyroutingrules", "--rules", rules}).out, table);
  EXPECT_EQ(Sluice({"ApplyRoutingRules", "--rules_file", path}).out, table);
  std::remove(path.c_str());
}

TEST_F(RunTest, ARulesFileThatCannotBeReadIsNamed) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> { return "{}"; });
  for (const std::string path : {"/no/such/rules.json", "/"}) {
    const Result result = Sluice({"applyroutingrules", "-f", path});
    EXPECT_EQ(result.code, 1);
    EXPECT_THAT(result.err, HasSubstr("can't read rules file " + path + ": "));
  }
}

TEST_F(RunTest, AnAnswerThatCannotBeWrittenIsAFailure) {
  Serve([](const auto&, auto) -> absl::StatusOr<std::string> { return R"({"tablets": []})"; });
  std::ofstream full("/dev/full");
  std::ostringstream err;
  EXPECT_EQ(cli::Run({"gettablets"}, {.coordinator = url_, .out = full, .err = err}), 1);
  EXPECT_THAT(err.str(), HasSubstr("could not be written"));
}

}  // namespace
}  // namespace sluice::cli
