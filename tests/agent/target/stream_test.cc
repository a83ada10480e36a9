// Streams between two real mysqlds: copy and apply under writers, restarts, commands, refusals.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamAction;
using schemas::StreamState;
using ::testing::HasSubstr;

constexpr uint64_t kStream = 7;

// Short epochs and small batches, so that every path is taken many times.
target::StreamTuning ManyEpochs() {
  target::StreamTuning tuning;
  tuning.copy_epoch = absl::Milliseconds(100);
  tuning.copier.rows_max = 200;
  tuning.applier.changes_max = 300;
  tuning.applier.writer.rows_max = 50;
  tuning.applier.writer.deletes_max = 20;
  tuning.event_bytes_max = 64U << 10U;
  tuning.backoff_max = absl::Milliseconds(500);
  return tuning;
}

constexpr char kNumbers[] =
    "numbers (id BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, u INT NULL UNIQUE, "
    "d DECIMAL(20,5), f FLOAT, t TIMESTAMP(3) NULL, v VARCHAR(100), KEY (v))";
constexpr char kTexts[] =
    "texts (k VARCHAR(40) NOT NULL PRIMARY KEY, u INT NULL UNIQUE, j JSON, "
    "twice INT GENERATED ALWAYS AS (u * 2) STORED, b VARBINARY(50)) "
    "COLLATE utf8mb4_0900_ai_ci";
constexpr char kPairs[] =
    "pairs (a INT NOT NULL, b VARCHAR(20) CHARACTER SET latin1 NOT NULL, e ENUM('x','y','z'), "
    "data BLOB, PRIMARY KEY (a, b)) COLLATE latin1_swedish_ci";

std::vector<std::string> AllTables() {
  return {"numbers", "texts", "pairs"};
}

void CreateTables(StreamWorld& world, int rows) {
  world.CreateTable(kNumbers);
  world.CreateTable(kTexts);
  world.CreateTable(kPairs);
  world.OnSource(
      {absl::StrCat("SET SESSION cte_max_recursion_depth = 1000000"),
       absl::StrCat("INSERT INTO numbers (id, u, d, f, t, v) WITH RECURSIVE n (i) AS (SELECT 1 "
                    "UNION ALL SELECT i + 1 FROM n WHERE i < ",
                    rows,
                    ") SELECT i, IF(i % 3, i, NULL), i / 7, i / 3, FROM_UNIXTIME(1700000000 + i), "
                    "REPEAT(CHAR(97 + i % 26), i % 90) FROM n")});
  std::vector<std::string> statements;
  for (int i = 0; i < 300; ++i) {
    statements.push_back(absl::StrCat("INSERT INTO texts (k, u, j, b) VALUES ('Key", i, "', ", i,
                                      ", JSON_OBJECT('i', ", i,
                                      ", 'pi', 3.14, 'd', NOW(6)), X'00FF", i % 90 + 10, "')"));
    statements.push_back(absl::StrCat("INSERT INTO pairs VALUES (", i % 17, ", 'É", i, "', ",
                                      i % 3 + 1, ", REPEAT('", i % 10, "\\0', ", i, "))"));
  }
  world.OnSource(statements);
}

// Writes to the three tables until it is stopped; conflicts between writers are part of it.
class Writer {
 public:
  Writer(const Mysqld& server, unsigned seed)
      : options_(Options(server)),
        random_(seed),
        thread_([this](const std::stop_token& stop) { Work(stop); }) {}

  [[nodiscard]] int commits() const { return commits_; }

 private:
  static mysql::ConnectionOptions Options(const Mysqld& server) {
    mysql::ConnectionOptions options = server.Root();
    options.database = kSourceDatabase;
    return options;
  }

  int Below(int bound) { return std::uniform_int_distribution<int>(0, bound - 1)(random_); }

