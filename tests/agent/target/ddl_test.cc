// DDL of the source on its way to the target: what each of --on-ddl does, during the copy and
// behind it, and crashes between the statement and the position.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "agent/target/ddl_runner.h"
#include "agent/target/local_session.h"
#include "agent/target/sidecar_tables.h"
#include "common/base/status_macros.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamAction;
using schemas::StreamState;
using stream::OnDdl;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr uint64_t kStream = 7;

class DdlStreamTest : public ::testing::Test {
 protected:
  // A table with rows, and a stream that follows it, behind a closed gate on the target.
  void Start(OnDdl on_ddl) {
    world_ = StreamWorld::Start({});
    ASSERT_NE(world_, nullptr);
    Create("t", "(id INT PRIMARY KEY, v INT, name VARCHAR(20))");
    world_->OnSource({"INSERT INTO t VALUES (1, 1, 'a'), (2, 2, 'b')"});
    StartStream(on_ddl, {"t"});
    world_->AwaitState(kStream, StreamState::RUNNING);
  }

  void Create(const std::string& table, const std::string& definition) {
    world_->OnSource({absl::StrCat("CREATE TABLE ", table, definition)});
    world_->OnTarget({absl::StrCat("CREATE TABLE _sluice_closed_", table, definition)});
  }

  void StartStream(OnDdl on_ddl, const std::vector<std::string>& tables) {
    target::StreamSpec spec = StreamWorld::Spec(kStream, tables);
    spec.options.on_ddl = on_ddl;
    ASSERT_TRUE(world_->Create(spec).ok());
  }

  void ExpectSame() {
    ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
    world_->ExpectSame("t", "_sluice_closed_t");
  }

  std::string Definition(const Mysqld& server, const std::string& database,
                         const std::string& table) {
    const auto session = ConnectTo(server, database);
    EXPECT_TRUE(mysql::ConfigureDefinitionSession(*session).ok());
    const auto result = session->Query("SHOW CREATE TABLE " + table);
    EXPECT_TRUE(result.ok()) << result.status();
    const std::string text = result.ok() ? result->rows[0][1].value_or("") : "";
    return text.substr(text.find('('));
  }

  void ExpectSameDefinition() {
    EXPECT_EQ(Definition(world_->target_mysqld(), kTargetDatabase, "_sluice_closed_t"),
              Definition(world_->source_mysqld(), kSourceDatabase, "t"));
  }

  std::unique_ptr<StreamWorld> world_;
};

TEST_F(DdlStreamTest, ExecCarriesOutEveryChangeOfADefinitionInItsPlace) {
  ASSERT_NO_FATAL_FAILURE(Start(OnDdl::kExec));
  world_->OnSource({
      "INSERT INTO t VALUES (3, 3, 'c')",
      "ALTER TABLE t ADD extra VARCHAR(10) DEFAULT 'ä' AFTER id",
      "SET NAMES latin1",
      "ALTER TABLE t ADD odd VARCHAR(9) CHARACTER SET latin1 AS (CONCAT('\xc5', v)) STORED COMMENT "
      "'\xe5', ADD INDEX ((CONCAT('\xc5', name)))",
      "SET NAMES utf8mb4",
      "INSERT INTO t (id, extra, v, name) VALUES (4, 'x', 4, 'd')",
      "UPDATE t SET extra = 'y' WHERE id = 1",
      "CREATE INDEX by_v ON t (v)",
      "ALTER TABLE t DROP COLUMN odd, DROP INDEX functional_index",
      "ALTER TABLE vt_source.t DROP COLUMN v, MODIFY name VARCHAR(200) NOT NULL FIRST",
      "INSERT INTO t VALUES (REPEAT('long', 40), 5, NULL)",
      "ALTER TABLE t RENAME COLUMN extra TO other, CONVERT TO CHARACTER SET latin1",
      "UPDATE t SET other = 'ö' WHERE id > 3",
      "SET SESSION sql_mode = 'ANSI_QUOTES'",
      "ALTER TABLE \"t\" ADD \"g\" INT AS (id * 2) STORED",
      "SET SESSION sql_mode = DEFAULT, time_zone = '+05:00'",
      "ALTER TABLE t ADD moment TIMESTAMP NOT NULL DEFAULT '2024-01-01 00:00:00'",
      "INSERT INTO t (name, id) VALUES ('z', 6)",
      "SET SESSION timestamp = 1700000000.25",
      "ALTER TABLE t ADD seen DATETIME(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), "
      "ADD day DATE NOT NULL DEFAULT (CURRENT_DATE)",
      "SET SESSION timestamp = DEFAULT",
  });
  ASSERT_NO_FATAL_FAILURE(ExpectSame());
  ExpectSameDefinition();
  world_->OnSource({"TRUNCATE t", "INSERT INTO t (name, id) VALUES ('after', 1)"});
  ASSERT_NO_FATAL_FAILURE(ExpectSame());
  EXPECT_EQ(world_->Status(kStream)->state, StreamState::RUNNING);
}

