// A gate that closes the whole server, on a real mysqld.

#include "agent/gate/server_gate.h"

#include <gmock/gmock.h>

#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "agent/gate/counters.h"
#include "agent/health/probe.h"
#include "common/base/status.h"
#include "tests/agent/gate/server_gate_fixture.h"

namespace sluice::gate {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST_F(ServerGateTest, ClosesOpensAndKeepsItsStateOverARestart) {
  EXPECT_EQ(Obstacles(), "");
  const auto closed = Close(1);
  ASSERT_TRUE(closed.ok()) << closed.status();
  EXPECT_EQ(closed->state, State::kClosed);
  ExpectClosed();
  EXPECT_EQ(Scalar("SELECT CONCAT(state, wanted, epoch, kind) FROM _sluice.gate"),
            "readableclosed1server");
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM _sluice.marker"), "1");
  EXPECT_EQ(Scalar(absl::StrCat("SELECT GTID_SUBSET('", closed->gtid_executed,
                                "', @@GLOBAL.gtid_executed)")),
            "1");
  mysqld_->Kill();
  ASSERT_TRUE(mysqld_->Restart().ok());
  auto again = mysql::Connection::Connect(mysqld_->Root());
  ASSERT_TRUE(again.ok()) << again.status();
  root_ = *std::move(again);
  ExpectClosed();
  ASSERT_TRUE(Close(1).ok()) << "the same request again";
  // Whoever opens it need not know how it was closed.
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  EXPECT_EQ(Persisted(), "000");
  EXPECT_EQ(ReadState(), State::kOpen);
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
  mysqld_->Kill();
  ASSERT_TRUE(mysqld_->Restart().ok());
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
}

TEST_F(ServerGateTest, TheAgentWritesBehindItAndIsStillThePrimarys) {
  ASSERT_TRUE(Close(1).ok());
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  // As the stream back does: under the names that the tables have.
  EXPECT_TRUE((*session)->Execute("REPLACE INTO vt_commerce.customer VALUES (7, 'g@x')").ok());
  auto facts = agent::ReadFacts(**session);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_TRUE(facts->closed_by_gate);
  EXPECT_EQ(agent::EffectiveType(*facts, routing::TabletType::kPrimary),
            routing::TabletType::kPrimary);
  // What else is read-only is no PRIMARY.
  Root("SET GLOBAL super_read_only = ON");
  facts = agent::ReadFacts(**session);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_EQ(agent::EffectiveType(*facts, routing::TabletType::kPrimary),
            routing::TabletType::kReplica);
  Root("SET GLOBAL super_read_only = OFF");
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  Root("SET GLOBAL read_only = ON");
  facts = agent::ReadFacts(**session);
  ASSERT_TRUE(facts.ok()) << facts.status();
  EXPECT_FALSE(facts->closed_by_gate);
  EXPECT_EQ(agent::EffectiveType(*facts, routing::TabletType::kPrimary),
            routing::TabletType::kReplica);
}

TEST_F(ServerGateTest, CountersOfItsTablesAreRaisedBehindItAndNowhereElse) {
  const CounterRequest raise{.id = kId, .tables = {"corder"}, .at_least = {5000}};
  EXPECT_TRUE(absl::IsFailedPrecondition(RaiseCounters(*keeper_, raise).status()));
  ASSERT_TRUE(Close(1).ok());
  const auto raised = RaiseCounters(*keeper_, raise);
  ASSERT_TRUE(raised.ok()) << raised.status();
  EXPECT_THAT(*raised, ElementsAre(5000));
  ExpectClosed();
  // Somebody has opened the server behind the gate's back, or the gate has.
  Root("SET GLOBAL read_only = OFF");
  const CounterRequest more{.id = kId, .tables = {"corder"}, .at_least = {9000}};
  EXPECT_TRUE(absl::IsFailedPrecondition(RaiseCounters(*keeper_, more).status()));
  Root("SET GLOBAL read_only = ON");
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(RaiseCounters(*keeper_, more).status()));
  Root("INSERT INTO vt_commerce.corder (customer_id) VALUES (1)");
  EXPECT_EQ(Scalar("SELECT MAX(id) FROM vt_commerce.corder"), "5000");
}

