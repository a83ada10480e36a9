// Museum, the binlog: what is visible when, positions, order, unique values, collations, sizes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <future>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "tests/museum/museum.h"

namespace sluice::testing {
namespace {

using MuseumApplyTest = MuseumTest;
using schemas::StreamState;

// 1: an event is in the binlog before its row can be seen by SELECT. Semi-synchronous replication
// without a replica holds a transaction in just that state.
TEST_F(MuseumApplyTest, M01AChangeIsTakenFromTheBinlogThoughNoSelectShowsItYet) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  world_->CreateTable("t (id INT PRIMARY KEY, v VARCHAR(40))");
  world_->CreateTable("later (id INT PRIMARY KEY, v VARCHAR(40))");
  world_->OnSource({"INSERT INTO t VALUES (1, 'old'), (2, 'old')",
                    "INSERT INTO later VALUES (1, 'old'), (2, 'old')"});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  world_->OnSource({"INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
                    "SET GLOBAL rpl_semi_sync_source_timeout = 600000",
                    "SET GLOBAL rpl_semi_sync_source_enabled = ON"});
  auto writer = std::async(std::launch::async, [this] {
    const auto session = ConnectTo(world_->source_mysqld(), kSourceDatabase);
    bool good = session->Execute("BEGIN").ok();
    for (const char* table : {"t", "later"}) {
      good = good && session->Execute(absl::StrCat("UPDATE ", table, " SET v = 'new'")).ok() &&
             session->Execute(absl::StrCat("DELETE FROM ", table, " WHERE id = 2")).ok();
    }
    return good && session->Execute("COMMIT").ok();
  });
  EXPECT_TRUE(Eventually([this] { return OnTarget("SELECT MAX(v) FROM t") == "new"; }));
  EXPECT_EQ(OnSource("SELECT GROUP_CONCAT(v) FROM t"), "old,old");
  // A copy that begins now sees the rows as they were, and must not take the change for seen.
  ASSERT_TRUE(world_->Create(StreamWorld::Spec(kStream + 1, {"later"})).ok());
  EXPECT_TRUE(Eventually([this] {
    return OnTarget("SELECT COALESCE(GROUP_CONCAT(v), '') FROM later") == "new";
  })) << OnTarget("SELECT COALESCE(GROUP_CONCAT(v), '') FROM later");
  EXPECT_EQ(OnSource("SELECT GROUP_CONCAT(v) FROM later"), "old,old");
  EXPECT_EQ(writer.wait_for(std::chrono::seconds(0)), std::future_status::timeout);
  world_->OnSource({"SET GLOBAL rpl_semi_sync_source_enabled = OFF"});
  EXPECT_TRUE(writer.get());
  DrainAndCompare({"t"});
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream + 1));
  world_->ExpectSame("later");
}

// 2: the checkpoint was ahead of what was applied, because another thread moved it on heartbeats.
TEST_F(MuseumApplyTest, M02ThePositionWaitsForWhatIsReceivedAndNotApplied) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  world_->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world_->OnSource({"INSERT INTO t VALUES (1, 1), (2, 1)"});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  const gtid::GtidSet before = DurablePosition();

  // The row is locked on the target, so the change is received and waits.
  const auto blocker = ConnectTo(world_->target_mysqld(), kTargetDatabase);
  ASSERT_TRUE(blocker->Execute("BEGIN").ok());
  ASSERT_TRUE(blocker->Execute("SELECT * FROM t WHERE id = 1 FOR UPDATE").ok());
  world_->OnSource({"UPDATE t SET v = 2 WHERE id = 1"});
  ASSERT_TRUE(Eventually([this] {
    return OnTarget("SELECT COUNT(*) FROM performance_schema.data_lock_waits") != "0";
  }));
  // Heartbeats, other people's transactions and further changes arrive meanwhile.
  world_->OnSource({"CREATE TABLE unrelated (a INT PRIMARY KEY)",
                    "INSERT INTO unrelated VALUES (1)", "UPDATE t SET v = 3 WHERE id = 2"});
  absl::SleepFor(absl::Seconds(3));  // Delay: three heartbeats, which are made once a second
  EXPECT_EQ(DurablePosition(), before);
  world_->target_mysqld().Kill();
  world_->StopTarget();
  ASSERT_TRUE(world_->target_mysqld().Restart().ok());
  EXPECT_EQ(DurablePosition(), before);
  EXPECT_EQ(OnTarget("SELECT GROUP_CONCAT(v ORDER BY id) FROM t"), "1,1");
  world_->StartTarget();
  DrainAndCompare({"t"});
  EXPECT_TRUE(DurablePosition().Contains(before));
}