  std::vector<std::string> Statements() {
    const int id = Below(3000) + 1;
    const int u = Below(400);
    const std::string key = absl::StrCat(Below(2) == 0 ? "key" : "KEY", Below(350));
    switch (Below(12)) {
      case 0:
        return {absl::StrCat("INSERT INTO numbers (u, v) VALUES (NULL, 'new ", id, "')")};
      case 1:
        return {absl::StrCat("UPDATE numbers SET d = d + 0.00001, f = RAND() WHERE id = ", id)};
      case 2:
        return {absl::StrCat("UPDATE numbers SET id = id + 1000000 WHERE id = ", id)};
      case 3:
        return {absl::StrCat("DELETE FROM numbers WHERE id = ", id)};
      case 4:  // values of a unique key change places
        return {absl::StrCat("UPDATE texts SET u = -u - 1 WHERE u IN (", u, ", ", u + 1, ")"),
                absl::StrCat("UPDATE texts SET u = ", u + 1, " WHERE u = ", -u - 1),
                absl::StrCat("UPDATE texts SET u = ", u, " WHERE u = ", -u - 2)};
      case 5:  // the same key in other letters
        return {absl::StrCat("UPDATE texts SET k = '", key, "' WHERE k = '", key, "'")};
      case 6:
        return {absl::StrCat("DELETE FROM texts WHERE k = '", key, "'"),
                absl::StrCat("INSERT INTO texts (k, j) VALUES ('", key, "', '[1.0, \"x\"]')")};
      case 7:
        return {absl::StrCat("REPLACE INTO texts (k, u, b) VALUES ('", key, "', ", u, ", X'C3",
                             10 + Below(80), "')")};
      case 8:
        return {absl::StrCat("UPDATE pairs SET b = CONCAT(LEFT(b, 10), '", Below(1000),
                             "') WHERE a = ", Below(17), " LIMIT 3")};
      case 9:
        return {
            absl::StrCat("DELETE FROM pairs WHERE a = ", Below(17), " LIMIT 1"),
            absl::StrCat("INSERT INTO pairs (a, b, e) VALUES (", Below(17), ", 'ü", u, "', 'y')")};
      case 10:
        return {
            absl::StrCat("UPDATE numbers SET v = 'many' WHERE id BETWEEN ", id, " AND ", id + 50)};
      default:
        return {
            absl::StrCat("UPDATE pairs SET a = a + 1 WHERE b LIKE '%", Below(300), "' AND a < 20")};
    }
  }

  void Work(const std::stop_token& stop) {
    const auto connection = mysql::Connection::Connect(options_);
    if (!connection.ok()) {
      return;
    }
    while (!stop.stop_requested() && (*connection)->healthy()) {
      bool good = (*connection)->Execute("BEGIN").ok();
      for (const std::string& statement : Statements()) {
        good = good && (*connection)->Execute(statement).ok();
      }
      if ((*connection)->Execute(good && Below(20) > 0 ? "COMMIT" : "ROLLBACK").ok() && good) {
        ++commits_;
      }
    }
  }

  const mysql::ConnectionOptions options_;
  std::mt19937 random_;
  std::atomic<int> commits_ = 0;
  std::jthread thread_;
};

void ExpectAllSame(StreamWorld& world) {
  for (const std::string& table : AllTables()) {
    world.ExpectSame(table);
  }
}

TEST(StreamTest, CopyUnderWritersAndARestartOfTheAgentEndsEqual) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  CreateTables(*world, 20'000);
  int commits = 0;
  {
    Writer first(world->source_mysqld(), 1);
    Writer second(world->source_mysqld(), 2);
    ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, AllTables())).ok());
    world->AwaitStatus(kStream, [](const SeenStatus& s) { return s.rows_copied > 2000; });
    world->StopTarget();
    world->StartTarget();
    const SeenStatus again = world->AwaitState(kStream, StreamState::RUNNING);
    EXPECT_GE(again.rows_copied, 20'000U);
    world->AwaitStatus(kStream, [](const SeenStatus& s) { return s.rows_applied > 2000; });
    commits = first.commits() + second.commits();
  }
  EXPECT_GT(commits, 100);
  world->Drain(kStream);
  ExpectAllSame(*world);
  const SeenStatus status =
      world->AwaitStatus(kStream, [](const SeenStatus& s) { return s.lag_ms == 0; });
  EXPECT_EQ(status.message, "");
}

