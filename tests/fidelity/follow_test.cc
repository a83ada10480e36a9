// Transactions and images of unusual forms through a stream between two real servers: XA in two
// parts, partial updates of JSON, cascades of foreign keys, triggers of the source.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/agent/target/stream_world.h"
#include "tests/fidelity/raw_rows.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kStream = 1;

class FollowTest : public ::testing::Test {
 protected:
  void StartWorld(std::vector<std::string> tables, target::StreamTuning tuning = {}) {
    world_ = StreamWorld::Start(tuning, {"--max-binlog-size=16384"});
    ASSERT_NE(world_, nullptr);
    tables_ = std::move(tables);
  }

  void Follow() {
    ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, tables_)).ok());
    world_->AwaitState(kStream, StreamState::RUNNING);
  }

  // Stops the stream and takes all rows of all tables, as their bytes stand on both sides.
  void TakeAndCompare() {
    ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
    ASSERT_TRUE(world_->Control(kStream, schemas::StreamAction::STOP, 1).ok());
    const auto source = TakeRows(world_->source_mysqld(), kSourceDatabase, tables_);
    const auto target = TakeRows(world_->target_mysqld(), kTargetDatabase, tables_);
    ASSERT_TRUE(source.ok()) << source.status();
    ASSERT_TRUE(target.ok()) << target.status();
    const RawDifferences found = Compare(*source, *target, [](uint64_t) { return true; });
    EXPECT_THAT(found.differences, IsEmpty()) << absl::StrJoin(found.differences, "\n");
    EXPECT_GT(found.rows, 0U);
  }

  // As text, while the stream goes on.
  void DrainAndCompare() {
    ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
    for (const std::string& table : tables_) {
      world_->ExpectSame(table);
    }
  }

  static std::string Ask(const Mysqld& server, const std::string& database,
                         const std::string& sql) {
    const auto answer = ConnectTo(server, database)->QueryScalar(sql);
    EXPECT_TRUE(answer.ok()) << sql << ": " << answer.status();
    return answer.ok() ? *answer : "";
  }
  std::string OnTarget(const std::string& sql) {
    return Ask(world_->target_mysqld(), kTargetDatabase, sql);
  }
  std::string OnSource(const std::string& sql) {
    return Ask(world_->source_mysqld(), kSourceDatabase, sql);
  }

  // The statements in an XA transaction that is left prepared.
  void Prepare(const std::string& xid, const std::vector<std::string>& statements) {
    std::vector<std::string> all = {absl::StrCat("XA START ", xid)};
    all.insert(all.end(), statements.begin(), statements.end());
    all.push_back(absl::StrCat("XA END ", xid));
    all.push_back(absl::StrCat("XA PREPARE ", xid));
    world_->OnSource(all);
  }

  // XA COMMIT or ROLLBACK of what another session has prepared, once mysqld has seen that one end.
  void Decide(const std::string& statement) {
    const auto session = ConnectTo(world_->source_mysqld(), kSourceDatabase);
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    absl::Status status = session->Execute(statement).status();
    while (!status.ok() && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(10));  // Delay: a session's end is told to nobody
      status = session->Execute(statement).status();
    }
    ASSERT_TRUE(status.ok()) << statement << ": " << status;
  }

  void RestartTarget() {
    world_->StopTarget();
    world_->StartTarget();
  }

  std::unique_ptr<StreamWorld> world_;
  std::vector<std::string> tables_;
};

