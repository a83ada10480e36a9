// Each command of the operator on a real cluster, and what it leaves on the servers.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "integration/scenarios/scenario.h"

namespace sluice::scenario {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kWorkflow[] = "customer.commerce2customer";
const std::vector<std::string> kCreate = {"movetables", "create",   kWorkflow,        "--source",
                                          "commerce",   "--tables", "customer,corder"};

TEST(CommandsTest, TopologyIsListed) {
  const auto scenario = Scenario::Start({.replicas = true, .orders = 10});
  ASSERT_NE(scenario, nullptr);
  EXPECT_THAT(scenario->Done({"gettablets"}),
              AllOf(HasSubstr("zone1-100"), HasSubstr("REPLICA"), HasSubstr("zone1-202")));
  EXPECT_THAT(scenario->Json({"keyspace", "list"})["keyspaces"].get<std::vector<std::string>>(),
              ElementsAre("commerce", "customer"));
  EXPECT_EQ(scenario->Json({"keyspace", "show", "commerce"})["name"], "commerce");
  scenario->Done({"keyspace", "create", "later", "--shards", "-80,80-"});
  EXPECT_EQ(scenario->Json({"keyspace", "show", "later"})["shards"].size(), 2U);
}

TEST(CommandsTest, AMoveIsShownStoppedStartedAndCancelled) {
  const auto scenario = Scenario::Start({});
  ASSERT_NE(scenario, nullptr);
  scenario->Done(kCreate);
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));
  const nlohmann::json shown = scenario->Json({"workflow", kWorkflow, "show"});
  EXPECT_EQ(shown["Workflow"], "commerce2customer");
  EXPECT_EQ(shown["Frozen"], false);
  ASSERT_TRUE(shown["ShardStatuses"].contains("0/zone1-200")) << shown.dump(2);
  const nlohmann::json& status =
      shown["ShardStatuses"]["0/zone1-200"]["PrimaryReplicationStatuses"][0];
  EXPECT_EQ(status["State"], "Running");
  EXPECT_EQ(status["DBName"], "vt_customer");
  EXPECT_EQ(status["WorkflowType"], "MoveTables");
  EXPECT_EQ(status["Bls"]["keyspace"], "commerce");
  EXPECT_THAT(status["Pos"].get<std::string>(), HasSubstr(":1-"));
  EXPECT_EQ(scenario->Json({"workflow", "customer", "list"})["workflows"],
            nlohmann::json::array({"commerce2customer"}));

  scenario->Done({"movetables", "stop", kWorkflow});
  EXPECT_THAT(scenario->Done({"movetables", "status", kWorkflow}), HasSubstr("Stopped"));
  scenario->Done({"workflow", kWorkflow, "start"});
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));
  EXPECT_THAT(scenario->TableNames(200),
              ElementsAre("_sluice_closed_corder", "_sluice_closed_customer", "corder", "customer"))
      << "the tables, and the guards of their names";
  scenario->Done({"movetables", "cancel", kWorkflow});
  EXPECT_TRUE(scenario->TableNames(200).empty());
  EXPECT_EQ(scenario->OwnerOfOrders(), 100U);
  EXPECT_EQ(scenario->Ask(200, "SELECT COUNT(*) FROM _sluice.stream")[0], "0");
}

TEST(CommandsTest, StopAfterCopyDryRunsAndOptionsOfTheEnd) {
  const auto scenario = Scenario::Start({.orders = 5000});
  ASSERT_NE(scenario, nullptr);
  std::vector<std::string> create = kCreate;
  create.emplace_back("--dry-run");
  EXPECT_THAT(scenario->Done(create), HasSubstr("corder"));
  EXPECT_TRUE(scenario->TableNames(200).empty());

  create.back() = "--stop-after-copy";
  scenario->Done(create);
  // To start a stream that copies says nothing to it: it would stop behind its copy all the same.
  const absl::Time deadline = absl::Now() + absl::Seconds(60);
  while (scenario->Ask(200, "SELECT message FROM _sluice.stream")[0] != "stopped after copy" &&
         absl::Now() < deadline) {
  }
  std::string text;
  while (text.find("Stopped") == std::string::npos && absl::Now() < deadline) {
    text = scenario->Done({"movetables", "progress", kWorkflow});
  }
  EXPECT_THAT(text, HasSubstr("Stopped"));
  EXPECT_EQ(scenario->Ask(200, "SELECT COUNT(*) FROM _sluice_closed_corder")[0], "5005");
  scenario->Done({"movetables", "start", kWorkflow});
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));

  EXPECT_THAT(scenario->Done({"movetables", "switchtraffic", kWorkflow, "--dry-run"}),
              HasSubstr("commerce"));
  EXPECT_EQ(scenario->OwnerOfOrders(), 100U);
  EXPECT_THAT(
      scenario->Done({"movetables", "switchtraffic", kWorkflow}),
      AllOf(HasSubstr("SwitchTraffic was successful for workflow customer.commerce2customer"),
            HasSubstr("Start State: Reads Not Switched. Writes Not Switched"),
            HasSubstr("Current State: All Reads Switched. Writes Switched")));
  EXPECT_EQ(scenario->Json({"workflow", "commerce", "list"})["workflows"],
            nlohmann::json::array({"commerce2customer_reverse"}));
  EXPECT_EQ(scenario->Json({"workflow", kWorkflow, "show"})["Frozen"], true);
  EXPECT_THAT(scenario->Done({"cutover", "show", kWorkflow}), HasSubstr("us"));
  // AUTO_INCREMENT goes on above what the source gave.
  EXPECT_EQ(scenario->ProxyErrno("", "INSERT INTO corder (customer_id) VALUES (7)"), 0U);
  EXPECT_EQ(scenario->Ask(200, "SELECT MAX(order_id) > 5999 FROM corder")[0], "1");
  EXPECT_THAT(scenario->Done({"movetables", "complete", kWorkflow, "--dry-run"}),
              HasSubstr("corder"));
  EXPECT_THAT(scenario->TableNames(100), Contains("_sluice_closed_corder"));
  EXPECT_THAT(scenario->Done({"movetables", "complete", kWorkflow, "--rename-tables"}),
              HasSubstr("Complete was successful for workflow customer.commerce2customer"));
  EXPECT_THAT(scenario->TableNames(100), ElementsAre("_corder_old", "_customer_old", "product"));
}