TEST_F(DdlStreamTest, ExecStopsWhereTheStatementFailsAndGoesOnWhenTheTableFits) {
  ASSERT_NO_FATAL_FAILURE(Start(OnDdl::kExec));
  world_->OnTarget({"ALTER TABLE _sluice_closed_t ADD INDEX taken (v)"});
  world_->OnSource({"ALTER TABLE t ADD INDEX taken (v)", "INSERT INTO t VALUES (3, 3, 'c')"});
  const SeenStatus status = world_->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("Duplicate key name 'taken'"));
  EXPECT_THAT(status.message, HasSubstr("ADD INDEX taken (v)"));
  world_->OnTarget({"ALTER TABLE _sluice_closed_t DROP INDEX taken"});
  ASSERT_TRUE(world_->Control(kStream, StreamAction::START, 1).ok());
  ASSERT_NO_FATAL_FAILURE(ExpectSame());
  ExpectSameDefinition();
}

TEST_F(DdlStreamTest, ExecIgnoreGoesOnWhereTheStatementFails) {
  ASSERT_NO_FATAL_FAILURE(Start(OnDdl::kExecIgnore));
  world_->OnTarget({"ALTER TABLE _sluice_closed_t ADD INDEX taken (v)"});
  world_->OnSource({"ALTER TABLE t ADD INDEX taken (v)", "ALTER TABLE t ADD w INT",
                    "INSERT INTO t VALUES (3, 3, 'c', 4)"});
  ASSERT_NO_FATAL_FAILURE(ExpectSame());
  ExpectSameDefinition();
}

TEST_F(DdlStreamTest, IgnorePassesOverWhatLeavesTheRowsAndStopsAtWhatTakesThem) {
  ASSERT_NO_FATAL_FAILURE(Start(OnDdl::kIgnore));
  world_->OnSource({"ALTER TABLE t ADD INDEX mine (v), ALTER v SET DEFAULT 4",
                    "CREATE INDEX other ON t (name)", "INSERT INTO t VALUES (3, 3, 'c')"});
  ASSERT_NO_FATAL_FAILURE(ExpectSame());
  EXPECT_THAT(Definition(world_->target_mysqld(), kTargetDatabase, "_sluice_closed_t"),
              Not(HasSubstr("mine")));
  world_->OnSource({"TRUNCATE TABLE t"});
  EXPECT_THAT(world_->AwaitState(kStream, StreamState::ERROR).message,
              HasSubstr("TRUNCATE TABLE t"));
}

TEST_F(DdlStreamTest, ARowOfAnotherShapeThanTheTargetsIsNeverWritten) {
  ASSERT_NO_FATAL_FAILURE(Start(OnDdl::kIgnore));
  // The events of the old shape still come; those of the new one have a column more.
  world_->StopTarget();
  world_->OnSource({"INSERT INTO t VALUES (3, 3, 'c')", "ALTER TABLE t ADD w INT FIRST",
                    "INSERT INTO t VALUES (9, 4, 4, 'd')"});
  world_->StartTarget();
  EXPECT_THAT(world_->AwaitState(kStream, StreamState::ERROR).message,
              HasSubstr("has 4 columns on the source"));
  EXPECT_THAT(StreamWorld::Dump(world_->target_mysqld(), kTargetDatabase, "_sluice_closed_t"),
              ::testing::SizeIs(3));
}

TEST_F(DdlStreamTest, StatementsThatChangeTheSetOfTablesStopEvenExec) {
  ASSERT_NO_FATAL_FAILURE(Start(OnDdl::kExec));
  world_->OnSource({"RENAME TABLE t TO u"});
  EXPECT_THAT(world_->AwaitState(kStream, StreamState::ERROR).message,
              HasSubstr("RENAME TABLE t TO u"));
}

TEST_F(DdlStreamTest, EventsOfTheOldShapeAreReadByItAndTheCopyComesAfterTheStatement) {
  target::StreamTuning tuning;
  tuning.copy_epoch = absl::Milliseconds(1);
  tuning.copier.rows_max = 50;
  world_ = StreamWorld::Start(tuning);
  ASSERT_NE(world_, nullptr);
  Create("t", "(id INT PRIMARY KEY, v INT, gone INT, name VARCHAR(20))");
  world_->OnSource(
      {"INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
       "WHERE i < 900) SELECT i, i, i, 'row' FROM n"});
  StartStream(OnDdl::kExec, {"t"});
  world_->AwaitStatus(kStream, [](const SeenStatus& s) { return s.rows_copied > 0; });
  world_->OnSource({"UPDATE t SET gone = gone + 1, v = -v WHERE id % 7 = 0",
                    "ALTER TABLE t DROP COLUMN gone, ADD fresh INT NOT NULL DEFAULT 5",
                    "UPDATE t SET fresh = id WHERE id % 5 = 0",
                    "ALTER TABLE t DROP PRIMARY KEY, ADD PRIMARY KEY (name, id)",
                    "DELETE FROM t WHERE id % 11 = 0", "INSERT INTO t VALUES (5000, 1, 'new', 2)"});
  world_->AwaitState(kStream, StreamState::RUNNING);
  ASSERT_NO_FATAL_FAILURE(ExpectSame());
  ExpectSameDefinition();
}

