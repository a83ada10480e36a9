// Every kind of statement that a proxy with an old rule sends to a gate that is closed: it waits
// for the new rule and succeeds there. What only looks like a closed gate reaches the client.

#include <atomic>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "agent/gate/gate_keeper.h"
#include "agent/session/session_pool.h"
#include "agent/sidecar/installer.h"
#include "gmock/gmock.h"
#include "tests/proxy/proxy_fixture.h"
#include "tests/testing/temp_dir.h"

namespace sluice::proxy {
namespace {

using ::testing::HasSubstr;

// How the gate of commerce stands when the statement comes.
enum class Stands { kClosed, kGuarded, kReadable, kServer };

// By what a gate that may be read still answers the statement itself.
enum class Answers { kNever, kReadable, kReadableAndServer, kServer };

struct StatementKind {
  const char* name;
  const char* sql;
  Answers answers;
  // Of the new side, once the statement has moved there.
  const char* check;
  const char* expected;
};

constexpr const char* kPrice = "SELECT price FROM corder WHERE id = 2";
constexpr const char* kCount = "SELECT COUNT(*) FROM corder";
constexpr const char* kShape =
    "SELECT COUNT(*) FROM information_schema.STATISTICS s JOIN information_schema.COLUMNS c USING"
    " (TABLE_SCHEMA, TABLE_NAME) WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'corder'";

constexpr StatementKind kStatements[] = {
    {"Select", "SELECT price FROM corder WHERE id = 2", Answers::kReadableAndServer, kPrice, "30"},
    {"SelectForUpdate", "SELECT price FROM corder FOR UPDATE", Answers::kReadable, kPrice, "30"},
    {"SelectForShare", "SELECT price FROM corder FOR SHARE", Answers::kReadableAndServer, kPrice,
     "30"},
    {"SelectByIndexHint", "SELECT price FROM corder FORCE INDEX (PRIMARY) WHERE id = 2",
     Answers::kServer, kPrice, "30"},
    {"CommonTable", "WITH c AS (SELECT * FROM corder) SELECT price FROM c",
     Answers::kReadableAndServer, kPrice, "30"},
    {"Table", "TABLE corder", Answers::kReadableAndServer, kPrice, "30"},
    {"Explain", "EXPLAIN SELECT * FROM corder", Answers::kReadableAndServer, kPrice, "30"},
    {"ExplainUpdate", "EXPLAIN UPDATE corder SET price = 1", Answers::kNever, kPrice, "30"},
    {"Insert", "INSERT INTO corder VALUES (50, 1, 1)", Answers::kNever, kCount, "3"},
    {"InsertColumns", "INSERT INTO corder (id, price) VALUES (50, 1)", Answers::kNever, kCount,
     "3"},
    {"InsertSet", "INSERT INTO corder SET id = 50", Answers::kNever, kCount, "3"},
    {"InsertIgnore", "INSERT IGNORE INTO corder VALUES (2, 1, 1), (50, 1, 1)", Answers::kNever,
     kCount, "3"},
    {"InsertOrUpdate", "INSERT INTO corder VALUES (2, 1, 1) ON DUPLICATE KEY UPDATE price = 31",
     Answers::kNever, kPrice, "31"},
    {"InsertSelect", "INSERT INTO corder SELECT id + 10, customer_id, price FROM corder",
     Answers::kNever, kCount, "4"},
    {"Replace", "REPLACE INTO corder VALUES (2, 1, 31)", Answers::kNever, kPrice, "31"},
    {"ReplaceSelect", "REPLACE INTO corder SELECT id, customer_id, price + 1 FROM corder",
     Answers::kNever, kPrice, "31"},
    {"Update", "UPDATE corder SET price = 31 WHERE id = 2", Answers::kNever, kPrice, "31"},
    {"UpdateLimit", "UPDATE corder SET price = 31 ORDER BY id DESC LIMIT 1", Answers::kNever,
     kPrice, "31"},
    {"UpdateIgnore", "UPDATE IGNORE corder SET price = 31", Answers::kNever, kPrice, "31"},
    {"UpdateTwo",
     "UPDATE corder JOIN customer ON customer.id = customer_id SET price = 31, email = 'x'",
     Answers::kNever, kPrice, "31"},
    {"UpdateByHint", "UPDATE corder FORCE INDEX (PRIMARY) SET price = 31 WHERE id = 2",
     Answers::kNever, kPrice, "31"},
    {"UpdateWith", "WITH c AS (SELECT 2 AS id) UPDATE corder JOIN c USING (id) SET price = 31",
     Answers::kNever, kPrice, "31"},
    {"Delete", "DELETE FROM corder WHERE id = 1", Answers::kNever, kCount, "1"},
    {"DeleteLimit", "DELETE FROM corder ORDER BY id LIMIT 1", Answers::kNever, kCount, "1"},
    {"DeleteIgnore", "DELETE IGNORE FROM corder", Answers::kNever, kCount, "0"},
    {"DeleteOfTwo",
     "DELETE corder FROM corder JOIN customer ON customer.id = customer_id WHERE corder.id = 1",
     Answers::kNever, kCount, "1"},
    {"DeleteOfBoth",
     "DELETE corder, customer FROM corder JOIN customer ON customer.id = customer_id",
     Answers::kNever, kCount, "0"},
    {"DeleteUsing", "DELETE FROM corder USING corder JOIN customer ON customer.id = customer_id",
     Answers::kNever, kCount, "0"},
    {"Truncate", "TRUNCATE TABLE corder", Answers::kNever, kCount, "0"},
    {"Load", "LOAD DATA INFILE '$FILE' INTO TABLE corder", Answers::kNever, kCount, "3"},
    {"LoadReplace", "LOAD DATA INFILE '$FILE' REPLACE INTO TABLE corder", Answers::kNever, kCount,
     "3"},
    {"Alter", "ALTER TABLE corder ADD COLUMN more INT", Answers::kNever, kShape, "4"},
    {"CreateIndex", "CREATE INDEX by_price ON corder (price)", Answers::kNever, kShape, "6"},
    {"Drop", "DROP TABLE corder", Answers::kNever, kShape, "0"},
};

class ClosedGateTest : public ProxyFixture {
 protected:
  static constexpr const char* kFileMark = "$FILE";

