// Bad input: each is refused with a message that names the thing, and nothing is changed.

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

constexpr char kWorkflow[] = "customer.commerce2customer";

std::vector<std::string> Create(const std::string& workflow, const std::string& source,
                                const std::string& tables) {
  return {"movetables", "create", workflow, "--source", source, "--tables", tables};
}

class RefusalsTest : public testing::Test {
 protected:
  // What must not change: the tables of both sides, the rules and the workflows.
  std::string Everything() {
    std::string all;
    for (const uint32_t uid : {100U, 200U}) {
      for (const std::string& name : scenario_->TableNames(uid)) {
        absl::StrAppend(&all, uid, ".", name, " ");
      }
    }
    absl::StrAppend(&all, scenario_->Done({"--format", "json", "getroutingrules"}));
    for (const char* keyspace : {"commerce", "customer"}) {
      absl::StrAppend(&all, scenario_->Done({"--format", "json", "workflow", keyspace, "list"}));
    }
    return all;
  }

  void RefusedUnchanged(const std::vector<std::string>& arguments, const std::string& reason) {
    SCOPED_TRACE(reason);
    const std::string before = Everything();
    scenario_->Refused(arguments, reason);
    EXPECT_EQ(Everything(), before);
  }

  std::unique_ptr<Scenario> scenario_;
};

TEST_F(RefusalsTest, NameWhatIsWrongAndChangeNothing) {
  scenario_ = Scenario::Start({.orders = 100});
  ASSERT_NE(scenario_, nullptr);
  RefusedUnchanged(Create("customer.w", "nowhere", "customer"), "nowhere");
  RefusedUnchanged(Create("nowhere.w", "commerce", "customer"), "nowhere");
  RefusedUnchanged(Create("customer.w", "commerce", "customer,unknown_table"), "unknown_table");
  RefusedUnchanged(Create("commerce.w", "commerce", "customer"), "commerce");
  RefusedUnchanged({"movetables", "create", "customer.w", "--source", "commerce"}, "tables");
  RefusedUnchanged({"movetables", "create", "customer.w", "--source", "commerce", "--all-tables",
                    "--exclude-tables", "no_such"},
                   "no_such");
  for (const char* action : {"show", "status", "switchtraffic", "reversetraffic", "complete",
                             "cancel", "start", "stop"}) {
    RefusedUnchanged({"movetables", action, "customer.missing"}, "missing");
  }
  RefusedUnchanged({"workflow", "customer.missing", "delete"}, "missing");
  RefusedUnchanged({"workflow", "nowhere", "list"}, "nowhere");
  RefusedUnchanged({"keyspace", "create", "commerce"}, "commerce");
  RefusedUnchanged({"keyspace", "show", "nowhere"}, "nowhere");
  RefusedUnchanged({"applyroutingrules", "--rules", "{not json"}, "JSON");
  RefusedUnchanged({"applyroutingrules", "--rules",
                    R"({"rules":[{"from_table":"a","to_tables":["nowhere.b"]}]})"},
                   "nowhere");
  RefusedUnchanged({"applyroutingrules", "--rules",
                    R"({"rules":[{"from_table":"a","to_tables":["commerce.b","commerce.c"]}]})"},
                   "a");

  // Tables that can't be moved.
  scenario_->Ask(100, "CREATE TABLE keyless (a INT, b INT)");
  scenario_->Ask(100, "CREATE TABLE nullable_key (a INT, UNIQUE KEY (a))");
  scenario_->Ask(100, "CREATE VIEW a_view AS SELECT 1 AS one");
  scenario_->Ask(100, "CREATE TABLE parent (id INT PRIMARY KEY)");
  scenario_->Ask(100,
                 "CREATE TABLE child (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES parent "
                 "(id))");
  scenario_->Ask(100, "CREATE TABLE watched (id INT PRIMARY KEY)");
  scenario_->Ask(100, "CREATE TRIGGER watcher BEFORE INSERT ON watched FOR EACH ROW SET @n = 1");
  RefusedUnchanged(Create("customer.w", "commerce", "keyless"), "keyless");
  RefusedUnchanged(Create("customer.w", "commerce", "nullable_key"), "nullable_key");
  RefusedUnchanged(Create("customer.w", "commerce", "a_view"), "a_view");
  RefusedUnchanged(Create("customer.w", "commerce", "child"), "parent");
  RefusedUnchanged(Create("customer.w", "commerce", "parent"), "child");
  RefusedUnchanged(Create("customer.w", "commerce", "watched"), "watcher");
  scenario_->Ask(200, "CREATE TABLE corder (order_id BIGINT PRIMARY KEY)");
  scenario_->Ask(200, "INSERT INTO corder VALUES (1)");
  RefusedUnchanged(Create("customer.w", "commerce", "customer,corder"), "corder");
  EXPECT_EQ(scenario_->Ask(200, "SELECT COUNT(*) FROM corder")[0], "1");
  scenario_->Ask(200, "DROP TABLE corder");
}