TEST_F(FollowTest, PreparedRowsArriveIfAndWhenTheyAreCommitted) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({"t"}));
  world_->CreateTable("t (n INT PRIMARY KEY, v VARCHAR(400))");
  world_->CreateTable("other (n INT PRIMARY KEY)");
  world_->OnSource({"INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')"});
  ASSERT_NO_FATAL_FAILURE(Follow());

  Prepare("'kept', 'branch', 7",
          {"INSERT INTO t VALUES (10, 'x')", "UPDATE t SET v = 'X' WHERE n = 1"});
  Prepare("'dropped'", {"DELETE FROM t WHERE n = 2", "INSERT INTO t VALUES (11, 'y')"});
  Prepare("'foreign'", {"INSERT INTO other VALUES (1)"});
  world_->OnSource({"INSERT INTO t VALUES (20, 'z')"});
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  EXPECT_EQ(OnTarget("SELECT GROUP_CONCAT(n, v ORDER BY n) FROM t"), "1a,2b,3c,20z");

  // Both agents go, and the binlog that holds the rows is not the last one.
  world_->OnSource({"FLUSH BINARY LOGS", "INSERT INTO t VALUES (21, 'z')"});
  RestartTarget();
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  world_->StopSource();
  world_->StartSource();
  world_->OnSource({"INSERT INTO t VALUES (22, 'z')"});
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  EXPECT_EQ(OnTarget("SELECT GROUP_CONCAT(n, v ORDER BY n) FROM t"), "1a,2b,3c,20z,21z,22z");

  world_->StopTarget();
  Decide("XA COMMIT 'kept', 'branch', 7");
  Decide("XA ROLLBACK 'dropped'");
  Decide("XA COMMIT 'foreign'");
  world_->OnSource({"UPDATE t SET v = CONCAT(v, 'later')"});
  world_->StartTarget();
  ASSERT_NO_FATAL_FAILURE(DrainAndCompare());
  EXPECT_EQ(OnTarget("SELECT v FROM t WHERE n = 1"), "Xlater");
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM t WHERE n IN (2, 11)"), "1");
  // Nothing is left open: the position has caught up without a gap.
  EXPECT_EQ(OnSource(absl::StrCat("SELECT GTID_SUBSET('", OnSource("SELECT @@GLOBAL.gtid_executed"),
                                  "', '", world_->Status(kStream)->position, "')")),
            "1");
}

TEST_F(FollowTest, RandomXaTransactionsUnderRestartsEndEqual) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({"t"}));
  world_->CreateTable("t (n INT PRIMARY KEY, v INT, w VARCHAR(200))");
  for (int n = 0; n < 40; ++n) {
    world_->OnSource({absl::StrCat("INSERT INTO t VALUES (", n, ", 0, 'start')")});
  }
  ASSERT_NO_FATAL_FAILURE(Follow());
  std::mt19937 random(7);
  std::vector<int> open;  // each holds the locks of its own rows
  int next = 0;
  for (int round = 0; round < 120; ++round) {
    if (open.size() < 4 && random() % 2 == 0) {
      const int n = next++;
      const std::string xid = absl::StrCat("'x", n, "'");
      const int row = 10 + 7 * (n % 4);
      const bool taken =
          std::any_of(open.begin(), open.end(), [&](int other) { return other % 4 == n % 4; });
      if (taken) {
        continue;
      }
      Prepare(xid,
              {absl::StrCat("UPDATE t SET v = v + 1, w = REPEAT('", n, "', 20) WHERE n = ", row),
               absl::StrCat("REPLACE INTO t VALUES (", row + 1, ", ", n, ", 'replaced')"),
               absl::StrCat("DELETE FROM t WHERE n = ", row + 2)});
      open.push_back(n);
    } else if (!open.empty()) {
      const int n = open[random() % open.size()];
      open.erase(std::find(open.begin(), open.end(), n));
      Decide(absl::StrCat(random() % 3 == 0 ? "XA ROLLBACK" : "XA COMMIT", " 'x", n, "'"));
    }
    world_->OnSource(
        {absl::StrCat("REPLACE INTO t VALUES (", random() % 9, ", ", round, ", 'plain')")});
    if (round % 17 == 0) {
      RestartTarget();
    }
  }
  for (const int n : open) {
    Decide(absl::StrCat("XA COMMIT 'x", n, "'"));
  }
  world_->OnSource({"XA START 'one'", "UPDATE t SET v = v + 1000 WHERE n < 20", "XA END 'one'",
                    "XA COMMIT 'one' ONE PHASE"});
  ASSERT_NO_FATAL_FAILURE(TakeAndCompare());
}

TEST_F(FollowTest, ACopyWaitsForWhatIsPreparedAndNamesIt) {
  target::StreamTuning tuning;
  tuning.snapshot_wait = absl::Milliseconds(300);
  ASSERT_NO_FATAL_FAILURE(StartWorld({"t"}, tuning));
  world_->CreateTable("t (n INT PRIMARY KEY, v VARCHAR(40))");
  world_->OnSource({"INSERT INTO t VALUES (1, 'a'), (2, 'b')"});
  Prepare("'early'", {"INSERT INTO t VALUES (10, 'x')", "DELETE FROM t WHERE n = 2"});
  ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream, tables_)).ok());
  world_->AwaitStatus(kStream, [](const SeenStatus& status) {
    return absl::StrContains(status.message, "prepared XA transactions that are not decided") &&
           absl::StrContains(absl::AsciiStrToLower(status.message), "0x6561726c79");
  });
  Decide("XA COMMIT 'early'");
  world_->OnSource({"INSERT INTO t VALUES (11, 'y')"});
  world_->AwaitState(kStream, StreamState::RUNNING);
  ASSERT_NO_FATAL_FAILURE(DrainAndCompare());
  EXPECT_EQ(OnTarget("SELECT GROUP_CONCAT(n ORDER BY n) FROM t"), "1,10,11");
}