  void SetUp() override {
    ProxyFixture::SetUp();
    // The whole server is only closed where nothing else is on it, and stops no CONNECTION_ADMIN.
    spec_.keyspaces = {"commerce", "customer"};
    std::erase_if(spec_.tablets, [](const Tablet& tablet) { return tablet.keyspace == "wide"; });
    OnFirst({"DROP DATABASE vt_wide_0", "DROP TABLE product",
             "REVOKE SUPER, CONNECTION_ADMIN ON *.* FROM router@'%'"});
    StopProxy();  // its sessions had more privileges
    coordinator_->Publish(spec_);
    StartProxy();
    pool_ = std::make_unique<agent::SessionPool>(first_->Root());
    keeper_ = std::make_unique<gate::GateKeeper>(*pool_);
    auto session = pool_->Borrow();
    ASSERT_TRUE(session.ok()) << session.status();
    const absl::Status installed =
        sidecar::InstallSidecar(**session, "vt_commerce", sidecar::Migrations());
    ASSERT_TRUE(installed.ok()) << installed;
    std::ofstream(file_) << "70\t1\t5\n";
  }

  void OnFirst(const std::vector<std::string>& statements) {
    Run(*first_, "vt_commerce", statements);
  }
  static void Run(const testing::Mysqld& server, const std::string& database,
                  const std::vector<std::string>& statements) {
    const auto connection = Direct(server, database);
    for (const std::string& sql : statements) {
      const auto done = connection->Execute(sql);
      ASSERT_TRUE(done.ok()) << sql << ": " << done.status();
    }
  }