// read_only would let it go on and fail at its COMMIT.
TEST_F(ServerGateTest, ATransactionThatHasWrittenIsWaitedForAndOneThatReadsIsNot) {
  const auto app = App();
  ASSERT_TRUE(app->Execute("BEGIN").ok());
  ASSERT_TRUE(app->Execute("UPDATE corder SET customer_id = customer_id + 0 WHERE id = 1").ok());
  const auto reader = App();
  ASSERT_TRUE(reader->Execute("BEGIN").ok());
  ASSERT_TRUE(reader->QueryScalar("SELECT COUNT(*) FROM corder").ok());
  GateChange change = Server(State::kClosed, 1);
  change.lock_wait = absl::Milliseconds(300);
  const absl::Status blocked = keeper_->Set(change, Soon()).status();
  EXPECT_EQ(blocked.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(blocked.message()),
              HasSubstr(absl::StrCat("connection ", app->connection_id(), " (app@")));
  EXPECT_THAT(std::string(blocked.message()),
              ::testing::Not(HasSubstr(absl::StrCat("connection ", reader->connection_id(), " "))));
  EXPECT_EQ(Persisted(), "000");
  EXPECT_TRUE(app->Execute("COMMIT").ok());
  ASSERT_TRUE(Close(1).ok());
  ExpectClosed();
  EXPECT_TRUE(reader->QueryScalar("SELECT COUNT(*) FROM corder").ok());
  EXPECT_TRUE(reader->Execute("COMMIT").ok());
}

TEST_F(ServerGateTest, WaitsForXaTransactions) {
  ASSERT_TRUE(Close(1).ok());
  // XA PREPARE and XA COMMIT would come through, so they are waited for.
  const auto xa = App();
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  ASSERT_TRUE(xa->Execute("XA START 'late'").ok());
  ASSERT_TRUE(xa->Execute("INSERT INTO corder (customer_id) VALUES (1)").ok());
  ASSERT_TRUE(xa->Execute("XA END 'late'").ok());
  const std::string named =
      absl::StrCat("XA transactions run on connection(s) ", xa->connection_id());
  EXPECT_THAT(Obstacles(), HasSubstr(named));
  EXPECT_EQ(Close(3).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Persisted(), "000");
  // Such a one that begins between that look and the close is found by the look behind it.
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  auto open = FindOpenXa(**session);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_THAT(*open, ElementsAre(HasSubstr(named)));
  ASSERT_TRUE(xa->Execute("XA PREPARE 'late'").ok());
  open = FindOpenXa(**session);
  ASSERT_TRUE(open.ok()) << open.status();
  EXPECT_THAT(absl::StrJoin(*open, ";"), HasSubstr("1 XA transaction(s) are prepared"));
  ASSERT_TRUE(xa->Execute("XA ROLLBACK 'late'").ok());
  ASSERT_TRUE(Close(4).ok());
  EXPECT_EQ(Scalar("SELECT COUNT(*) FROM vt_commerce.corder"), "3");
}

TEST_F(ServerGateTest, NamesTheStatementThatWritesAndGivesUpAtItsBound) {
  const auto app = App();
  absl::Status writer;
  std::jthread writing([&] {
    writer = app->Execute("UPDATE customer SET email = IF(SLEEP(3), email, email) WHERE id = 1")
                 .status();
  });
  for (const absl::Time until = Soon();
       absl::Now() < until && Scalar("SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE"
                                     " STATE = 'User sleep'") == "0";) {
  }
  GateChange change = Server(State::kClosed, 1);
  change.lock_wait = absl::Milliseconds(300);
  const absl::Time began = absl::Now();
  const absl::Status status = keeper_->Set(change, Soon()).status();
  EXPECT_LT(absl::Now() - began, absl::Seconds(2));
  EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(status.message()),
              HasSubstr(absl::StrCat("connection ", app->connection_id(), " (app@")));
  EXPECT_THAT(std::string(status.message()), HasSubstr("SLEEP(3)"));
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U) << "others are stuck";
  writing.join();
  EXPECT_TRUE(writer.ok()) << writer;
  EXPECT_EQ(Persisted(), "000");
  EXPECT_EQ(Scalar("SELECT CONCAT(state, kind) FROM _sluice.gate"), "opentables");
}