// 14: events replayed after a reconnect overwrote newer images in the buffer.
TEST_F(MuseumApplyTest, M14AReconnectStormNeverTakesAHotRowBack) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  world_->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world_->OnSource({"INSERT INTO t VALUES (1, 0)"});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  {
    Churn churn(world_->source_mysqld(), [](int) -> std::vector<std::string> {
      return {"UPDATE t SET v = v + 1 WHERE id = 1"};
    });
    int seen = 0;
    for (int i = 0; i < 12; ++i) {
      const int commits = churn.commits();
      ASSERT_TRUE(Eventually([&] { return churn.commits() > commits + 30; }));
      if (i % 2 == 0) {
        world_->StopSource();
        world_->StartSource();
      } else {
        world_->StopTarget();
        world_->StartTarget();
      }
      const int next = seen + 1;
      ASSERT_TRUE(Eventually([&] {
        const int now = std::stoi(OnTarget("SELECT v FROM t"));
        EXPECT_GE(now, seen) << "the row went back";
        seen = std::max(seen, now);
        return seen >= next;
      }));
    }
  }
  DrainAndCompare({"t"});
}

// 18: values of a unique key change places within one batch, in every order of the rows.
TEST_F(MuseumApplyTest, M18UniqueValuesChangePlacesInEveryOrder) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  world_->CreateTable(
      "t (id INT PRIMARY KEY, u INT NULL UNIQUE, w VARCHAR(10) UNIQUE, v INT, UNIQUE (w, v))");
  world_->OnSource(
      {"INSERT INTO t VALUES (1, 1, 'a', 0), (2, 2, 'b', 0), (3, 3, 'c', 0), "
       "(4, 4, 'd', 0)"});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  std::vector<int> order = {1, 2, 3, 4};
  const auto session = ConnectTo(world_->source_mysqld(), kSourceDatabase);
  do {
    // The values wander round once through the rows in this order, in one transaction.
    std::vector<std::string> statements = {"BEGIN"};
    statements.push_back(
        absl::StrCat("UPDATE t SET u = u + 100, w = CONCAT(w, '_'), v = v + 1 ORDER BY FIELD(id, ",
                     absl::StrJoin(order, ", "), ")"));
    for (size_t i = 0; i < order.size(); ++i) {
      statements.push_back(
          absl::StrCat("UPDATE t SET u = ", order[(i + 1) % order.size()], ", w = '",
                       std::string(1, static_cast<char>('a' + order[(i + 1) % order.size()] - 1)),
                       "' WHERE id = ", order[i]));
    }
    // One row goes and comes back with the value of another.
    statements.push_back(absl::StrCat("DELETE FROM t WHERE id = ", order[0]));
    statements.push_back(absl::StrCat("UPDATE t SET u = 77 WHERE id = ", order[1]));
    statements.push_back(
        absl::StrCat("INSERT INTO t VALUES (", order[0], ", ", order[2], ", 'z', 5)"));
    statements.emplace_back("COMMIT");
    for (const std::string& statement : statements) {
      const auto done = session->Execute(statement);
      if (!done.ok()) {
        ASSERT_TRUE(session->Execute("ROLLBACK").ok());
        break;
      }
    }
  } while (std::next_permutation(order.begin(), order.end()));
  DrainAndCompare({"t"});
}