TEST(StreamTest, ServersAndAgentsThatDieAreFollowedAgain) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  CreateTables(*world, 5000);
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, AllTables())).ok());
  world->AwaitStatus(kStream, [](const SeenStatus& s) { return s.rows_copied > 500; });
  world->target_mysqld().Kill();
  ASSERT_TRUE(world->target_mysqld().Restart().ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  {
    Writer writer(world->source_mysqld(), 3);
    world->AwaitStatus(kStream, [](const SeenStatus& s) { return s.rows_applied > 100; });
    world->target_mysqld().Kill();
    ASSERT_TRUE(world->target_mysqld().Restart().ok());
    world->StopSource();
    world->AwaitStatus(kStream, [](const SeenStatus& s) { return !s.message.empty(); });
    world->StartSource();
  }
  world->Drain(kStream);
  ExpectAllSame(*world);
  {
    Writer writer(world->source_mysqld(), 4);
    world->source_mysqld().Kill();
    ASSERT_TRUE(world->source_mysqld().Restart().ok());
  }
  world->Drain(kStream);
  ExpectAllSame(*world);
}

TEST(StreamTest, KeysThatDifferBehindAThousandBytesAreCopiedWhole) {
  target::StreamTuning tuning = ManyEpochs();
  tuning.copier.rows_max = 16;
  const auto world = StreamWorld::Start(tuning);
  ASSERT_NE(world, nullptr);
  world->CreateTable(
      "t (k TEXT CHARACTER SET latin1 COLLATE latin1_swedish_ci NOT NULL, v INT, "
      "PRIMARY KEY (k(1600)))");
  // Not inserted in key order, so that a sort which stops early is seen.
  world->OnSource(
      {"INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n "
       "WHERE i < 104) SELECT CONCAT(REPEAT('a', 1300), i * 37 % 105), i FROM n"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->Drain(kStream);
  auto source = StreamWorld::Dump(world->source_mysqld(), kSourceDatabase, "t");
  auto target = StreamWorld::Dump(world->target_mysqld(), kTargetDatabase, "t");
  std::sort(source.begin(), source.end());
  std::sort(target.begin(), target.end());
  EXPECT_EQ(source.size(), 105U);
  EXPECT_TRUE(source == target) << target.size() << " rows arrived";
}

TEST(StreamTest, CommandsAreIdempotentAndOldEpochsAreRefused) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  const auto spec = StreamWorld::Spec(kStream, {"t"});
  ASSERT_TRUE(world->Create(spec, false).ok());
  EXPECT_EQ(world->Status(kStream)->state, StreamState::STOPPED);
  ASSERT_TRUE(world->Create(spec, false).ok());
  auto other = spec;
  other.workflow = "target.other";
  EXPECT_TRUE(absl::IsAlreadyExists(world->Create(other)));

  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 5).ok());
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 5).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_TRUE(absl::IsFailedPrecondition(world->Control(kStream, StreamAction::STOP, 4).status()));
  EXPECT_EQ(world->Status(kStream)->state, StreamState::RUNNING);

  // What is committed on the source after the stop is answered is not applied.
  ASSERT_EQ(world->Control(kStream, StreamAction::STOP, 6)->state, StreamState::STOPPED);
  world->OnSource({"INSERT INTO t VALUES (2, 2)"});
  EXPECT_EQ(StreamWorld::Dump(world->target_mysqld(), kTargetDatabase, "t").size(), 1U);
  EXPECT_TRUE(
      absl::IsFailedPrecondition(world->AwaitMarker(kStream, "none", absl::Seconds(5)).status()));

  ASSERT_TRUE(world->Control(kStream, StreamAction::FREEZE, 7)->frozen);
  EXPECT_EQ(world->Status(kStream)->message, "FROZEN");
  EXPECT_TRUE(absl::IsFailedPrecondition(world->Control(kStream, StreamAction::START, 8).status()));
  ASSERT_FALSE(world->Control(kStream, StreamAction::UNFREEZE, 8)->frozen);
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 9).ok());
  world->Drain(kStream);
  world->ExpectSame("t");

  ASSERT_TRUE(world->Control(kStream, StreamAction::DELETE, 10).ok());
  ASSERT_TRUE(world->Control(kStream, StreamAction::DELETE, 10).ok());
  EXPECT_TRUE(absl::IsNotFound(world->Status(kStream).status()));
  EXPECT_TRUE(absl::IsNotFound(world->Control(kStream, StreamAction::START, 11).status()));
  EXPECT_FALSE(world->Create(spec).ok()) << "a delayed request must not bring it back";
  for (const char* table : {"stream", "stream_position", "copy_range"}) {
    EXPECT_TRUE(StreamWorld::Dump(world->target_mysqld(), "_sluice", table).empty()) << table;
  }
}