TEST_F(ServerGateTest, RefusesWhereItWouldStopOthersOrNotStopSomebody) {
  Root("CREATE DATABASE other");
  Root("CREATE TABLE other.t (id INT PRIMARY KEY)");
  EXPECT_THAT(Obstacles(), HasSubstr("other databases (other)"));
  const absl::Status refused = Close(1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Persisted(), "000");
  Root("DROP DATABASE other");

  Root("CREATE TABLE vt_commerce.stays (id INT PRIMARY KEY)");
  EXPECT_THAT(Obstacles(), HasSubstr("do not move (stays)"));
  Root("DROP TABLE vt_commerce.stays");

  Root("CREATE USER admin@'%'");
  Root("GRANT CONNECTION_ADMIN ON *.* TO admin@'%'");
  EXPECT_THAT(Obstacles(), HasSubstr("does not stop account(s) admin@%"));
  Root("DROP USER admin@'%'");
  Root("CREATE ROLE mighty");
  Root("GRANT SUPER ON *.* TO mighty");
  EXPECT_EQ(Obstacles(), "") << "nobody has the role";
  Root("GRANT mighty TO app@'%'");
  EXPECT_THAT(Obstacles(), HasSubstr("mighty@%"));
  Root("DROP ROLE mighty");

  Root(
      "CREATE DEFINER = root@localhost PROCEDURE vt_commerce.p() SQL SECURITY DEFINER"
      " DELETE FROM corder");
  EXPECT_THAT(Obstacles(), HasSubstr("routine p"));
  Root("DROP PROCEDURE vt_commerce.p");
  Root(
      "CREATE DEFINER = root@localhost EVENT vt_commerce.e ON SCHEDULE EVERY 1 DAY DO"
      " DELETE FROM vt_commerce.corder");
  EXPECT_THAT(Obstacles(), HasSubstr("event e"));
  Root("DROP EVENT vt_commerce.e");

  for (const char* sql : {"XA START 'x'", "INSERT INTO customer (email) VALUES ('x')", "XA END 'x'",
                          "XA PREPARE 'x'"}) {
    Root(sql);
  }
  EXPECT_THAT(Obstacles(), HasSubstr("1 XA transaction(s) are prepared"));
  Root("XA ROLLBACK 'x'");
  EXPECT_EQ(Obstacles(), "");
  ASSERT_TRUE(Close(2).ok());
}