  void SetGate(gate::State wanted, bool server = false) {
    const gate::GateChange change = {
        .id = kGate,
        .tables = {"corder", "customer"},
        .wanted = wanted,
        .epoch = ++epoch_,
        .lock_wait = absl::Seconds(5),
        .marker_id = "",
        .cutover_id = "",
        .journal = "",
        .kind = server ? gate::GateKind::kServer : gate::GateKind::kTables};
    const auto set = keeper_->Set(change, absl::Now() + absl::Seconds(20));
    ASSERT_TRUE(set.ok()) << set.status();
  }

  void Bring(Stands stands) {
    SetGate(stands == Stands::kReadable ? gate::State::kReadable : gate::State::kClosed,
            stands == Stands::kServer);
    if (stands == Stands::kGuarded) {
      const absl::Status guarded = keeper_->Guard(kGate, absl::Now() + absl::Seconds(20));
      ASSERT_TRUE(guarded.ok()) << guarded;
    }
  }

  // The new side as it is before each statement.
  void FillTarget() {
    Run(*second_, "vt_customer",
        {"DROP TABLE IF EXISTS corder, customer",
         "CREATE TABLE customer (id INT PRIMARY KEY AUTO_INCREMENT, email VARCHAR(64))",
         "CREATE TABLE corder (id INT PRIMARY KEY, customer_id INT, price INT)",
         "INSERT INTO customer VALUES (1, 'a@x'), (2, 'b@x')",
         "INSERT INTO corder VALUES (1, 1, 100), (2, 2, 30)"});
  }

  static bool AnsweredBy(const StatementKind& kind, Stands stands) {
    switch (kind.answers) {
      case Answers::kNever:
        return false;
      case Answers::kReadable:
        return stands == Stands::kReadable;
      case Answers::kServer:
        return stands == Stands::kServer;
      case Answers::kReadableAndServer:
        return stands == Stands::kReadable || stands == Stands::kServer;
    }
    return false;
  }

  // Sends the statement by the old rule; publishes the new one when it is held.
  void Try(const StatementKind& kind, bool answered) {
    FillTarget();
    spec_.rules = routing::RulesOfMove(Move(false));
    Publish();
    auto client = MustConnect("commerce");
    std::string sql = kind.sql;
    if (const size_t at = sql.find(kFileMark); at != std::string::npos) {
      sql.replace(at, std::string(kFileMark).size(), file_);
    }
    unsigned error = 1;
    std::string message;
    std::atomic<bool> over = false;
    bool held = false;
    {
      const std::jthread sender([&] {
        error = ErrorOfStatement(*client, sql, &message);
        over = true;
      });
      while (!over && !held) {
        held = traffic_->acknowledgement().held_statements == 1;
      }
      spec_.rules = routing::RulesOfMove(Move(true));
      Publish();
    }
    EXPECT_EQ(held, !answered);
    EXPECT_EQ(error, 0U) << message;
    EXPECT_EQ(Scalar(*Direct(*second_, "vt_customer"), kind.check), kind.expected);
  }

  void TryAll(Stands stands) {
    Bring(stands);
    ASSERT_FALSE(HasFailure());
    for (const StatementKind& kind : kStatements) {
      SCOPED_TRACE(kind.name);
      Try(kind, AnsweredBy(kind, stands));
    }
    // Nothing of it has reached the old side.
    SetGate(gate::State::kOpen);
    auto source = Direct(*first_, "vt_commerce");
    EXPECT_EQ(Scalar(*source, "SELECT GROUP_CONCAT(id, ' ', customer_id, ' ', price) FROM corder"),
              "1 1 100,2 2 30");
    EXPECT_EQ(Scalar(*source, "SELECT GROUP_CONCAT(id, email) FROM customer"), "1a@x,2b@x");
  }

  // With the rules confirmed, the client is told, and not for lack of time.
  void ExpectTold(const std::string& sql, unsigned expected) {
    std::string message;
    auto client = MustConnect("commerce");
    const absl::Time began = absl::Now();
    EXPECT_EQ(ErrorOfStatement(*client, sql, &message), expected) << sql << ": " << message;
    EXPECT_LT(absl::Now() - began, absl::Seconds(5)) << sql;
  }