TEST_F(FollowTest, PartialUpdatesOfJsonEndWithTheSameDocuments) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({"t"}));
  world_->CreateTable("t (n INT PRIMARY KEY, j JSON, v INT, k JSON, g INT AS (j->'$.n') STORED)");
  world_->OnSource(
      {"INSERT INTO t (n, j, v, k) SELECT n, JSON_OBJECT('n', n, 'text', REPEAT('ä', 40), "
       "'list', JSON_ARRAY(1.5, n, JSON_OBJECT('deep', JSON_ARRAY(n, 'x')), true), "
       "'decimal', CAST('12345678901234567890.123' AS DECIMAL(30, 3)), 'big', "
       "18446744073709551615, "
       "'double', 1e300, 'date', CAST('2024-02-29' AS DATE), "
       "'time', CAST('-12:34:56.789' AS TIME(3)), 'moment', TIMESTAMP'2024-02-29 01:02:03.000004', "
       "'year', CAST(2024 AS YEAR), 'bytes', CAST(x'00ff27' AS BINARY), 'a \"b\" \\\\ c', 1), 0, "
       "JSON_ARRAY(REPEAT('k', 300), n) FROM (VALUES ROW(1), ROW(2), ROW(3), ROW(4), ROW(5), "
       "ROW(6)) AS numbers(n)"});
  ASSERT_NO_FATAL_FAILURE(Follow());
  const std::vector<std::string> changes = {
      "j = JSON_SET(j, '$.list[1]', 77)",
      "j = JSON_SET(j, '$.decimal', CAST('9.5' AS DECIMAL(30, 3)))",
      "j = JSON_SET(j, '$.moment', TIMESTAMP'2000-01-01 00:00:00')",
      "j = JSON_REPLACE(j, '$.text', 'short', '$.list[2].deep[1]', NULL)",
      "j = JSON_REMOVE(j, '$.list[0]')",
      "j = JSON_SET(j, '$.fresh', JSON_OBJECT('x', CAST('10:00:00' AS TIME)))",
      R"(j = JSON_SET(j, '$."a \\"b\\" \\\\ c"', 'quoted'))",
      "j = JSON_REMOVE(j, '$.date', '$.bytes'), k = JSON_SET(k, '$[1]', -1.25e0)",
      "j = JSON_SET(j, '$.list[last]', 'end'), v = v + 1",
      "j = JSON_SET(j, '$.list[50]', 'appended')",
      "k = JSON_REPLACE(k, '$[0]', 'k')",
      "j = JSON_SET(j, '$.double', 0.1, '$.big', 9223372036854775807, '$.year', 1)",
      "j = JSON_SET(j, '$.n', n + 1000)",
      "n = n + 100, j = JSON_SET(j, '$.list[0]', 'rekeyed')",
      "n = n - 100, k = NULL",
  };
  std::vector<std::string> statements = {"SET SESSION binlog_row_value_options = 'PARTIAL_JSON'"};
  for (const std::string& change : changes) {
    for (const char* where : {"n IN (1, 101)", "n % 2 = 0", "n IS NOT NULL"}) {
      const bool rekeys = absl::StrContains(change, "n = n ");
      if (!rekeys || where == std::string("n IS NOT NULL")) {
        statements.push_back(absl::StrCat("UPDATE t SET ", change, " WHERE ", where, " ORDER BY n",
                                          absl::StrContains(change, "n + 100,") ? " DESC" : ""));
      }
    }
  }
  world_->OnSource(statements);
  ASSERT_NO_FATAL_FAILURE(DrainAndCompare());
  // In one transaction, so that diffs build on documents of the same group; and compressed.
  for (const char* compression : {"OFF", "ON"}) {
    std::vector<std::string> one = {
        statements.front(),
        absl::StrCat("SET SESSION binlog_transaction_compression = ", compression), "BEGIN"};
    for (int i = 0; i < 30; ++i) {
      one.push_back(absl::StrCat("UPDATE t SET j = JSON_SET(j, '$.list[", i % 3, "]', ", i,
                                 ", '$.text', '", std::string(static_cast<size_t>(1 + i % 7), 'z'),
                                 "') WHERE n > ", i % 5));
    }
    one.emplace_back("COMMIT");
    world_->OnSource(one);
  }
  ASSERT_NO_FATAL_FAILURE(TakeAndCompare());
  // The server did write diffs.
  size_t partial = 0;
  const auto session = ConnectTo(world_->source_mysqld(), "");
  const auto logs = session->Query("SHOW BINARY LOGS");
  ASSERT_TRUE(logs.ok());
  for (const mysql::Row& log : logs->rows) {
    const auto events = session->Query(absl::StrCat("SHOW BINLOG EVENTS IN '", *log[0], "'"));
    ASSERT_TRUE(events.ok());
    for (const mysql::Row& event : events->rows) {
      partial += *event[2] == "Update_rows_partial" ? 1U : 0U;
    }
  }
  EXPECT_GT(partial, 40U);
}

