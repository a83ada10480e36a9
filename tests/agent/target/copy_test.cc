// The copy between two real mysqlds: ranges, lost sessions, many tables, rows that are in the way.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "agent/target/local_session.h"
#include "agent/target/stream_store.h"
#include "tests/agent/target/stream_world.h"

namespace sluice::testing {
namespace {

using schemas::StreamState;

constexpr uint64_t kStream = 9;

// Parts and chunks of a few rows, so that even small tables are split many times.
target::StreamTuning SmallParts() {
  target::StreamTuning tuning;
  tuning.copier.workers = 3;
  tuning.copier.part_bytes = 4096;
  tuning.copier.bytes_max = 1024;
  tuning.copier.commit_bytes = 2048;
  tuning.copier.statement_bytes_max = 700;
  tuning.backoff_max = absl::Milliseconds(200);
  return tuning;
}

// One table per kind of key; rows of about forty bytes in an order that is not the key's.
struct KeyedTable {
  std::string name;
  std::string definition;
  std::string values;  // of row i, an expression list over `i`
};

std::vector<KeyedTable> KeyedTables() {
  return {
      {"by_number", "(id BIGINT PRIMARY KEY, v VARCHAR(60), u INT UNIQUE)",
       "(i * 7919) % 1000003 - 500000, REPEAT('v', i % 40), i"},
      {"by_unsigned", "(id BIGINT UNSIGNED PRIMARY KEY, v VARCHAR(60))",
       "18446744073709551615 - i * 1000, REPEAT('w', i % 40)"},
      {"by_pair",
       "(a INT NOT NULL, b VARCHAR(20) NOT NULL, v VARCHAR(60), PRIMARY KEY (a, b)) "
       "COLLATE utf8mb4_0900_ai_ci",
       "IF(i % 10, 1, i), CONCAT(IF(i % 2, 'Key', 'kEY'), i), REPEAT('x', i % 40)"},
      {"by_triple",
       "(c DECIMAL(12,3) NOT NULL, b DATETIME(3) NOT NULL, a TINYINT NOT NULL, v VARCHAR(60), "
       "PRIMARY KEY (a, b, c))",
       "i / 8, TIMESTAMPADD(SECOND, i DIV 100, '2024-01-01'), i % 3, REPEAT('y', i % 40)"},
      {"by_text",
       "(k VARCHAR(40) CHARACTER SET latin1 COLLATE latin1_german2_ci PRIMARY KEY, v VARCHAR(60))",
       "CONCAT(CHAR(97 + i % 20), IF(i % 3, 'stra\xC3\x9F"
       "e', 'A b'), i), REPEAT('z', i % 40)"},
      {"by_binary", "(k VARBINARY(20) PRIMARY KEY, v VARCHAR(60))",
       "CONCAT(UNHEX(LEFT(SHA2(i, 256), 32)), IF(i % 4, '', X'0027')), REPEAT('b', i % 40)"},
      {"by_enum",
       "(e ENUM('z','m','a') NOT NULL, n SMALLINT NOT NULL, v VARCHAR(60), PRIMARY KEY (e, n))",
       "1 + i % 3, i, REPEAT('e', i % 40)"},
  };
}

std::vector<std::string> Names(const std::vector<KeyedTable>& tables) {
  std::vector<std::string> names;
  for (const KeyedTable& table : tables) {
    names.push_back(table.name);
  }
  return names;
}

void Fill(StreamWorld& world, const std::vector<KeyedTable>& tables, int rows) {
  for (const KeyedTable& table : tables) {
    world.CreateTable(absl::StrCat(table.name, " ", table.definition));
    world.OnSource({"SET SESSION cte_max_recursion_depth = 1000000",
                    absl::StrCat("INSERT INTO ", table.name,
                                 " WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
                                 "WHERE i < ",
                                 rows, ") SELECT ", table.values, " FROM n")});
  }
}

// Changes, moves, deletes and adds rows of all the tables until it is stopped.
class Writer {
 public:
  Writer(const Mysqld& server, unsigned seed)
      : options_(server.Root()),
        random_(seed),
        thread_([this](const std::stop_token& stop) { Work(stop); }) {}

  [[nodiscard]] int commits() const { return commits_; }