TEST_F(RefusalsTest, KeepTheOrderOfAMove) {
  scenario_ = Scenario::Start({.orders = 3000});
  ASSERT_NE(scenario_, nullptr);
  // A copy that has not begun can't be switched.
  std::vector<std::string> create = Create(kWorkflow, "commerce", "customer,corder");
  create.emplace_back("--auto-start=false");
  scenario_->Done(create);
  RefusedUnchanged({"movetables", "switchtraffic", kWorkflow}, kWorkflow);
  RefusedUnchanged(Create(kWorkflow, "commerce", "product"), "commerce2customer");
  RefusedUnchanged(Create("customer.other", "commerce", "customer"), "customer");
  RefusedUnchanged({"movetables", "complete", kWorkflow}, "switched");
  // Repeating a command that has nothing left to do succeeds and changes nothing.
  const std::string before = Everything();
  scenario_->Done({"movetables", "reversetraffic", kWorkflow});
  EXPECT_EQ(Everything(), before);
  scenario_->Done({"movetables", "start", kWorkflow});
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));
  RefusedUnchanged({"movetables", "complete", kWorkflow}, "switched");

  // Too much lag: the stream stands still while the source is written to.
  scenario_->Done({"movetables", "stop", kWorkflow});
  scenario_->Ask(100, "UPDATE corder SET price = price + 1 WHERE order_id = 1");
  scenario_->Refused({"movetables", "switchtraffic", kWorkflow, "--max-replication-lag-allowed",
                      "1s", "--timeout", "2s"},
                     "commerce2customer");
  EXPECT_EQ(scenario_->OwnerOfOrders(), 100U);
  scenario_->Done({"movetables", "start", kWorkflow});
  ASSERT_TRUE(scenario_->AwaitRunning(kWorkflow));

  RefusedUnchanged({"movetables", "switchtraffic", kWorkflow, "--tablet-types", "master2"},
                   "master2");
  RefusedUnchanged({"movetables", "switchtraffic", kWorkflow, "--timeout", "10ms"}, "timeout");
  scenario_->Done({"movetables", "switchtraffic", kWorkflow});
  scenario_->Refused({"movetables", "cancel", kWorkflow}, "switched");
  scenario_->Refused({"workflow", "commerce.commerce2customer_reverse", "delete"},
                     "commerce2customer");
  EXPECT_EQ(scenario_->OwnerOfOrders(), 200U);
  scenario_->Done({"movetables", "complete", kWorkflow});
  scenario_->Refused({"movetables", "cancel", kWorkflow}, "commerce2customer");
  EXPECT_EQ(scenario_->OwnerOfOrders(), 200U);
}

TEST_F(RefusalsTest, UsageErrorsExitWithTwo) {
  scenario_ = Scenario::Start({.orders = 10});
  ASSERT_NE(scenario_, nullptr);
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"movetabels", "create", "customer.w"},
        {"movetables", "creat", "customer.w"},
        {"movetables", "create", "customer.w", "--sauce", "commerce"},
        {"applyroutingrules"},
        {}}) {
    const auto result = scenario_->Sluice(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.output << result.errors;
    EXPECT_FALSE(result.errors.empty());
  }
  const auto away = scenario_->Sluice({"--coordinator", "tcp://127.0.0.1:9", "gettablets"});
  EXPECT_EQ(away.exit_code, 1);
  EXPECT_NE(away.errors.find("127.0.0.1:9"), std::string::npos) << away.errors;
}

}  // namespace
}  // namespace sluice::scenario