TEST(StreamTest, AStreamThatBeginsAtAPositionAppliesWhatFollowsIt) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  world->OnTarget({"INSERT INTO t VALUES (1, 1)"});
  auto spec = StreamWorld::Spec(kStream, {"t"});
  const auto position = ConnectTo(world->source_mysqld(), kSourceDatabase)
                            ->QueryScalar("SELECT @@GLOBAL.gtid_executed");
  ASSERT_TRUE(position.ok());
  spec.start_position = *position;
  world->OnSource({"UPDATE t SET v = 2", "INSERT INTO t VALUES (3, 3)"});
  ASSERT_TRUE(world->Create(spec).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->Drain(kStream);
  world->ExpectSame("t");
  EXPECT_EQ(world->Status(kStream)->rows_copied, 0U);
}

TEST(StreamTest, RowsBehindAClosedGateAreWrittenAndARenameIsFollowed) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnTarget({"RENAME TABLE t TO _sluice_closed_t"});
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->ExpectSame("t", "_sluice_closed_t");
  // Readable: a view stands under the name.
  world->OnTarget({"CREATE VIEW t AS SELECT * FROM _sluice_closed_t"});
  world->OnSource({"INSERT INTO t VALUES (2, 2)"});
  world->Drain(kStream);
  world->ExpectSame("t", "_sluice_closed_t");
  world->OnTarget({"DROP VIEW t", "RENAME TABLE _sluice_closed_t TO t"});
  world->OnSource({"INSERT INTO t VALUES (3, 3)", "DELETE FROM t WHERE id = 1"});
  world->Drain(kStream);
  world->ExpectSame("t");
  // Our own gate on the source is passed over.
  world->OnSource({"RENAME TABLE t TO _sluice_closed_t"});
  world->Drain(kStream);
  EXPECT_EQ(world->Status(kStream)->state, StreamState::RUNNING);
}

TEST(StreamTest, DdlOfAMovedTableIsAnErrorWithTheStatementThatStaysUntilStart) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->OnSource({"CREATE TABLE other (a INT)", "INSERT INTO t VALUES (2, 2)",
                   "ALTER TABLE t ADD extra INT DEFAULT 5", "INSERT INTO t VALUES (3, 3, 3)"});
  SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("ALTER TABLE t ADD extra INT DEFAULT 5"));
  EXPECT_EQ(StreamWorld::Dump(world->target_mysqld(), kTargetDatabase, "t").size(), 2U);
  world->StopTarget();
  world->StartTarget();
  EXPECT_EQ(world->Status(kStream)->state, StreamState::ERROR);
  EXPECT_THAT(world->Status(kStream)->message, HasSubstr("ALTER TABLE"));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(world->AwaitMarker(kStream, "none", absl::Seconds(5)).status()));
  // Started again, it meets the same statement again.
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 1).ok());
  status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("ALTER TABLE"));
}