TEST(CommandsTest, WhatStaysBehindIsNamedAndForeignKeysToItCanBeLeftOut) {
  const auto scenario = Scenario::Start({.orders = 100});
  ASSERT_NE(scenario, nullptr);
  scenario->Ask(100,
                "CREATE TABLE note (id INT PRIMARY KEY, about BIGINT, friend INT, "
                "FOREIGN KEY (about) REFERENCES customer (customer_id), "
                "FOREIGN KEY (friend) REFERENCES note (id))");
  scenario->Ask(100, "INSERT INTO note VALUES (1, 1, NULL), (2, NULL, 1)");
  scenario->Ask(100, "CREATE EVENT forget ON SCHEDULE EVERY 1 DAY DISABLE DO DELETE FROM note");
  std::vector<std::string> create = {"movetables", "create",   kWorkflow, "--source",
                                     "commerce",   "--tables", "note",    "--dry-run"};
  scenario->Refused(create, "--drop-foreign-keys");
  create.emplace_back("--drop-foreign-keys");
  EXPECT_THAT(scenario->Done(create),
              AllOf(HasSubstr("The event forget of keyspace commerce names note"),
                    HasSubstr("Table note has a foreign key to customer, which is not moved")));
  EXPECT_TRUE(scenario->TableNames(200).empty());
  std::erase(create, "--dry-run");
  scenario->Done(create);
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));
  scenario->Done({"movetables", "switchtraffic", kWorkflow});
  EXPECT_THAT(scenario->Ask(200,
                            "SELECT REFERENCED_TABLE_NAME FROM "
                            "information_schema.REFERENTIAL_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = "
                            "'vt_customer'"),
              ElementsAre("note"));
  EXPECT_THAT(scenario->Ask(200, "SELECT COUNT(*), SUM(about), SUM(friend) FROM note"),
              ElementsAre("2|1|1"));
  // About a customer that does not exist.
  EXPECT_EQ(scenario->ProxyErrno("", "INSERT INTO note VALUES (3, 987654321, 2)"), 0U);
  scenario->Done({"movetables", "complete", kWorkflow});
}

TEST(CommandsTest, KeptDataAndKeptRulesStay) {
  const auto scenario = Scenario::Start({.orders = 100});
  ASSERT_NE(scenario, nullptr);
  scenario->Done(kCreate);
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));
  scenario->Done({"movetables", "cancel", kWorkflow, "--keep-data"});
  EXPECT_THAT(scenario->TableNames(200), ElementsAre("corder", "customer"));
  EXPECT_EQ(scenario->Ask(200, "SELECT COUNT(*) FROM corder")[0], "105");
  scenario->Ask(200, "DROP TABLE corder, customer");

  scenario->Done({"movetables", "create", kWorkflow, "--source", "commerce", "--all-tables",
                  "--exclude-tables", "product"});
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));
  scenario->Done({"movetables", "switchtraffic", kWorkflow, "--enable-reverse-replication=false"});
  scenario->Done({"movetables", "complete", kWorkflow, "--keep-data", "--keep-routing-rules"});
  EXPECT_THAT(scenario->TableNames(100), ElementsAre("corder", "customer", "product"));
  EXPECT_EQ(scenario->Json({"getroutingrules"})["rules"].size(), 16U);
  EXPECT_EQ(scenario->ProxyErrno("", "INSERT INTO corder VALUES (777777, 1, 'x', 1)"), 0U);
  EXPECT_EQ(scenario->Ask(200, "SELECT COUNT(*) FROM corder WHERE order_id = 777777")[0], "1");
  EXPECT_EQ(scenario->Ask(100, "SELECT COUNT(*) FROM corder WHERE order_id = 777777")[0], "0");
}

TEST(CommandsTest, TheClosedSideTakesNoWriteFromAnybody) {
  const auto scenario = Scenario::Start({.orders = 100});
  ASSERT_NE(scenario, nullptr);
  scenario->Done(kCreate);
  ASSERT_TRUE(scenario->AwaitRunning(kWorkflow));
  scenario->Done({"movetables", "switchtraffic", kWorkflow});
  auto straight = scenario->cluster().ConnectMysqld(100);
  ASSERT_TRUE(straight.ok());
  for (const char* sql : {"INSERT INTO corder VALUES (888888, 1, 'x', 1)", "TRUNCATE TABLE corder",
                          "SELECT * FROM corder", "DELETE FROM customer"}) {
    EXPECT_FALSE((*straight)->Query(sql).ok()) << sql;
  }
  // Restarted, it stays closed.
  ASSERT_TRUE(scenario->cluster().Kill("mysqld-100").ok());
  const absl::Status started = scenario->cluster().Start("mysqld-100");
  ASSERT_TRUE(started.ok()) << started;
  straight = scenario->cluster().ConnectMysqld(100);
  ASSERT_TRUE(straight.ok());
  EXPECT_FALSE((*straight)->Query("INSERT INTO corder VALUES (888888, 1, 'x', 1)").ok());
}

}  // namespace
}  // namespace sluice::scenario