TEST_F(ServerGateTest, NamesThePrivilegesThatItNeeds) {
  Root("REVOKE CONNECTION_ADMIN ON *.* FROM sluice@localhost");
  Root("REVOKE SELECT ON mysql.* FROM sluice@localhost");
  EXPECT_THAT(Obstacles(), HasSubstr("lacks CONNECTION_ADMIN on *.*; SELECT on `mysql`.*; GRANT"
                                     " CONNECTION_ADMIN ON *.* TO 'sluice'@'localhost'; GRANT"
                                     " SELECT ON `mysql`.* TO 'sluice'@'localhost'"));
  EXPECT_EQ(Close(1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Persisted(), "000");
}

// mysqld leaves out, without a word, what the account or the session may not see.
TEST_F(ServerGateTest, IsNeverClosedBlindly) {
  Root("CREATE DATABASE other");
  for (const auto& [privilege, object] :
       {std::pair<std::string, std::string>{"SHOW DATABASES", "*.*"},
        {"SHOW_ROUTINE", "*.*"},
        {"EVENT", "`vt\\_commerce`.*"}}) {
    Root(absl::StrCat("REVOKE ", privilege, " ON ", object, " FROM sluice@localhost"));
    EXPECT_THAT(Obstacles(), HasSubstr(absl::StrCat("lacks ", privilege)));
    EXPECT_EQ(Close(1).status().code(), absl::StatusCode::kFailedPrecondition);
    // A session of the pool that is older than the grant is not the one that looks.
    Root(absl::StrCat("GRANT ", privilege, " ON ", object, " TO sluice@localhost"));
    EXPECT_THAT(Obstacles(), HasSubstr("other databases (other)"));
  }
  Root("DROP DATABASE other");
  EXPECT_EQ(Obstacles(), "");
  // Of what performance_schema does not watch nobody knows whether it is an XA transaction.
  const std::string consumer =
      "UPDATE performance_schema.setup_consumers SET ENABLED = '%s' WHERE NAME ="
      " 'events_transactions_current'";
  Root(absl::StrReplaceAll(consumer, {{"%s", "NO"}}));
  EXPECT_THAT(Obstacles(), HasSubstr("does not watch consumer events_transactions_current"));
  EXPECT_EQ(Close(1).status().code(), absl::StatusCode::kFailedPrecondition);
  Root(absl::StrReplaceAll(consumer, {{"%s", "YES"}}));
  const auto app = App();
  Root(
      absl::StrCat("UPDATE performance_schema.threads SET INSTRUMENTED = 'NO' WHERE"
                   " PROCESSLIST_ID = ",
                   app->connection_id()));
  EXPECT_THAT(Obstacles(), HasSubstr(absl::StrCat("connection ", app->connection_id())));
  EXPECT_EQ(Close(1).status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Persisted(), "000");
}

TEST_F(ServerGateTest, IsClosedAgainWhereTheRecordHasComeWithoutTheServersState) {
  ASSERT_TRUE(Close(1).ok());
  // As a replica is that takes over: it has the record, and was made writable.
  Root("RESET PERSIST read_only");
  Root("SET GLOBAL read_only = OFF");
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  ASSERT_TRUE(KeepServerClosed(**session).ok());
  ExpectClosed();
  ASSERT_TRUE(Set(State::kOpen, 2).ok());
  ASSERT_TRUE(KeepServerClosed(**session).ok());
  EXPECT_EQ(Persisted(), "000");
}

TEST_F(ServerGateTest, DoesNotOpenAServerThatFollowsAnotherOneMeanwhile) {
  ASSERT_TRUE(Close(1).ok());
  auto session = pool_->Borrow();
  ASSERT_TRUE(session.ok()) << session.status();
  // A failover comes between the look at the records and the statement.
  Root("SET GLOBAL super_read_only = ON");
  ASSERT_TRUE((*session)->Execute(std::string(kOpenServer)).ok());
  EXPECT_EQ(Scalar("SELECT CONCAT(@@GLOBAL.read_only, @@GLOBAL.super_read_only)"), "11");
  Root("SET GLOBAL super_read_only = OFF");
  ASSERT_TRUE((*session)->Execute(std::string(kOpenServer)).ok());
  EXPECT_EQ(Scalar("SELECT CONCAT(@@GLOBAL.read_only, @@GLOBAL.super_read_only)"), "00");
}

TEST_F(ServerGateTest, EndsWithItsTablesAndLeavesTheServerWritable) {
  ASSERT_TRUE(Close(1).ok());
  const auto dropped = DropTables(
      *keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kDrop, .epoch = 2}, Soon());
  ASSERT_TRUE(dropped.ok()) << dropped.status();
  EXPECT_THAT(*dropped, ElementsAre("corder", "customer"));
  EXPECT_EQ(Tables(), "");
  EXPECT_EQ(Persisted(), "000");
  EXPECT_EQ(Scalar("SELECT state FROM _sluice.gate"), "forgotten");
}

TEST_F(ServerGateTest, GivesTheTablesBackWithTheServer) {
  ASSERT_TRUE(Close(1).ok());
  const auto kept = DropTables(
      *keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kKeep, .epoch = 2}, Soon());
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(Tables(), "corder,customer");
  EXPECT_EQ(Persisted(), "000");
  EXPECT_EQ(AppErrno("INSERT INTO corder (customer_id) VALUES (1)"), 0U);
}