 private:
  std::string Statement() {
    const auto below = [this](int bound) {
      return std::uniform_int_distribution<int>(0, bound - 1)(random_);
    };
    const int i = below(1'000'000) - 500'000;
    switch (below(7)) {
      case 0:
        return absl::StrCat("UPDATE by_number SET v = 'changed' WHERE id > ", i, " LIMIT 5");
      case 1:
        return absl::StrCat("UPDATE by_number SET id = id + 1000000 WHERE id > ", i,
                            " ORDER BY id LIMIT 2");
      case 2:
        return absl::StrCat("DELETE FROM by_number WHERE id > ", i, " ORDER BY id LIMIT 2");
      case 3:  // a unique value goes to a row in another range
        return absl::StrCat("REPLACE INTO by_number VALUES (", i, ", 'took', ", below(3000), ")");
      case 4:
        return absl::StrCat("UPDATE by_pair SET a = a + 1, b = CONCAT('m', b) WHERE b > 'key",
                            below(3000), "' AND LENGTH(b) < 15 ORDER BY a, b LIMIT 3");
      case 5:
        return absl::StrCat("UPDATE by_text SET k = CONCAT('q', k) WHERE k > '",
                            std::string(1, static_cast<char>('a' + below(20))),
                            "' AND LENGTH(k) < 30 ORDER BY k LIMIT 2");
      default:
        return absl::StrCat("DELETE FROM by_enum WHERE n > ", below(3000),
                            " ORDER BY e, n LIMIT 3");
    }
  }

  void Work(const std::stop_token& stop) {
    options_.database = kSourceDatabase;
    const auto connection = mysql::Connection::Connect(options_);
    while (connection.ok() && !stop.stop_requested()) {
      commits_ += (*connection)->Execute(Statement()).ok() ? 1 : 0;
    }
  }

  mysql::ConnectionOptions options_;
  std::mt19937 random_;
  std::atomic<int> commits_ = 0;
  std::jthread thread_;
};

std::string OnTarget(StreamWorld& world, const std::string& query) {
  const auto connection = ConnectTo(world.target_mysqld(), kTargetDatabase);
  return connection == nullptr ? "" : connection->QueryScalar(query).value_or("");
}

TEST(CopyTest, RangesOfEveryKindOfKeyEndEqual) {
  const auto world = StreamWorld::Start(SmallParts());
  ASSERT_NE(world, nullptr);
  const std::vector<KeyedTable> tables = KeyedTables();
  Fill(*world, tables, 3000);
  uint64_t id = kStream;
  for (const std::string& table : Names(tables)) {
    SCOPED_TRACE(table);
    ++id;
    // A table that is alone in its stream is split.
    ASSERT_TRUE(world->Create(StreamWorld::Spec(id, {table})).ok());
    EXPECT_EQ(world->AwaitState(id, StreamState::RUNNING).rows_copied, 3000U) << "each row once";
    world->ExpectSame(table);
    EXPECT_NE(
        OnTarget(*world,
                 absl::StrCat("SELECT COUNT(*) FROM _sluice.copy_range WHERE stream_id = ", id)),
        "1");
    ASSERT_TRUE(world->Control(id, schemas::StreamAction::DELETE, 1).ok());
  }
}

// LOAD DATA instead of INSERT.
class CopyWayTest : public ::testing::TestWithParam<bool> {};

TEST_P(CopyWayTest, RangesUnderWritersAndLostSessionsEndEqual) {
  target::StreamTuning tuning = SmallParts();
  tuning.copier.load_rows_min = 1;
  tuning.copy_epoch = absl::Milliseconds(300);
  const auto world =
      StreamWorld::Start(tuning, {}, {absl::StrCat("--local-infile=", GetParam() ? "ON" : "OFF")});
  ASSERT_NE(world, nullptr);
  const std::vector<KeyedTable> tables = KeyedTables();
  Fill(*world, tables, 3000);
  {
    Writer first(world->source_mysqld(), 1);
    Writer second(world->source_mysqld(), 2);
    ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, Names(tables))).ok());
    // A session that ends in the middle of anything leaves what kill -9 of its agent would.
    const auto killer = ConnectTo(world->target_mysqld(), kTargetDatabase);
    ASSERT_NE(killer, nullptr);
    uint64_t seen = 0;
    for (int kills = 0; kills < 15; ++kills) {
      const SeenStatus status = world->AwaitStatus(kStream, [&](const SeenStatus& s) {
        return s.rows_copied > seen || s.state == StreamState::RUNNING;
      });
      if (status.state == StreamState::RUNNING) {
        break;
      }
      seen = status.rows_copied + 300;
      // information_schema.PROCESSLIST fails where a session runs a statement with binary values.
      const auto sessions = killer->Query(
          "SELECT PROCESSLIST_ID FROM performance_schema.threads WHERE PROCESSLIST_ID <> "
          "CONNECTION_ID() AND PROCESSLIST_USER = 'root'");
      ASSERT_TRUE(sessions.ok()) << sessions.status();
      for (const mysql::Row& row : sessions->rows) {
        killer->Execute("KILL " + row[0].value_or("0")).status().IgnoreError();
      }
    }
    world->AwaitState(kStream, StreamState::RUNNING);
    EXPECT_GT(first.commits() + second.commits(), 100);
  }
  world->Drain(kStream);
  for (const std::string& table : Names(tables)) {
    world->ExpectSame(table);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, CopyWayTest, ::testing::Bool(),
                         [](const auto& way) { return way.param ? "ByLoad" : "ByInsert"; });