  inline static const gate::GateId kGate{.workflow = "customer.move", .database = "vt_commerce"};
  const testing::TempDir folder_;
  const std::string file_ = folder_.File("rows");
  std::unique_ptr<agent::SessionPool> pool_;
  std::unique_ptr<gate::GateKeeper> keeper_;
  uint64_t epoch_ = 0;
};

TEST_F(ClosedGateTest, MovesEveryKindOfStatementOverFromClosedTables) {
  TryAll(Stands::kClosed);
}

TEST_F(ClosedGateTest, MovesEveryKindOfStatementOverFromGuardedNames) {
  TryAll(Stands::kGuarded);
}

TEST_F(ClosedGateTest, MovesAllThatWritesOverFromReadableTables) {
  TryAll(Stands::kReadable);
}

TEST_F(ClosedGateTest, MovesAllThatWritesOverFromAClosedServer) {
  TryAll(Stands::kServer);
}

// Kinds whose tables the proxy does not see, or that would stay on one side, never come to a gate.
TEST_F(ClosedGateTest, WhatAProxyRefusesItRefusesAtOnce) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  Bring(Stands::kGuarded);
  ExpectTold("PREPARE p FROM 'UPDATE corder SET price = 1'", 1295);
  ExpectTold("EXECUTE p", 1295);
  ExpectTold("LOCK TABLES corder WRITE", 1235);
  ExpectTold("HANDLER corder OPEN", 1235);
  ExpectTold("LOAD DATA LOCAL INFILE 'x' INTO TABLE corder", 3948);
}

TEST_F(ClosedGateTest, TheSameErrorsOfOtherCauseReachTheClient) {
  spec_.rules = routing::RulesOfMove(Move(false));
  Publish();
  ExpectTold("SELECT * FROM corder FORCE INDEX (nosuch)", 1176);
  ExpectTold("DROP VIEW corder", 1347);
  // An application's own views under the names of the rules.
  OnFirst({"RENAME TABLE corder TO elsewhere", "CREATE USER weak@localhost",
           "CREATE DEFINER = weak@localhost VIEW corder AS SELECT id, price FROM elsewhere"});
  ExpectTold("SELECT * FROM corder", 1356);
  ExpectTold("EXPLAIN SELECT * FROM corder", 1356);
  ExpectTold("ALTER TABLE corder ADD COLUMN x INT", 1347);
  ExpectTold("DROP TABLE corder", 1051);
  OnFirst({"DROP VIEW corder", "CREATE VIEW corder AS SELECT DISTINCT id, price FROM elsewhere"});
  ExpectTold("UPDATE corder SET price = 1", 1288);
  ExpectTold(absl::StrCat("LOAD DATA INFILE '", file_, "' INTO TABLE corder"), 1288);
  OnFirst({"DROP VIEW corder", "CREATE VIEW corder AS SELECT 1 AS id", "DROP TABLE elsewhere"});
  OnFirst({"DROP VIEW corder"});
  ExpectTold("SELECT * FROM corder", 1146);
}

// A procedure's first statements may be committed when a later one meets the gate.
TEST_F(ClosedGateTest, ACallIsNotRepeated) {
  OnFirst({"CREATE TABLE log (at INT)",
           "CREATE PROCEDURE both_tables() BEGIN INSERT INTO log"
           " VALUES (1); INSERT INTO corder VALUES (60, 1, 1); END"});
  spec_.shard_rules = {{"customer", "0", "commerce"}};
  Publish();
  auto client = MustConnect("customer");
  EXPECT_EQ(ErrorOfStatement(*client, "CALL both_tables()"), 0U);
  SetGate(gate::State::kClosed);
  EXPECT_EQ(ErrorOfStatement(*client, "CALL both_tables()"), 1146U);
  EXPECT_EQ(Scalar(*Direct(*first_, "vt_commerce"), "SELECT COUNT(*) FROM log"), "2");
}

}  // namespace
}  // namespace sluice::proxy