TEST_F(ServerGateTest, DropsNothingWhereSomebodyHasOpenedTheServer) {
  ASSERT_TRUE(Close(1).ok());
  Root("SET GLOBAL read_only = OFF");
  const absl::Status refused =
      DropTables(*keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kDrop, .epoch = 2},
                 Soon())
          .status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Tables(), "corder,customer");
}

TEST_F(ServerGateTest, IsCarriedToItsEndAfterACrashAnywhere) {
  uint64_t epoch = 0;
  for (const char* point : {"gate.after_intent", "server.locked", "gate.after_rename",
                            "server.unlocked", "gate.after_marker", "gate.after_outcome"}) {
    for (const bool forward : {true, false}) {
      SCOPED_TRACE(absl::StrCat(point, forward ? " forward" : " back"));
      ASSERT_TRUE(Set(State::kOpen, ++epoch).ok());
      ++epoch;
      ASSERT_TRUE(CrashAt(point, absl::StrCat("set closed ", epoch, " m server")));
      const auto settled = forward ? Close(epoch) : Set(State::kOpen, ++epoch);
      ASSERT_TRUE(settled.ok()) << settled.status();
      EXPECT_EQ(Persisted(), forward ? "101" : "000");
      EXPECT_EQ(ReadState(), forward ? State::kReadable : State::kOpen);
      if (forward) {
        ASSERT_TRUE(CrashAt(point, absl::StrCat("set open ", ++epoch)));
        ASSERT_TRUE(Set(State::kOpen, epoch).ok());
        EXPECT_EQ(Persisted(), "000");
        EXPECT_EQ(Scalar("SELECT CONCAT(state, kind) FROM _sluice.gate"), "opentables");
      }
    }
  }
}

TEST_F(ServerGateTest, OneThatDiesHalfOpenIsOpenedByTheRepeatAlsoAfterARestartOfMysqld) {
  uint64_t epoch = 0;
  for (const bool restart : {false, true}) {
    SCOPED_TRACE(restart);
    ASSERT_TRUE(Close(++epoch).ok());
    ASSERT_TRUE(CrashAt("server.forgotten", absl::StrCat("set open ", ++epoch)));
    EXPECT_EQ(Persisted(), "100");
    if (restart) {  // nothing is persisted, so it comes back writable, as the intent wants it
      mysqld_->Kill();
      ASSERT_TRUE(mysqld_->Restart().ok());
      auto again = mysql::Connection::Connect(mysqld_->Root());
      ASSERT_TRUE(again.ok()) << again.status();
      root_ = *std::move(again);
      auto session = pool_->Borrow();
      ASSERT_TRUE(session.ok()) << session.status();
      ASSERT_TRUE(KeepServerClosed(**session).ok());
      EXPECT_EQ(Persisted(), "000");
    }
    const auto opened = Set(State::kOpen, epoch);
    ASSERT_TRUE(opened.ok()) << opened.status();
    EXPECT_EQ(Persisted(), "000");
    EXPECT_EQ(ReadState(), State::kOpen);
    EXPECT_EQ(Scalar("SELECT CONCAT(state, kind) FROM _sluice.gate"), "opentables");
  }
}

TEST_F(ServerGateTest, EndsWithTheServerWritableAfterACrashWhileItLetsGo) {
  uint64_t epoch = 0;
  for (const char* point : {"server.letting_go", "server.ending", "server.let_go"}) {
    SCOPED_TRACE(point);
    ASSERT_TRUE(Close(++epoch).ok());
    ASSERT_TRUE(CrashAt(point, absl::StrCat("finish drop ", ++epoch)));
    EXPECT_EQ(Tables(), "");
    const auto repeat = DropTables(
        *keeper_, {.id = kId, .tables = kTables, .mode = DropMode::kDrop, .epoch = epoch}, Soon());
    ASSERT_TRUE(repeat.ok()) << repeat.status();
    EXPECT_EQ(Persisted(), "000");
    EXPECT_EQ(Scalar("SELECT state FROM _sluice.gate"), "forgotten");
    Root("CREATE TABLE vt_commerce.corder (id INT PRIMARY KEY)");
    Root("CREATE TABLE vt_commerce.customer (id INT PRIMARY KEY)");
  }
}

}  // namespace
}  // namespace sluice::gate