TEST(CopyTest, WhatLoadDataWarnsOfIsTakenBackAndWrittenByInsert) {
  target::StreamTuning tuning;
  tuning.copier.load_rows_min = 1;
  const auto world = StreamWorld::Start(tuning, {}, {"--local-infile=ON"});
  ASSERT_NE(world, nullptr);
  world->CreateTable("whole (id INT PRIMARY KEY, v VARCHAR(9))");
  world->CreateTable("shorter (id INT PRIMARY KEY, v VARCHAR(9))");
  world->OnTarget({"ALTER TABLE shorter MODIFY v VARCHAR(4)"});
  world->OnSource({"INSERT INTO whole VALUES (1, 'a\tb'), (2, 'c\\\nd'), (3, NULL), (4, '\\N')",
                   "INSERT INTO shorter VALUES (1, 'four    '), (2, 'x')"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"whole", "shorter"})).ok());
  EXPECT_EQ(world->AwaitState(kStream, StreamState::RUNNING).rows_copied, 6U);
  world->ExpectSame("whole");
  EXPECT_EQ(OnTarget(*world, "SELECT GROUP_CONCAT(v ORDER BY id) FROM shorter"), "four,x");
  EXPECT_EQ(OnTarget(*world,
                     "SELECT COUNT_STAR FROM "
                     "performance_schema.events_statements_summary_global_by_event_name WHERE "
                     "EVENT_NAME = 'statement/sql/load'"),
            "2");
}

TEST(CopyTest, RestartsOfTheAgentGoOnInTheMiddleOfRanges) {
  target::StreamTuning tuning = SmallParts();
  const auto world = StreamWorld::Start(tuning);
  ASSERT_NE(world, nullptr);
  const std::vector<KeyedTable> tables = KeyedTables();
  Fill(*world, tables, 3000);
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, Names(tables))).ok());
  uint64_t seen = 0;
  for (int restarts = 0; restarts < 5; ++restarts) {
    seen = world->AwaitStatus(kStream, [&](const SeenStatus& s) { return s.rows_copied > seen; })
               .rows_copied;
    world->StopTarget();
    world->StartTarget();
    EXPECT_GE(world->Status(kStream)->rows_copied, seen);
  }
  const SeenStatus status = world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_EQ(status.rows_copied, 3000U * tables.size()) << "none again, none left out";
  for (const std::string& table : Names(tables)) {
    world->ExpectSame(table);
  }
}

// The stored form of a key of one integer.
std::string Key(int id) {
  const std::string text = absl::StrCat(id);
  return absl::StrCat("CONCAT(CHAR(", text.size(), " USING binary), '", text, "')");
}

TEST(CopyTest, StoredRangesAreCopiedAlsoThoseWithoutRows) {
  const auto world = StreamWorld::Start(SmallParts());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, v INT)");
  world->OnSource({"INSERT INTO t VALUES (1, 1), (10, 1), (21, 1), (30, 1), (31, 1), (40, 1)"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"}), false).ok());
  // Up to 10 in one part, none in (10, 20], two rows in (20, 30], the tail from 31 on; 31 counts as
  // copied.
  const auto part = [](int slot, const std::string& from, const std::string& to) {
    return absl::StrCat(
        "INSERT INTO _sluice.copy_range (stream_id, table_name, slot, ordinal, "
        "last_key, end_key) VALUES (",
        kStream, ", 't', ", slot, ", 0, ", from, ", ", to, ")");
  };
  world->OnTarget(
      {part(1, "''", Key(10)), part(2, Key(10), Key(20)), part(3, Key(20), Key(30)),
       absl::StrCat("UPDATE _sluice.copy_range SET last_key = ", Key(31), " WHERE slot = 0")});
  ASSERT_TRUE(world->Control(kStream, schemas::StreamAction::START, 1).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_EQ(status.rows_copied, 5U);
  EXPECT_EQ(OnTarget(*world, "SELECT GROUP_CONCAT(id ORDER BY id) FROM t"), "1,10,21,30,40");
  EXPECT_EQ(OnTarget(*world, "SELECT COUNT(*) FROM _sluice.copy_range WHERE done = 0"), "0");
}

TEST(CopyTest, ManySmallTablesShareCommitsAndDefinitionsAreReadTogether) {
  constexpr int kTables = 300;
  const auto world = StreamWorld::Start(target::StreamTuning());
  ASSERT_NE(world, nullptr);
  std::vector<std::string> names;
  std::vector<std::string> create;
  std::vector<std::string> insert;
  for (int i = 0; i < kTables; ++i) {
    names.push_back(absl::StrCat("t", i));
    create.push_back(
        absl::StrCat("CREATE TABLE t", i, " (id INT PRIMARY KEY, v VARCHAR(20), KEY (v))"));
    if (i % 3 > 0) {  // every third is empty, another third has one row
      insert.push_back(absl::StrCat("INSERT INTO t", i, " VALUES (1, 'a')",
                                    i % 3 == 2 ? ", (2, 'b'), (-7, NULL)" : ""));
    }
  }
  world->OnSource(create);
  world->OnSource(insert);
  world->OnTarget(create);
  const auto count = [&] {
    int64_t commits = 0;
    EXPECT_TRUE(absl::SimpleAtoi(
        OnTarget(*world, "SELECT SUBSTRING_INDEX(@@GLOBAL.gtid_executed, '-', -1)"), &commits));
    return commits;
  };
  const int64_t before = count();
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, names)).ok());
  const SeenStatus status = world->AwaitState(kStream, StreamState::RUNNING);
  EXPECT_EQ(status.rows_copied, kTables / 3U * 4U);
  EXPECT_LT(count() - before, 40) << "tables share commits";
  for (size_t i = 0; i < names.size(); i += 7) {
    EXPECT_EQ(StreamWorld::Dump(world->source_mysqld(), kSourceDatabase, names[i]),
              StreamWorld::Dump(world->target_mysqld(), kTargetDatabase, names[i]));
  }
}