// 19: 'A' = 'a' for the server, but not for a map of bytes.
TEST_F(MuseumApplyTest, M19KeysThatTheServerThinksEqualAreOneRow) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  const std::vector<std::string> tables = {"ai_ci", "pad", "as_cs", "german"};
  const std::vector<std::string> collations = {"utf8mb4_0900_ai_ci", "utf8mb4_general_ci",
                                               "utf8mb4_0900_as_cs", "utf8mb4_unicode_ci"};
  for (size_t i = 0; i < tables.size(); ++i) {
    world_->CreateTable(absl::StrCat(tables[i],
                                     " (k VARCHAR(20) NOT NULL PRIMARY KEY, u VARCHAR(20) ",
                                     "UNIQUE, v INT) COLLATE ", collations[i]));
    world_->OnSource({absl::StrCat("INSERT INTO ", tables[i],
                                   " VALUES ('a', 'x', 1), ('b ', 'y', 2), "
                                   "('straße', 'z', 3), ('e', NULL, 4)")});
  }
  ASSERT_NO_FATAL_FAILURE(StartStream(tables));
  AwaitRunning();
  // Each is one group of changes; some are refused by some collations, and then change nothing.
  const std::vector<std::vector<std::string>> changes = {
      {"UPDATE $t SET k = 'A' WHERE k = 'a'"},
      {"UPDATE $t SET k = 'á' WHERE k = 'A'", "UPDATE $t SET k = 'a' WHERE k = 'á'"},
      {"DELETE FROM $t WHERE k = 'a'", "INSERT INTO $t VALUES ('Á', 'X', 10)"},
      {"INSERT INTO $t VALUES ('á ', 'x ', 11)"},
      {"DELETE FROM $t WHERE k = 'b '", "INSERT INTO $t VALUES ('B', 'Y', 12)"},
      {"UPDATE $t SET k = 'b  ' WHERE k = 'B'"},
      {"UPDATE $t SET k = 'STRASSE' WHERE k = 'straße'"},
      {"DELETE FROM $t WHERE k = 'STRASSE'", "INSERT INTO $t VALUES ('Straße ', 'ss', 13)"},
      {"UPDATE $t SET u = 'ß' WHERE k = 'e'"},
      {"UPDATE $t SET u = CONCAT(UPPER(u), '') WHERE u IS NOT NULL"},
      {"REPLACE INTO $t VALUES ('É', 'x', 14)", "REPLACE INTO $t VALUES ('e', 'X', 15)"},
      {"UPDATE $t SET k = 'swap' WHERE k = 'e'", "UPDATE $t SET k = 'E' WHERE k = 'swap'"}};
  const auto session = ConnectTo(world_->source_mysqld(), kSourceDatabase);
  for (const std::vector<std::string>& group : changes) {
    for (const std::string& table : tables) {
      bool good = session->Execute("BEGIN").ok();
      for (std::string statement : group) {
        statement.replace(statement.find("$t"), 2, table);
        good = good && session->Execute(statement).ok();
      }
      ASSERT_TRUE(session->Execute(good ? "COMMIT" : "ROLLBACK").ok());
    }
  }
  DrainAndCompare(tables);
}

// 20: sequence numbers of the binlog restart with every file.
TEST_F(MuseumApplyTest, M20OrderSurvivesConstantRotationOfBinlogs) {
  ASSERT_NO_FATAL_FAILURE(StartWorld(SmallSteps(), {"--max-binlog-size=4096"}));
  world_->CreateTable("t (id INT PRIMARY KEY, v INT, s VARCHAR(400))");
  world_->OnSource({InsertRange("t", "0, 'x'", 1, 20)});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  const auto change = [](int n) -> std::vector<std::string> {
    const int id = n % 20 + 1;
    return {absl::StrCat("DELETE FROM t WHERE id = ", id),
            absl::StrCat("INSERT INTO t VALUES (", id, ", ", n, ", REPEAT('y', 300))"),
            absl::StrCat("UPDATE t SET v = v + 1 WHERE id BETWEEN ", id, " AND ", id + 3)};
  };
  {
    Churn first(world_->source_mysqld(), change);
    Churn second(world_->source_mysqld(), change);
    ASSERT_TRUE(Eventually([&] { return first.commits() + second.commits() > 300; }));
  }
  DrainAndCompare({"t"});
  const auto logs = ConnectTo(world_->source_mysqld(), "")->Query("SHOW BINARY LOGS");
  ASSERT_TRUE(logs.ok());
  EXPECT_GT(logs->rows.size(), 30U);
}

// 26: GTID sets of many servers were compared as text, which took most of the CPU.
TEST_F(MuseumApplyTest, M26AGtidSetOfHundredsOfServersIsNoBurden) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  std::vector<std::string> sources;
  for (int i = 0; i < 300; ++i) {
    sources.push_back(absl::StrCat("3e11fa47-71ca-11e1-9e33-c80aa94",
                                   absl::Dec(20000 + i, absl::kZeroPad5), ":1-", 1000 + i,
                                   ":2000-3000:4000-5000"));
  }
  world_->CreateTable("t (id INT PRIMARY KEY, v INT)");
  const auto timed = [this](int first) {
    const absl::Time begin = absl::Now();
    std::vector<std::string> statements;
    for (int i = 0; i < 400; ++i) {
      statements.push_back(absl::StrCat("INSERT INTO t VALUES (", first + i, ", 1)"));
    }
    world_->OnSource(statements);
    world_->Drain(kStream);
    return absl::Now() - begin;
  };
  world_->OnSource({"INSERT INTO t VALUES (0, 0)"});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  const absl::Duration plain = timed(1000);
  world_->OnSource({absl::StrCat("SET GLOBAL gtid_purged = '+", absl::StrJoin(sources, ","), "'"),
                    "FLUSH BINARY LOGS"});
  ASSERT_TRUE(world_->Control(kStream, schemas::StreamAction::DELETE, 1).ok());
  world_->OnTarget({"DELETE FROM t"});
  target::StreamSpec again = StreamWorld::Spec(kStream + 1, {"t"});
  ASSERT_TRUE(world_->Create(again).ok());
  world_->AwaitState(kStream + 1, StreamState::RUNNING);
  const absl::Time begin = absl::Now();
  std::vector<std::string> statements;
  for (int i = 0; i < 400; ++i) {
    statements.push_back(absl::StrCat("INSERT INTO t VALUES (", 5000 + i, ", 1)"));
  }
  world_->OnSource(statements);
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream + 1));
  const absl::Duration many = absl::Now() - begin;
  world_->ExpectSame("t");
  // Generous, because other tests share the machine; as text it was a matter of a hundred times.
  EXPECT_LT(many, plain * 5 + absl::Seconds(3));
}