TEST_F(FollowTest, CascadesArriveOnce) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({"parent", "child", "tree"}));
  world_->CreateTable("parent (id INT PRIMARY KEY, v INT)");
  world_->CreateTable(
      "child (id INT PRIMARY KEY, dies INT, follows INT, loses INT, hits INT DEFAULT 0, "
      "FOREIGN KEY (dies) REFERENCES parent (id) ON DELETE CASCADE, "
      "FOREIGN KEY (follows) REFERENCES parent (id) ON UPDATE CASCADE ON DELETE CASCADE, "
      "FOREIGN KEY (loses) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE SET NULL)");
  world_->CreateTable(
      "tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)");
  world_->OnSource({"INSERT INTO parent VALUES (1, 0), (2, 0), (3, 0), (4, 0), (5, 0), (6, 0)",
                    "INSERT INTO child (id, dies, follows, loses) VALUES (1, 1, NULL, 2), "
                    "(2, 2, 3, NULL), (3, NULL, 4, 4), (4, 5, 6, 1), (5, NULL, NULL, 3)",
                    "INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, 3), (5, NULL)"});
  ASSERT_NO_FATAL_FAILURE(Follow());
  world_->OnSource({"UPDATE parent SET id = 30 WHERE id = 3", "DELETE FROM parent WHERE id = 4",
                    "BEGIN", "INSERT INTO parent VALUES (7, 1)",
                    "INSERT INTO child (id, dies, follows, loses) VALUES (6, 7, 7, 7)",
                    "UPDATE parent SET v = v + 1", "DELETE FROM parent WHERE id IN (1, 2)",
                    "COMMIT", "DELETE FROM tree WHERE id = 2",
                    "REPLACE INTO parent VALUES (5, 9)"});
  ASSERT_NO_FATAL_FAILURE(DrainAndCompare());
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM child c LEFT JOIN parent p ON p.id = c.follows "
                     "WHERE c.follows IS NOT NULL AND p.id IS NULL"),
            "0");
}

TEST_F(FollowTest, WhatTheSourcesTriggersDoArrivesOnce) {
  ASSERT_NO_FATAL_FAILURE(StartWorld({"t", "audit"}));
  world_->CreateTable("t (n INT PRIMARY KEY, v INT)");
  world_->CreateTable("audit (id INT AUTO_INCREMENT PRIMARY KEY, what VARCHAR(20), n INT)");
  world_->OnSource({"CREATE TRIGGER ti BEFORE INSERT ON t FOR EACH ROW SET NEW.v = NEW.v * 2",
                    "CREATE TRIGGER tj AFTER INSERT ON t FOR EACH ROW INSERT INTO audit (what, n) "
                    "VALUES ('in', NEW.n)",
                    "CREATE TRIGGER td AFTER DELETE ON t FOR EACH ROW INSERT INTO audit (what, n) "
                    "VALUES ('out', OLD.n)",
                    "INSERT INTO t VALUES (1, 1), (2, 2)"});
  ASSERT_NO_FATAL_FAILURE(Follow());
  world_->OnSource({"INSERT INTO t VALUES (3, 3), (4, 4)", "REPLACE INTO t VALUES (3, 30)",
                    "UPDATE t SET v = v + 1", "DELETE FROM t WHERE n = 1"});
  ASSERT_NO_FATAL_FAILURE(DrainAndCompare());
  EXPECT_EQ(OnTarget("SELECT COUNT(*) FROM audit"), OnSource("SELECT COUNT(*) FROM audit"));
}

}  // namespace
}  // namespace sluice::testing