TEST(CopyTest, RowsThatAreInTheWayAreReplaced) {
  const auto world = StreamWorld::Start(SmallParts());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY, u INT UNIQUE, v VARCHAR(60))");
  world->OnSource(
      {"INSERT INTO t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n "
       "WHERE i < 900) SELECT i, i, REPEAT('s', 50) FROM n"});
  // As a copy of another epoch and events may have left them: same key, and same unique value.
  world->OnTarget({"INSERT INTO t VALUES (5, 5, 'old'), (6, 7, 'old'), (2000, 300, 'old')"});
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->ExpectSame("t");
}

TEST(CopyTest, OneLargeTableIsReadAndWrittenBySeveralSessions) {
  target::StreamTuning tuning;
  tuning.copier.workers = 3;
  tuning.copier.part_bytes = 256U << 10U;
  tuning.copier.bytes_max = 64U << 10U;
  const auto world = StreamWorld::Start(tuning);
  ASSERT_NE(world, nullptr);
  Fill(*world, {KeyedTables()[0]}, 60'000);
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"by_number"})).ok());
  world->AwaitState(kStream, StreamState::RUNNING);
  world->ExpectSame("by_number");
  const std::string busy = OnTarget(*world,
                                    "SELECT COUNT(*) FROM _sluice.copy_range WHERE slot > 0 AND "
                                    "rows_copied > 0");
  EXPECT_THAT(busy, ::testing::AnyOf("2", "3"));
}

TEST(CopyTest, CopyCommitsDoNotWaitForEachOtherAndEndWithAClaim) {
  const auto world = StreamWorld::Start(SmallParts());
  ASSERT_NE(world, nullptr);
  world->CreateTable("t (id INT PRIMARY KEY)");
  ASSERT_TRUE(world->Create(StreamWorld::Spec(kStream, {"t"}), false).ok());
  const auto first = target::ConnectLocal(world->target_mysqld().Root());
  const auto second = target::ConnectLocal(world->target_mysqld().Root());
  ASSERT_TRUE(first.ok() && second.ok());
  target::StreamStore store(**first);
  const auto record = store.Claim(kStream);
  ASSERT_TRUE(record.ok()) << record.status();
  const target::PositionRow& position = record->position;
  target::CopyProgress progress{.ordinal = 0, .table = "t", .range = {}};
  progress.range.last_key = "x";
  // One session stands between its fence and its commit.
  ASSERT_TRUE((*first)->Execute("START TRANSACTION").ok());
  ASSERT_TRUE((*first)->Query("SELECT version FROM _sluice.stream_position FOR SHARE").ok());
  target::StreamStore other(**second);
  ASSERT_TRUE(other.Begin().ok());
  const absl::Status passed = other.FinishCopy(position, {progress});
  EXPECT_TRUE(passed.ok()) << passed;
  ASSERT_TRUE((*first)->Execute("COMMIT").ok());
  EXPECT_EQ(store.Load(kStream)->copy.front().ranges.front().last_key, "x");
  // Whoever claimed the stream ends those before it.
  ASSERT_TRUE(store.Claim(kStream).ok());
  ASSERT_TRUE(other.Begin().ok());
  progress.range.last_key = "y";
  EXPECT_TRUE(absl::IsAborted(other.FinishCopy(position, {progress})));
  other.Rollback();
  EXPECT_EQ(store.Load(kStream)->copy.front().ranges.front().last_key, "x");
}

}  // namespace
}  // namespace sluice::testing