TEST(StreamTest, PurgedBinlogsAreAnErrorWithTheRemedy) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  ASSERT_TRUE(world->Control(kStream, StreamAction::STOP, 1).ok());
  world->OnSource({"INSERT INTO t VALUES (2, 2)", "FLUSH BINARY LOGS"});
  const auto connection = ConnectTo(world->source_mysqld(), kSourceDatabase);
  const auto logs = connection->Query("SHOW BINARY LOGS");
  ASSERT_TRUE(logs.ok());
  world->OnSource({absl::StrCat("PURGE BINARY LOGS TO '", *logs->rows.back()[0], "'")});
  // The source's agent holds the binlog's end, until it ends.
  world->StopSource();
  world->StartSource();
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 2).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("purged"));
  EXPECT_THAT(status.message, HasSubstr("create it anew"));
}

TEST(StreamTest, StatementsWithoutRowsInTheBinlogAreAnErrorThatNamesThem) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->OnSource({"SET SESSION binlog_format = STATEMENT", "UPDATE t SET v = 9 WHERE id = 1"});
  const SeenStatus status = world->AwaitState(kStream, StreamState::ERROR);
  EXPECT_THAT(status.message, HasSubstr("UPDATE t SET v = 9"));
  EXPECT_THAT(status.message, HasSubstr("binlog_format=ROW"));
}

TEST(StreamTest, ATransactionAboveEveryBoundIsOneCommit) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  CreateTables(*world, 4000);
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, AllTables())).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->OnTarget({"CREATE TABLE seen (n INT)"});
  world->OnSource({"BEGIN", "UPDATE numbers SET v = CONCAT('big ', id)",
                   "UPDATE numbers SET id = id + 5000000 WHERE id % 2", "DELETE FROM pairs",
                   "COMMIT"});
  world->OnSource({"INSERT INTO pairs (a, b) VALUES (1, 'last')"});
  world->Drain(kStream);
  ExpectAllSame(*world);
}

TEST(StreamTest, CompressedTransactionsAreFollowed) {
  const auto world = StreamWorld::Start(ManyEpochs(), {"--binlog-transaction-compression=ON"});
  ASSERT_NE(world, nullptr);
  CreateTables(*world, 2000);
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, AllTables())).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  {
    Writer writer(world->source_mysqld(), 5);
    world->AwaitStatus(kStream, [](const SeenStatus& s) { return s.rows_applied > 500; });
  }
  world->Drain(kStream);
  ExpectAllSame(*world);
}

TEST(StreamTest, StopAfterCopyStopsWithEveryRowAndCanGoOn) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  CreateTables(*world, 1000);
  auto spec = StreamWorld::Spec(kStream, AllTables());
  spec.stop_after_copy = true;
  ASSERT_TRUE(world->Create(spec).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::STOPPED);
  EXPECT_THAT(status.message, HasSubstr("after copy"));
  ExpectAllSame(*world);
  world->OnSource({"INSERT INTO pairs (a, b) VALUES (100, 'later')"});
  ASSERT_TRUE(world->Control(kStream, StreamAction::START, 1).ok());
  world->Drain(kStream);
  ExpectAllSame(*world);
}

TEST(StreamTest, NothingRunsOnAReadOnlyServerUntilItIsWritable) {
  const auto world = StreamWorld::Start(ManyEpochs());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  // The account may write to a read-only server; a stream must not.
  world->OnTarget({"SET GLOBAL read_only = 1"});
  world->OnSource({"INSERT INTO t VALUES (2, 2)"});
  world->AwaitStatus(kStream, [](const SeenStatus& s) {
    return s.message.find("read-only") != std::string::npos;
  });
  EXPECT_EQ(StreamWorld::Dump(world->target_mysqld(), kTargetDatabase, "t").size(), 1U);
  ASSERT_TRUE(world->manager().LoadAndResume().ok());
  EXPECT_TRUE(world->manager().Statuses().empty());
  world->OnTarget({"SET GLOBAL read_only = 0"});
  ASSERT_TRUE(world->manager().LoadAndResume().ok());
  world->Drain(kStream);
  world->ExpectSame("t");
}

}  // namespace
}  // namespace sluice::testing