// One statement of a source, run by a process that may die.
class DdlCrashTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto server = Mysqld::Start({"--innodb-flush-log-at-trx-commit=2"});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    session_ = ConnectTo(*server_, "");
    ASSERT_NE(session_, nullptr);
    Execute("CREATE DATABASE _sluice");
    Execute(absl::StrCat("CREATE DATABASE ", kTargetDatabase));
    Execute(absl::StrCat("USE ", kTargetDatabase));
    for (const absl::string_view statement : target::kStreamTables) {
      Execute(std::string(statement));
    }
    Execute("CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, v INT)");
    Execute("INSERT INTO t (v) VALUES (1), (2)");
    target::StreamRecord record;
    record.spec = StreamWorld::Spec(kStream, {"t"});
    record.state = StreamState::RUNNING;
    record.position.position = target::AppliedPosition{*gtid::GtidSet::Parse(kBefore)};
    const auto session = target::ConnectLocal(server_->Root());
    ASSERT_TRUE(session.ok()) << session.status();
    const absl::Status inserted = target::StreamStore(**session).Insert(record);
    ASSERT_TRUE(inserted.ok()) << inserted;
  }

  void Execute(const std::string& statement) {
    const absl::Status status = session_->Execute(statement).status();
    ASSERT_TRUE(status.ok()) << statement << ": " << status;
  }

  std::string Ask(const std::string& sql) {
    const auto answer = session_->QueryScalar(sql);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? *answer : "";
  }

  absl::Status Run(const std::string& statement) {
    const mysql::ConnectionOptions local = server_->Root();
    const absl::Notification stopping;
    const target::WatchedTables watched{.database = kSourceDatabase, .tables = {"t"}};
    SLUICE_ASSIGN_OR_RETURN(const auto connection, target::ConnectLocal(local));
    target::StreamStore store(*connection);
    SLUICE_ASSIGN_OR_RETURN(target::StreamRecord record, store.Claim(kStream));
    SLUICE_ASSIGN_OR_RETURN(const target::TablePlans plans,
                            target::TablePlans::Load(*connection, kTargetDatabase, {"t"}));
    target::SourceDdl ddl;
    ddl.gtid = {.uuid = kUuid, .tag = "", .number = 8};
    ddl.query.database = kSourceDatabase;
    ddl.query.sql = statement;
    return target::DdlRunner({.connection = *connection,
                              .store = store,
                              .local = local,
                              .watched = watched,
                              .plans = plans,
                              .record = record,
                              .stopping = stopping})
        .Run(ddl);
  }

  int RunInAProcess(const std::string& statement, const std::string& crash_point) {
    (void)fflush(nullptr);
    const pid_t child = fork();
    if (child == 0) {
      if (!crash_point.empty()) {
        (void)setenv("SLUICE_CRASH_AT", crash_point.c_str(), 1);
      }
      const absl::Status status = Run(statement);
      if (!status.ok()) {
        (void)fprintf(stderr, "%s\n", status.ToString().c_str());
      }
      _exit(status.ok() ? 0 : 1);
    }
    int status = 0;
    EXPECT_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }

  static constexpr char kUuid[] = "01010101-0101-0101-0101-010101010101";
  static constexpr char kBefore[] = "01010101-0101-0101-0101-010101010101:1-7";
  std::unique_ptr<Mysqld> server_;
  std::unique_ptr<mysql::Connection> session_;
};

TEST_P(DdlCrashTest, TheStatementTakesEffectOnceAndThePositionIsBehindIt) {
  const std::string add = "ALTER TABLE t ADD w INT DEFAULT 3";  // fails when it runs twice
  ASSERT_EQ(RunInAProcess(add, GetParam()), 137);
  ASSERT_EQ(RunInAProcess(add, ""), 0);
  EXPECT_EQ(Ask("SELECT GROUP_CONCAT(id, v, w ORDER BY id) FROM t"), "113,223");
  EXPECT_EQ(Ask("SELECT position FROM _sluice.stream_position"),
            "01010101-0101-0101-0101-010101010101:1-8");
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM _sluice.stream_ddl"), "0");
}

TEST_P(DdlCrashTest, WhatLeavesTheDefinitionAsItIsMayRunAgain) {
  ASSERT_EQ(RunInAProcess("TRUNCATE t", GetParam()), 137);
  ASSERT_EQ(RunInAProcess("TRUNCATE t", ""), 0);
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM t"), "0");
  EXPECT_EQ(Ask("SELECT COUNT(*) FROM _sluice.stream_ddl"), "0");
}

// The first commit is the intent's, the second one the position's.
INSTANTIATE_TEST_SUITE_P(Points, DdlCrashTest,
                         ::testing::Values("stream.before_commit:1", "stream.after_commit:1",
                                           "ddl.after_intent", "ddl.after_statement",
                                           "stream.before_commit:2"));

}  // namespace
}  // namespace sluice::testing