// 27: one transaction with very many rows, in which no checkpoint is possible.
TEST_F(MuseumApplyTest, M27OneHugeTransactionIsWholeOrNotThere) {
  target::StreamTuning tuning = SmallSteps();
  tuning.copier = {};
  tuning.copy_epoch = absl::Minutes(5);
  ASSERT_NO_FATAL_FAILURE(StartWorld(tuning));
  constexpr int kHuge = 150'000;
  world_->CreateTable("t (id INT PRIMARY KEY, v INT, s VARCHAR(60))");
  world_->OnSource({InsertRange("t", "0, 'some text'", 1, kHuge)});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  world_->AwaitStatus(
      kStream, [](const SeenStatus& s) { return s.state == StreamState::RUNNING; },
      absl::Minutes(2));
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  const auto written = [this] {
    return std::stoll(
        OnTarget("SELECT SUM(VARIABLE_VALUE) FROM performance_schema.global_status "
                 "WHERE VARIABLE_NAME IN ('Handler_write', 'Handler_update')"));
  };
  const auto before = written();
  world_->OnSource({"UPDATE t SET v = 1, s = CONCAT(s, id)"});
  // Once in the middle of it both the agent and the server go.
  ASSERT_TRUE(Eventually([&] { return written() > before + kHuge / 20; }));
  world_->target_mysqld().Kill();
  world_->StopTarget();
  ASSERT_TRUE(world_->target_mysqld().Restart().ok());
  const std::string changed = OnTarget("SELECT SUM(v) FROM t");
  EXPECT_TRUE(changed == "0" || changed == absl::StrCat(kHuge)) << changed;
  world_->StartTarget();
  ASSERT_NO_FATAL_FAILURE(world_->Drain(kStream));
  EXPECT_EQ(OnTarget("SELECT SUM(v) FROM t"), absl::StrCat(kHuge));
  const std::string sum = "SELECT SUM(CRC32(CONCAT_WS(',', id, v, s))) FROM t";
  EXPECT_EQ(OnTarget(sum), OnSource(sum));
}

// 31: on a quiet source the window of the watermarks never closed.
TEST_F(MuseumApplyTest, M31AQuietSourceIsCopiedToTheEndAndThePositionStillMoves) {
  ASSERT_NO_FATAL_FAILURE(StartWorld());
  world_->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world_->OnSource({InsertRange("t", "i", 1, 1000)});
  ASSERT_NO_FATAL_FAILURE(StartStream({"t"}));
  AwaitRunning();
  world_->ExpectSame("t");
  // Nothing was written since, and still the stream knows that it is up to date.
  world_->AwaitStatus(kStream, [](const SeenStatus& s) { return s.lag_ms == 0; });
  // Others' transactions move the durable position, so that old binlogs may be purged.
  world_->OnSource(
      {"CREATE TABLE unrelated (a INT PRIMARY KEY)", "INSERT INTO unrelated VALUES (1)"});
  const gtid::GtidSet executed = Executed();
  EXPECT_TRUE(Eventually([&] { return DurablePosition().Contains(executed); }));
  world_->StopTarget();
  world_->OnSource({"FLUSH BINARY LOGS"});
  const auto logs = ConnectTo(world_->source_mysqld(), "")->Query("SHOW BINARY LOGS");
  ASSERT_TRUE(logs.ok());
  world_->OnSource({absl::StrCat("PURGE BINARY LOGS TO '", *logs->rows.back()[0], "'"),
                    "INSERT INTO t VALUES (5000, 1)"});
  world_->StartTarget();
  DrainAndCompare({"t"});
}

}  // namespace
}  // namespace sluice::testing
